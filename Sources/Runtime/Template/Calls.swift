// Calling macros, methods and functions.
extension TemplateInterpreter {
  /// Evaluates a call with the body of a call block as its `caller`.
  func call(_ expression: Expression, caller: Value) throws(TemplateProblem) -> Value {
    guard case .postfix(let base, let suffixes) = expression else { return try evaluate(expression) }
    return try apply(suffixes, to: try evaluate(base), caller: caller)
  }

  func call(_ callee: Value, _ arguments: CallArguments) throws(TemplateProblem) -> Value {
    switch callee {
    case .function(.macro(let closure)): return try call(closure, arguments)
    case .function(.method(let method)): return try call(method, arguments)
    case .function(.builtin(let builtin)): return try call(builtin, arguments)
    case .function(.joiner(let joiner)): return .string(joiner.next())
    case .function(.cyclerMethod(let cycler, "next")): return cycler.next()
    case .function(.cyclerMethod(let cycler, _)):
      cycler.position = 0
      return .none
    case .loop(let state): return try recurse(state, arguments)
    default:
      try callee.requireDefined()
      throw .evaluation("a \(callee.typeName) cannot be called")
    }
  }

  /// Runs the body of a recursive loop over other items.
  private func recurse(_ state: LoopState, _ arguments: CallArguments) throws(TemplateProblem) -> Value {
    guard let (loop, scope) = state.recursion else {
      throw .evaluation("only a loop marked 'recursive' can be called")
    }
    let items = try arguments.bound("iterable", to: "loop", required: 1)[0] ?? .none
    let outer = self.scope
    self.scope = scope
    defer { self.scope = outer }
    let (text, _) = try captured { () throws(TemplateProblem) in
      try run(loop, over: items, depth: state.depth + 1)
    }
    return .string(text)
  }

  private func call(_ closure: Closure, _ arguments: CallArguments) throws(TemplateProblem) -> Value {
    let (text, _) = try captured { () throws(TemplateProblem) in
      try scoped(closure.scope) { () throws(TemplateProblem) in
        try bind(arguments, closure.macro)
        return try execute(closure.macro.body)
      }
    }
    return .string(text)
  }

  /// Assigns arguments to a macro's parameters; what is left over goes to `varargs` and `kwargs`.
  private func bind(_ arguments: CallArguments, _ macro: Macro) throws(TemplateProblem) {
    var keywords = arguments.keywords
    func take(_ name: String) -> Value? {
      keywords.firstIndex { $0.name == name }.map { keywords.remove(at: $0).value }
    }
    for (index, parameter) in macro.parameters.enumerated() {
      let given =
        index < arguments.positional.count ? arguments.positional[index] : take(parameter.symbol.name)
      scope.values[parameter.symbol.id] = if let given { given } else { try missing(parameter) }
    }
    let name = macro.symbol.name
    if macro.usesCaller, !macro.parameters.contains(where: { $0.symbol.id == SymbolTable.caller.id }) {
      scope.values[SymbolTable.caller.id] =
        take("caller") ?? .undefined("'\(name)' was called without a body")
    }
    if macro.usesKwargs {
      let rest = try Mapping(keywords.map { (key: .text($0.name), value: $0.value) })
      scope.values[SymbolTable.kwargs.id] = .dictionary(rest)
    } else if let first = keywords.first {
      throw .evaluation("the macro '\(name)' does not take the argument '\(first.name)'")
    }
    if macro.usesVarargs {
      scope.values[SymbolTable.varargs.id] = try .tuple(
        Array(arguments.positional.dropFirst(macro.parameters.count)))
    } else if arguments.positional.count > macro.parameters.count {
      throw .evaluation("the macro '\(name)' takes at most \(macro.parameters.count) arguments")
    }
  }
}

// Methods.
extension TemplateInterpreter {
  private func missing(_ parameter: Macro.Parameter) throws(TemplateProblem) -> Value {
    guard let value = parameter.defaultValue else {
      return .undefined("the parameter '\(parameter.symbol.name)' was not given")
    }
    return try evaluate(value)
  }

  private func call(_ method: BoundMethod, _ arguments: CallArguments) throws(TemplateProblem) -> Value {
    switch method.receiver {
    case .string(let text):
      guard let name = TextMethod(rawValue: method.name) else { return .none }
      return try TextCall(method: name, text: text, arguments: arguments, budget: budget).value()
    case .dictionary(let mapping): return try call(method.name, mapping, arguments)
    case .list(let elements), .tuple(let elements): return try call(method, elements.values, arguments)
    case .loop(let loop):
      if method.name == "changed" { return .bool(try loop.changed(arguments.positional, budget)) }
      guard !arguments.positional.isEmpty else { throw .evaluation("loop.cycle needs values") }
      return arguments.positional[loop.index % arguments.positional.count]
    default: return .none
    }
  }

