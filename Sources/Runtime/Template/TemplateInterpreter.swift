/// Runs a parsed template once. Expressions are in `Evaluator.swift`, calls in `Calls.swift`.
final class TemplateInterpreter {
  let budget: TemplateBudget
  let limits: TemplateLimits
  let date: TemplateDate
  let symbols: SymbolTable
  /// The byte of the template that is being worked on, for errors.
  var offset = 0
  var scope: Scope
  var output: [UInt8] = []
  private var depth = 0
  /// What values may refer to in circles, taken apart at the end.
  private var closures: [Closure] = []
  private var namespaces: [Namespace] = []

  /// How a statement leaves the block that it is in.
  enum Flow { case next, breakLoop, continueLoop }

  init(symbols: SymbolTable, variables: [Int: Value], date: TemplateDate, limits: TemplateLimits) {
    self.symbols = symbols
    self.date = date
    self.limits = limits
    budget = TemplateBudget(limits)
    let globals = Scope(parent: nil)
    for builtin in Builtin.allCases {
      if let id = symbols.ids[builtin.rawValue] { globals.values[id] = .function(.builtin(builtin)) }
    }
    globals.values.merge(variables) { $1 }
    scope = Scope(parent: globals)
  }

  /// The text that the template makes.
  func run(_ body: [Statement]) throws(TemplateProblem) -> String {
    defer { release() }
    _ = try execute(body)
    return String(decoding: output, as: UTF8.self)
  }

  private func release() {
    for closure in closures {
      var scope: Scope? = closure.scope
      while let current = scope {
        scope = current.parent
        current.clear()
      }
    }
    for namespace in namespaces { namespace.attributes = [:] }
  }

  /// Runs `body` one level deeper; the levels of all active calls add up.
  func nested<T>(_ body: () throws(TemplateProblem) -> T) throws(TemplateProblem) -> T {
    guard depth < limits.depth else { throw .limit(.depth) }
    depth += 1
    defer { depth -= 1 }
    return try body()
  }

  func closure(_ macro: Macro) throws(TemplateProblem) -> Closure {
    try budget.spend()
    let closure = Closure(macro, scope)
    closures.append(closure)
    return closure
  }

  func namespace() throws(TemplateProblem) -> Namespace {
    try budget.spend()
    let namespace = Namespace()
    namespaces.append(namespace)
    return namespace
  }

  /// Adds to the output, or to what is being captured.
  func write(_ text: Text) throws(TemplateProblem) {
    try budget.spend(bytes: text.utf8.count)
    guard output.count + text.utf8.count <= limits.textBytes else { throw .limit(.textBytes) }
    output.append(contentsOf: text.utf8)
  }

  /// What `body` writes, and how it ended.
  func captured(_ body: () throws(TemplateProblem) -> Flow) throws(TemplateProblem) -> (
    text: Text, flow: Flow
  ) {
    var outer: [UInt8] = []
    swap(&output, &outer)
    defer { swap(&output, &outer) }
    let flow = try body()
    return (Text(utf8: output), flow)
  }

  /// Runs `body` with variables of its own, inside of the block `parent`.
  func scoped<T>(_ parent: Scope? = nil, _ body: () throws(TemplateProblem) -> T) throws(TemplateProblem) -> T
  {
    let outer = scope
    scope = Scope(parent: parent ?? outer)
    defer { scope = outer }
    return try body()
  }
}

// Statements.
extension TemplateInterpreter {
  func execute(_ body: [Statement]) throws(TemplateProblem) -> Flow {
    for statement in body {
      try budget.spend()
      let flow = try execute(statement)
      guard flow == .next else { return flow }
    }
    return .next
  }

  private func execute(_ statement: Statement) throws(TemplateProblem) -> Flow {
    switch statement {
    case .text(let text):
      try write(text)
      return .next
    case .output(let expression, let offset):
      let value = try evaluate(expression)
      self.offset = offset
      try write(try Printer.text(value, budget))
      return .next
    case .conditional(let branches, let otherwise): return try choose(branches, otherwise)
    case .loop(let loop): return try nested { () throws(TemplateProblem) in try run(loop) }
    case .breakLoop: return .breakLoop
    case .continueLoop: return .continueLoop
    case .macro(let macro):
      scope.values[macro.symbol.id] = .function(.macro(try closure(macro)))
      return .next
    case .assign(let target, let expression, let offset):
      let value = try evaluate(expression)
      self.offset = offset
      try assign(value, to: target)
      return .next
    default: return try nested { () throws(TemplateProblem) in try executeBlock(statement) }
    }
  }

