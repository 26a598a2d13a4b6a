// Expressions, from the loosest operator to the tightest.
extension TemplateParser {
  /// An expression, or several separated by commas, which make a tuple.
  mutating func expressionOrTuple(
    allowsConditional: Bool = true, endsBefore end: String? = nil, allowsEmpty: Bool = false
  ) throws(TemplateError) -> Expression {
    var elements: [Expression] = []
    var isTuple = false
    while !isTupleEnd(end) {
      elements.append(
        try allowsConditional ? expression() : nested { parser throws(TemplateError) in try parser.any() })
      guard skip(.comma) else { break }
      isTuple = true
    }
    if !isTuple, let first = elements.first { return first }
    guard isTuple || allowsEmpty else { throw unexpected("an expression") }
    return .tuple(elements)
  }

  private func isTupleEnd(_ end: String?) -> Bool {
    switch current.kind {
    case .variableEnd, .blockEnd, .symbol(.rightParenthesis): true
    case .name(let name): name == end
    default: false
    }
  }

  mutating func expression() throws(TemplateError) -> Expression {
    try nested { parser throws(TemplateError) in try parser.conditionalExpression() }
  }

  private mutating func conditionalExpression() throws(TemplateError) -> Expression {
    let known = unknownNames.count
    var value = try any()
    guard isName("if") else { return value }
    // Jinja lets unknown filters pass in a branch until it is taken.
    unknownNames.removeSubrange(known...)
    let outer = isConditional
    isConditional = true
    defer { isConditional = outer }
    while skipName("if") {
      let condition = try any()
      let otherwise = skipName("else") ? try expression() : nil
      value = .conditional(condition: condition, then: value, otherwise: otherwise)
    }
    return value
  }

  private mutating func any() throws(TemplateError) -> Expression {
    let first = try all()
    guard isName("or") else { return first }
    var operands = [first]
    while skipName("or") { operands.append(try all()) }
    return .any(operands)
  }

  private mutating func all() throws(TemplateError) -> Expression {
    let first = try not()
    guard isName("and") else { return first }
    var operands = [first]
    while skipName("and") { operands.append(try not()) }
    return .all(operands)
  }

  private mutating func not() throws(TemplateError) -> Expression {
    guard skipName("not") else { return try comparison() }
    return .not(try nested { parser throws(TemplateError) in try parser.not() })
  }

  private mutating func comparison() throws(TemplateError) -> Expression {
    let first = try arithmetic(.sum)
    var rest: [Expression.Comparison] = []
    while let relation = relation() {
      let offset = current.offset
      advance()
      if relation == .notContained { advance() }
      let operand = try arithmetic(.sum)
      rest.append(Expression.Comparison(relation: relation, operand: operand, offset: offset))
    }
    return rest.isEmpty ? first : .comparison(first, rest)
  }

  private func relation() -> Relation? {
    switch current.kind {
    case .symbol(.equal): .equal
    case .symbol(.notEqual): .notEqual
    case .symbol(.less): .less
    case .symbol(.lessOrEqual): .lessOrEqual
    case .symbol(.greater): .greater
    case .symbol(.greaterOrEqual): .greaterOrEqual
    case .name("in"): .contained
    case .name("not"): following.kind == .name("in") ? .notContained : nil
    default: nil
    }
  }

  /// Levels of binary operators, the loosest first; all associate to the left, powers too.
  private enum Level: Int { case sum, concatenation, product, power }

  private mutating func arithmetic(_ level: Level) throws(TemplateError) -> Expression {
    switch level {
    case .sum: return try chain(.concatenation, Self.sum)
    case .concatenation: return try concatenation()
    case .product: return try chain(.power, Self.product)
    case .power: return try chain(nil, Self.power)
    }
  }

  private mutating func chain(
    _ next: Level?, _ operation: (TemplateToken.Kind) -> Arithmetic?
  ) throws(TemplateError) -> Expression {
    let first = if let next { try arithmetic(next) } else { try unary() }
    var rest: [Expression.Operation] = []
    while let operation = operation(current.kind) {
      let offset = current.offset
      advance()
      let operand = if let next { try arithmetic(next) } else { try unary() }
      rest.append(Expression.Operation(operation: operation, operand: operand, offset: offset))
    }
    return rest.isEmpty ? first : .arithmetic(first, rest)
  }

  private static func sum(_ kind: TemplateToken.Kind) -> Arithmetic? {
    kind == .symbol(.add) ? .add : kind == .symbol(.subtract) ? .subtract : nil
  }

  private static func product(_ kind: TemplateToken.Kind) -> Arithmetic? {
    switch kind {
    case .symbol(.multiply): .multiply
    case .symbol(.divide): .divide
    case .symbol(.floorDivide): .floorDivide
    case .symbol(.modulo): .modulo
    default: nil
    }
  }

