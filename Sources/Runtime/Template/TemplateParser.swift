/// A parsed template.
struct TemplateProgram: Sendable {
  let body: [Statement]
  let symbols: SymbolTable
}

/// Turns tokens into statements; expressions are in `ExpressionParser.swift`.
///
/// The grammar is Jinja's (jinja.palletsprojects.com/en/stable/templates), without the tags that
/// load other templates.
struct TemplateParser {
  let source: TemplateSource
  private let tokens: [TemplateToken]
  private var index = 0
  private var depth = 0
  var symbols = SymbolTable()
  /// Loops around the current statement, within the same macro.
  private var loops = 0
  /// Whether unknown filters fail only when reached, which is so inside of branches.
  var isConditional = false
  /// Unknown filters and tests outside of branches.
  var unknownNames: [TemplateError] = []
  /// The special names used by each of the macros around the current statement.
  private var specialNames: [Set<Int>] = []

  static func program(_ source: TemplateSource) throws(TemplateError) -> TemplateProgram {
    var parser = TemplateParser(source: source, tokens: try TemplateLexer.tokens(source))
    let body = try parser.statements(until: [])
    if let error = parser.unknownNames.first { throw error }
    return TemplateProgram(body: body, symbols: parser.symbols)
  }

  private init(source: TemplateSource, tokens: [TemplateToken]) {
    self.source = source
    self.tokens = tokens
  }
}

// The token stream.
extension TemplateParser {
  var current: TemplateToken { tokens[index] }
  var following: TemplateToken { tokens[min(index + 1, tokens.count - 1)] }

  mutating func advance() { index = min(index + 1, tokens.count - 1) }

  func syntax(_ problem: String, at offset: Int? = nil) -> TemplateError {
    .syntax(source.position(offset ?? current.offset), problem: problem)
  }

  func unexpected(_ expected: String) -> TemplateError {
    syntax("expected \(expected), found \(current.description)")
  }

  func isSymbol(_ symbol: TemplateToken.Symbol) -> Bool { current.kind == .symbol(symbol) }
  func isName(_ name: String) -> Bool { current.kind == .name(name) }

  mutating func skip(_ symbol: TemplateToken.Symbol) -> Bool {
    guard isSymbol(symbol) else { return false }
    advance()
    return true
  }

  mutating func skipName(_ name: String) -> Bool {
    guard isName(name) else { return false }
    advance()
    return true
  }

  mutating func expect(_ symbol: TemplateToken.Symbol) throws(TemplateError) {
    guard skip(symbol) else { throw unexpected("'\(symbol.rawValue)'") }
  }

  mutating func expect(_ kind: TemplateToken.Kind) throws(TemplateError) {
    guard current.kind == kind else { throw unexpected(TemplateToken(kind: kind, offset: 0).description) }
    advance()
  }

  mutating func expectName() throws(TemplateError) -> String {
    guard case .name(let name) = current.kind else { throw unexpected("a name") }
    advance()
    return name
  }

  /// Runs `body` one level deeper, so that hostile nesting is an error and not a crash.
  mutating func nested<T>(
    _ body: (inout TemplateParser) throws(TemplateError) -> T
  ) throws(TemplateError) -> T {
    guard depth < TemplateLimits.sourceDepth else {
      throw .limit(source.position(current.offset), .depth)
    }
    depth += 1
    defer { depth -= 1 }
    return try body(&self)
  }

  /// Notes that a special name occurs, for all macros around.
  mutating func use(_ symbol: TemplateSymbol) {
    guard symbol.id <= SymbolTable.kwargs.id else { return }
    for index in specialNames.indices { specialNames[index].insert(symbol.id) }
  }
}