  private func call(_ name: String, _ mapping: Mapping, _ arguments: CallArguments) throws(TemplateProblem)
    -> Value
  {
    if name == "get" {
      let values = try arguments.bound("key", "default", to: "dict.get", required: 1)
      return mapping[try MappingKey(values[0] ?? .none)] ?? values[1] ?? .none
    }
    _ = try arguments.bound(to: "dict.\(name)")
    try budget.spend(mapping.keys.count)
    switch name {
    case "items": return .view(.items, try Elements(try mapping.pairs()))
    case "keys": return .view(.keys, try Elements(mapping.keys))
    case "values": return .view(.values, try Elements(mapping.values))
    default: return .dictionary(mapping)
    }
  }

  private func call(
    _ method: BoundMethod, _ values: [Value], _ arguments: CallArguments
  ) throws(TemplateProblem) -> Value {
    if method.name == "copy" { return method.receiver }
    let sought = try arguments.bound("value", to: "list.\(method.name)", required: 1)[0] ?? .none
    var count = 0
    for (index, value) in values.enumerated() where try value.equals(sought, budget) {
      if method.name == "index" { return .integer(index) }
      count += 1
    }
    guard method.name == "count" else { throw .evaluation("list.index did not find the value") }
    return .integer(count)
  }
}

// Functions that every template has.
extension TemplateInterpreter {
  private func call(_ builtin: Builtin, _ arguments: CallArguments) throws(TemplateProblem) -> Value {
    switch builtin {
    case .range: return .range(try range(arguments))
    case .dict: return .dictionary(try Mapping(try entries(arguments, "dict")))
    case .namespace:
      let namespace = try namespace()
      for entry in try entries(arguments, "namespace") {
        try namespace.set(checked: try entry.key.requireText("namespace"), entry.value)
      }
      return .namespace(namespace)
    case .joiner:
      let separator = try arguments.bound("sep", to: "joiner")[0]?.requireText("joiner")
      return .function(.joiner(Joiner(separator ?? ", ")))
    case .cycler: return .function(.cycler(try Cycler(arguments.positional)))
    case .raiseException:
      let message = try arguments.bound("message", to: "raise_exception", required: 1)[0] ?? .none
      throw .raised(try Printer.text(message, budget).string)
    case .now:
      let format = try arguments.bound("format", to: "strftime_now", required: 1)[0]?.requireText(
        "strftime_now")
      return .text(try date.formatted(format?.string ?? ""))
    }
  }

  private func range(_ arguments: CallArguments) throws(TemplateProblem) -> NumberRange {
    var numbers: [Int] = []
    for value in arguments.positional { numbers.append(try value.requireInteger("range")) }
    guard (1...3).contains(numbers.count), arguments.keywords.isEmpty else {
      throw .evaluation("range takes one to three numbers")
    }
    let (start, end) = numbers.count == 1 ? (0, numbers[0]) : (numbers[0], numbers[1])
    let step = numbers.count == 3 ? numbers[2] : 1
    guard step != 0 else { throw .evaluation("range cannot have the step 0") }
    guard step > 0 ? start < end : start > end else { return NumberRange(start: start, step: step, count: 0) }
    let distance = UInt(bitPattern: step > 0 ? end &- start : start &- end)
    let count = (distance - 1) / step.magnitude + 1
    guard count <= TemplateLimits.rangeLength else { throw .limit(.rangeLength) }
    return NumberRange(start: start, step: step, count: Int(count))
  }

  /// The entries of `dict(…)`: those of a dictionary or of pairs, then the named ones.
  private func entries(
    _ arguments: CallArguments, _ name: String
  ) throws(TemplateProblem) -> [(key: Value, value: Value)] {
    guard arguments.positional.count <= 1 else { throw .evaluation("\(name) takes one value") }
    var entries: [(key: Value, value: Value)] = []
    if case .dictionary(let mapping)? = arguments.positional.first {
      entries = mapping.items
    } else if let pairs = arguments.positional.first {
      for pair in try pairs.elements() {
        let pair = try pair.elements()
        guard pair.count == 2 else { throw .evaluation("\(name) needs pairs of key and value") }
        entries.append((key: pair[0], value: pair[1]))
      }
    }
    try budget.spend(entries.count)
    return entries + arguments.keywords.map { (key: .text($0.name), value: $0.value) }
  }
}