  private static func power(_ kind: TemplateToken.Kind) -> Arithmetic? {
    kind == .symbol(.power) ? .power : nil
  }

  private mutating func concatenation() throws(TemplateError) -> Expression {
    let first = try arithmetic(.product)
    let offset = current.offset
    guard isSymbol(.concatenate) else { return first }
    var operands = [first]
    while skip(.concatenate) { operands.append(try arithmetic(.product)) }
    return .concatenation(operands, at: offset)
  }

  /// A sign binds looser than attributes and calls, tighter than filters and tests.
  private mutating func unary(withFilters: Bool = true) throws(TemplateError) -> Expression {
    let offset = current.offset
    let value: Expression
    if skip(.subtract) {
      value = .negative(
        try nested { parser throws(TemplateError) in try parser.unary(withFilters: false) }, at: offset)
    } else if skip(.add) {
      value = .positive(
        try nested { parser throws(TemplateError) in try parser.unary(withFilters: false) }, at: offset)
    } else {
      value = try primary()
    }
    var suffixes: [Suffix] = []
    while let suffix = try postfix() { suffixes.append(suffix) }
    if withFilters { while let suffix = try filterOrTest() { suffixes.append(suffix) } }
    return suffixes.isEmpty ? value : .postfix(value, suffixes)
  }
}

// Names, literals and what stands in brackets.
extension TemplateParser {
  mutating func primary() throws(TemplateError) -> Expression {
    let token = current
    switch token.kind {
    case .name(let name):
      advance()
      return primary(name, at: token.offset)
    case .string(let text): return strings(text)
    case .integer(let value):
      advance()
      return .literal(.integer(value))
    case .float(let value):
      advance()
      return .literal(.float(value))
    case .symbol(.leftParenthesis): return try parenthesized()
    case .symbol(.leftBracket): return try list()
    case .symbol(.leftBrace): return try dictionary()
    default: throw unexpected("an expression")
    }
  }

  private mutating func primary(_ name: String, at offset: Int) -> Expression {
    switch name {
    case "true", "True": return .literal(.bool(true))
    case "false", "False": return .literal(.bool(false))
    case "none", "None": return .literal(.none)
    default:
      let symbol = symbols.symbol(name)
      use(symbol)
      return .name(symbol, at: offset)
    }
  }

  /// Strings that follow one another are one.
  private mutating func strings(_ first: Text) -> Expression {
    var text = first
    advance()
    while case .string(let more) = current.kind {
      text.append(more)
      advance()
    }
    return .literal(.string(text))
  }

  private mutating func parenthesized() throws(TemplateError) -> Expression {
    advance()
    let value = try nested { parser throws(TemplateError) in try parser.expressionOrTuple(allowsEmpty: true) }
    try expect(.rightParenthesis)
    return value
  }

  private mutating func list() throws(TemplateError) -> Expression {
    advance()
    var elements: [Expression] = []
    while !isSymbol(.rightBracket) {
      elements.append(try expression())
      guard skip(.comma) else { break }
    }
    try expect(.rightBracket)
    return .list(elements)
  }

  private mutating func dictionary() throws(TemplateError) -> Expression {
    let offset = current.offset
    advance()
    var entries: [Expression.Entry] = []
    while !isSymbol(.rightBrace) {
      let key = try expression()
      try expect(.colon)
      entries.append(Expression.Entry(key: key, value: try expression()))
      guard skip(.comma) else { break }
    }
    try expect(.rightBrace)
    return .dictionary(entries, at: offset)
  }

  /// What `for` and `set` assign to: a name, several names, or an attribute of a namespace.
  mutating func target(
    endsBefore end: String? = nil, allowsAttributes: Bool = false
  ) throws(TemplateError) -> Target {
    var targets: [Target] = []
    var isTuple = false
    while !isTupleEnd(end) {
      targets.append(try singleTarget(allowsAttributes))
      guard skip(.comma) else { break }
      isTuple = true
    }
    if !isTuple, let first = targets.first { return first }
    guard isTuple else { throw unexpected("a name") }
    return .tuple(targets)
  }

  private mutating func singleTarget(_ allowsAttributes: Bool) throws(TemplateError) -> Target {
    if skip(.leftParenthesis) {
      let inner = try nested { parser throws(TemplateError) in try parser.target() }
      try expect(.rightParenthesis)
      return inner
    }
    let offset = current.offset
    let name = try expectName()
    guard
      !["true", "True", "false", "False", "none", "None", "loop"].contains(name)
        || (name == "loop" && allowsAttributes)
    else { throw syntax("cannot assign to '\(name)'", at: offset) }
    let symbol = symbols.symbol(name)
    guard allowsAttributes, skip(.dot) else { return .name(symbol) }
    use(symbol)
    return .attribute(symbol, Text(try expectName()), at: offset)
  }
}