// Statements.
extension TemplateParser {
  /// Statements up to a tag in `ends`, which becomes the current token.
  private mutating func statements(until ends: [String]) throws(TemplateError) -> [Statement] {
    try nested { parser throws(TemplateError) in
      var body: [Statement] = []
      while true {
        switch parser.current.kind {
        case .data(let text):
          body.append(.text(text))
          parser.advance()
        case .variableBegin: body.append(try parser.output())
        case .blockBegin:
          parser.advance()
          if case .name(let name) = parser.current.kind, ends.contains(name) { return body }
          body.append(try parser.statement(ends: ends))
          try parser.expect(.blockEnd)
        default:
          guard ends.isEmpty else { throw parser.unexpected(Self.tagList(ends)) }
          return body
        }
      }
    }
  }

  private static func tagList(_ ends: [String]) -> String {
    ends.map { "{% \($0) %}" }.joined(separator: " or ")
  }

  /// The rest of a tag and the statements after it, up to and with a tag in `ends`.
  private mutating func block(_ ends: String...) throws(TemplateError) -> (body: [Statement], end: String) {
    _ = skip(.colon)
    try expect(.blockEnd)
    let body = try statements(until: ends)
    return (body, try expectName())
  }

  /// A block whose unknown filters fail at once, as Jinja has it for scopes of their own.
  private mutating func scopedBlock(_ ends: String...) throws(TemplateError) -> (
    body: [Statement], end: String
  ) {
    let outer = isConditional
    isConditional = false
    defer { isConditional = outer }
    _ = skip(.colon)
    try expect(.blockEnd)
    let body = try statements(until: ends)
    return (body, try expectName())
  }

  private mutating func output() throws(TemplateError) -> Statement {
    let offset = current.offset
    advance()
    let value = try expressionOrTuple()
    try expect(.variableEnd)
    return .output(value, at: offset)
  }

  private mutating func statement(ends: [String]) throws(TemplateError) -> Statement {
    let offset = current.offset
    let tag = try expectName()
    switch tag {
    case "if": return try conditional()
    case "for": return try loop(offset)
    case "set": return try assignment(offset)
    case "with": return try with(offset)
    case "macro": return try macro()
    case "call": return try callBlock(offset)
    case "filter": return try filterBlock(offset)
    case "generation": return .scope(try functionBody("endgeneration").body)
    case "print": return try printed(offset)
    case "break", "continue": return try jump(tag, offset)
    case "block", "extends", "include", "import", "from", "autoescape", "do", "trans", "debug":
      throw .unsupported(source.position(offset), feature: "the tag '\(tag)'")
    default:
      let expected = ends.isEmpty ? "" : ", expected \(Self.tagList(ends))"
      throw syntax("unknown tag '\(tag)'\(expected)", at: offset)
    }
  }

  private mutating func conditional() throws(TemplateError) -> Statement {
    let outer = isConditional
    isConditional = true
    defer { isConditional = outer }
    var branches: [Statement.Branch] = []
    while true {
      let condition = try expressionOrTuple(allowsConditional: false)
      let (body, end) = try block("elif", "else", "endif")
      branches.append(Statement.Branch(condition: condition, body: body))
      if end == "endif" { return .conditional(branches, otherwise: []) }
      if end == "else" { return .conditional(branches, otherwise: try block("endif").body) }
    }
  }

  private mutating func loop(_ offset: Int) throws(TemplateError) -> Statement {
    let target = try target(endsBefore: "in")
    guard skipName("in") else { throw unexpected("'in'") }
    let items = try expressionOrTuple(allowsConditional: false, endsBefore: "recursive")
    let condition = skipName("if") ? try expression() : nil
    let isRecursive = skipName("recursive")
    loops += 1
    var (body, end) = try scopedBlock("endfor", "else")
    loops -= 1
    var otherwise: [Statement] = []
    if end == "else" { (otherwise, end) = try scopedBlock("endfor") }
    return .loop(
      ForLoop(
        target: target, items: items, condition: condition, isRecursive: isRecursive, body: body,
        otherwise: otherwise, offset: offset))
  }