  private func choose(_ branches: [Statement.Branch], _ otherwise: [Statement]) throws(TemplateProblem)
    -> Flow
  {
    for branch in branches where try evaluate(branch.condition).isTrue {
      return try nested { () throws(TemplateProblem) in try execute(branch.body) }
    }
    return try nested { () throws(TemplateProblem) in try execute(otherwise) }
  }

  /// Statements with a body that has variables of its own.
  private func executeBlock(_ statement: Statement) throws(TemplateProblem) -> Flow {
    switch statement {
    case .with(let bindings, let body, let offset): return try with(bindings, body, offset)
    case .scope(let body): return try scoped { () throws(TemplateProblem) in try execute(body) }
    case .assignBlock(let target, let filters, let body, let offset):
      let (text, flow) = try block(body)
      guard flow == .next else { return flow }
      let value = try apply(filters, to: .string(text))
      self.offset = offset
      try assign(value, to: target)
    case .filter(let filters, let body, let offset):
      let (text, flow) = try block(body)
      guard flow == .next else { return flow }
      let value = try apply(filters, to: .string(text))
      self.offset = offset
      try write(try Printer.text(value, budget))
    case .call(let macro, let expression, let offset):
      let value = try call(expression, caller: .function(.macro(try closure(macro))))
      self.offset = offset
      try write(try Printer.text(value, budget))
    default: break
    }
    return .next
  }

  private func block(_ body: [Statement]) throws(TemplateProblem) -> (text: Text, flow: Flow) {
    try captured { () throws(TemplateProblem) in
      try scoped { () throws(TemplateProblem) in try execute(body) }
    }
  }

  private func with(
    _ bindings: [Statement.Binding], _ body: [Statement], _ offset: Int
  ) throws(TemplateProblem) -> Flow {
    var values: [Value] = []
    for binding in bindings { values.append(try evaluate(binding.value)) }
    self.offset = offset
    return try scoped { () throws(TemplateProblem) in
      for (binding, value) in zip(bindings, values) { try assign(value, to: binding.target) }
      return try execute(body)
    }
  }

  func assign(_ value: Value, to target: Target) throws(TemplateProblem) {
    switch target {
    case .name(let symbol): scope.values[symbol.id] = value
    case .attribute(let symbol, let name, let offset):
      self.offset = offset
      guard case .namespace(let namespace)? = scope[symbol.id] else {
        throw .evaluation("'\(symbol.name)' is no namespace, so its attributes cannot be set")
      }
      try namespace.set(checked: name, value)
    case .tuple(let targets):
      let values = try value.elements()
      guard values.count == targets.count else {
        throw .evaluation("\(values.count) values cannot be assigned to \(targets.count) names")
      }
      for (target, value) in zip(targets, values) { try assign(value, to: target) }
    }
  }
}

extension Namespace {
  /// Sets an attribute, whose name must not start with an underscore.
  func set(checked name: Text, _ value: Value) throws(TemplateProblem) {
    guard name.utf8.first != UInt8(ascii: "_") else {
      throw .evaluation("a namespace cannot hold '\(name.string)', since the name starts with '_'")
    }
    set(name, value)
  }
}

// Loops.
extension TemplateInterpreter {
  private func run(_ loop: ForLoop) throws(TemplateProblem) -> Flow {
    let items = try evaluate(loop.items)
    offset = loop.offset
    return try run(loop, over: items, depth: 0)
  }

  /// Runs a loop over the elements of a value; `depth` counts recursive calls.
  func run(_ loop: ForLoop, over value: Value, depth: Int) throws(TemplateProblem) -> Flow {
    var items = try value.elements()
    try budget.spend(items.count)
    if let condition = loop.condition { items = try filtered(items, loop, condition) }
    let state = LoopState(items: items, depth: depth, recursion: loop.isRecursive ? (loop, scope) : nil)
    defer { state.finish() }
    for (index, item) in items.enumerated() {
      state.index = index
      let flow = try scoped { () throws(TemplateProblem) in
        try assign(item, to: loop.target)
        scope.values[SymbolTable.loop.id] = .loop(state)
        return try execute(loop.body)
      }
      if flow == .breakLoop { break }
    }
    if items.isEmpty, !loop.otherwise.isEmpty {
      return try scoped { () throws(TemplateProblem) in try execute(loop.otherwise) }
    }
    return .next
  }

  private func filtered(
    _ items: [Value], _ loop: ForLoop, _ condition: Expression
  ) throws(TemplateProblem) -> [Value] {
    var kept: [Value] = []
    for item in items {
      let keeps = try scoped { () throws(TemplateProblem) in
        try assign(item, to: loop.target)
        return try evaluate(condition).isTrue
      }
      if keeps { kept.append(item) }
    }
    return kept
  }
}