  private mutating func assignment(_ offset: Int) throws(TemplateError) -> Statement {
    let target = try target(allowsAttributes: true)
    if skip(.assign) { return .assign(target, try expressionOrTuple(), at: offset) }
    var filters: [Suffix] = []
    while isSymbol(.pipe) { filters.append(try filter()) }
    return .assignBlock(target, filters: filters, body: try scopedBlock("endset").body, at: offset)
  }

  private mutating func with(_ offset: Int) throws(TemplateError) -> Statement {
    var bindings: [Statement.Binding] = []
    while current.kind != .blockEnd {
      if !bindings.isEmpty { try expect(.comma) }
      let target = try target()
      try expect(.assign)
      bindings.append(Statement.Binding(target: target, value: try expression()))
    }
    return .with(bindings, body: try scopedBlock("endwith").body, at: offset)
  }

  private mutating func printed(_ offset: Int) throws(TemplateError) -> Statement {
    var values: [Expression] = []
    while current.kind != .blockEnd {
      if !values.isEmpty { try expect(.comma) }
      values.append(try expression())
    }
    return .output(.concatenation(values, at: offset), at: offset)
  }

  private mutating func jump(_ tag: String, _ offset: Int) throws(TemplateError) -> Statement {
    guard loops > 0 else { throw syntax("'\(tag)' outside of a loop", at: offset) }
    return tag == "break" ? .breakLoop : .continueLoop
  }
}

// Macros and other bodies that are called.
extension TemplateParser {
  /// A body that is a function of its own: loops around it cannot be left from within.
  private mutating func functionBody(
    _ end: String
  ) throws(TemplateError) -> (body: [Statement], used: Set<Int>) {
    let outerLoops = loops
    loops = 0
    specialNames.append([])
    defer { loops = outerLoops }
    let body = try scopedBlock(end).body
    return (body, specialNames.removeLast())
  }

  private mutating func macro() throws(TemplateError) -> Statement {
    let symbol = symbols.symbol(try expectName())
    let parameters = try parameters()
    return .macro(try macro(symbol, parameters, end: "endmacro"))
  }

  private mutating func macro(
    _ symbol: TemplateSymbol, _ parameters: [Macro.Parameter], end: String
  ) throws(TemplateError) -> Macro {
    let (body, used) = try functionBody(end)
    return Macro(
      symbol: symbol, parameters: parameters, body: body, usesCaller: used.contains(SymbolTable.caller.id),
      usesVarargs: used.contains(SymbolTable.varargs.id), usesKwargs: used.contains(SymbolTable.kwargs.id))
  }

  private mutating func callBlock(_ offset: Int) throws(TemplateError) -> Statement {
    let parameters = isSymbol(.leftParenthesis) ? try parameters() : []
    let call = try expression()
    guard case .postfix(_, let suffixes) = call, case .call = suffixes.last?.kind else {
      throw syntax("'call' needs a call", at: offset)
    }
    return .call(try macro(SymbolTable.caller, parameters, end: "endcall"), call, at: offset)
  }

  private mutating func filterBlock(_ offset: Int) throws(TemplateError) -> Statement {
    var filters = [try filterCall()]
    while isSymbol(.pipe) { filters.append(try filter()) }
    return .filter(filters, body: try scopedBlock("endfilter").body, at: offset)
  }

  private mutating func parameters() throws(TemplateError) -> [Macro.Parameter] {
    try expect(.leftParenthesis)
    var parameters: [Macro.Parameter] = []
    while !isSymbol(.rightParenthesis) {
      if !parameters.isEmpty { try expect(.comma) }
      let symbol = symbols.symbol(try expectName())
      let value = skip(.assign) ? try expression() : nil
      if value == nil, parameters.last?.defaultValue != nil {
        throw syntax("a parameter without default follows one with a default")
      }
      parameters.append(Macro.Parameter(symbol: symbol, defaultValue: value))
    }
    try expect(.rightParenthesis)
    return parameters
  }
}
