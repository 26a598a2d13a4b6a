// Expressions.
extension TemplateInterpreter {
  func evaluate(_ expression: Expression) throws(TemplateProblem) -> Value {
    switch expression {
    case .literal(let literal): return literal.value
    case .name(let symbol, let offset): return name(symbol, offset)
    case .postfix(let base, let suffixes):
      return try nested { () throws(TemplateProblem) in try apply(suffixes, to: try evaluate(base)) }
    default: return try nested { () throws(TemplateProblem) in try evaluateCompound(expression) }
    }
  }

  private func name(_ symbol: TemplateSymbol, _ offset: Int) -> Value {
    self.offset = offset
    return scope[symbol.id] ?? .undefined("'\(symbol.name)' is undefined")
  }

  private func evaluateCompound(_ expression: Expression) throws(TemplateProblem) -> Value {
    try budget.spend()
    switch expression {
    case .list(let elements): return try .list(try evaluate(elements))
    case .tuple(let elements): return try .tuple(try evaluate(elements))
    case .dictionary(let entries, let offset): return try dictionary(entries, offset)
    case .not(let operand): return .bool(try !evaluate(operand).isTrue)
    case .all(let operands): return try firstOperand(operands) { !$0.isTrue }
    case .any(let operands): return try firstOperand(operands) { $0.isTrue }
    case .comparison(let first, let rest): return try compare(first, rest)
    case .arithmetic(let first, let rest): return try calculate(first, rest)
    case .concatenation(let operands, let offset): return try concatenate(operands, offset)
    case .conditional(let condition, let then, let otherwise):
      if try evaluate(condition).isTrue { return try evaluate(then) }
      guard let otherwise else { return .undefined("the 'if' has no 'else'") }
      return try evaluate(otherwise)
    case .negative(let operand, let offset): return try signed(operand, offset, negative: true)
    case .positive(let operand, let offset): return try signed(operand, offset, negative: false)
    case .literal, .name, .postfix: return try evaluate(expression)
    }
  }

  func evaluate(_ expressions: [Expression]) throws(TemplateProblem) -> [Value] {
    var values: [Value] = []
    values.reserveCapacity(expressions.count)
    for expression in expressions { values.append(try evaluate(expression)) }
    return values
  }

  private func dictionary(_ entries: [Expression.Entry], _ offset: Int) throws(TemplateProblem) -> Value {
    var values: [(key: Value, value: Value)] = []
    for entry in entries { values.append((key: try evaluate(entry.key), value: try evaluate(entry.value))) }
    self.offset = offset
    return .dictionary(try Mapping(values))
  }

  /// The first operand that decides, else the last; the ones after it are not evaluated.
  private func firstOperand(_ operands: [Expression], decides: (Value) -> Bool) throws(TemplateProblem)
    -> Value
  {
    var value = Value.none
    for operand in operands {
      value = try evaluate(operand)
      if decides(value) { break }
    }
    return value
  }

  private func compare(_ first: Expression, _ rest: [Expression.Comparison]) throws(TemplateProblem) -> Value
  {
    var left = try evaluate(first)
    for comparison in rest {
      let right = try evaluate(comparison.operand)
      offset = comparison.offset
      guard try comparison.relation.holds(left, right, budget) else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  private func calculate(_ first: Expression, _ rest: [Expression.Operation]) throws(TemplateProblem) -> Value
  {
    var value = try evaluate(first)
    for operation in rest {
      let operand = try evaluate(operation.operand)
      offset = operation.offset
      value = try operation.operation.apply(value, operand, budget)
    }
    return value
  }

  private func concatenate(_ operands: [Expression], _ offset: Int) throws(TemplateProblem) -> Value {
    var text = Text(utf8: [])
    for operand in operands {
      let part = try Printer.text(try evaluate(operand), budget)
      self.offset = offset
      try budget.spend(bytes: part.utf8.count)
      guard text.utf8.count + part.utf8.count <= budget.textBytes else { throw .limit(.textBytes) }
      text.append(part)
    }
    return .string(text)
  }

  private func signed(_ operand: Expression, _ offset: Int, negative: Bool) throws(TemplateProblem) -> Value {
    let value = try evaluate(operand)
    self.offset = offset
    try value.requireDefined()
    if let integer = value.integer {
      guard !negative || integer != .min else { throw .evaluation("a number is too large for 64 bits") }
      return .integer(negative ? -integer : integer)
    }
    guard let number = value.number else { throw .evaluation("a \(value.typeName) has no sign") }
    return .float(negative ? -number : number)
  }
}

extension Literal {
  var value: Value {
    switch self {
    case .none: .none
    case .bool(let bool): .bool(bool)
    case .integer(let integer): .integer(integer)
    case .float(let float): .float(float)
    case .string(let text): .string(text)
    }
  }
}

extension Relation {
  func holds(_ left: Value, _ right: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Bool {
    switch self {
    case .equal: return try left.equals(right, budget)
    case .notEqual: return try !left.equals(right, budget)
    case .less: return try left.order(right, budget) < 0
    case .lessOrEqual: return try left.order(right, budget) <= 0
    case .greater: return try left.order(right, budget) > 0
    case .greaterOrEqual: return try left.order(right, budget) >= 0
    case .contained: return try right.contains(left, budget)
    case .notContained: return try !right.contains(left, budget)
    }
  }
}

// Suffixes: attributes, items, calls, filters, tests.
extension TemplateInterpreter {
  func apply(_ suffixes: [Suffix], to base: Value, caller: Value? = nil) throws(TemplateProblem) -> Value {
    var value = base
    for (index, suffix) in suffixes.enumerated() {
      try budget.spend()
      value = try apply(suffix, to: value, caller: index == suffixes.count - 1 ? caller : nil)
    }
    return value
  }

  private func apply(_ suffix: Suffix, to value: Value, caller: Value?) throws(TemplateProblem) -> Value {
    switch suffix.kind {
    case .attribute(let name):
      offset = suffix.offset
      return try value.attribute(name)
    case .item(let expression):
      let item = try evaluate(expression)
      offset = suffix.offset
      return try value.item(item, budget)
    case .slice(let start, let end, let step):
      let bounds = try [start, end, step].evaluated(by: self)
      offset = suffix.offset
      return try value.slice(bounds[0], bounds[1], bounds[2], budget)
    case .call(let list):
      var arguments = try evaluate(list)
      if let caller { arguments.keywords.append(CallArguments.Keyword(name: "caller", value: caller)) }
      offset = suffix.offset
      return try nested { () throws(TemplateProblem) in try call(value, arguments) }
    case .filter(let filter, let list):
      let arguments = try evaluate(list)
      offset = suffix.offset
      return try FilterCall(filter: filter, input: value, arguments: arguments, budget: budget).value()
    case .test(let test, let list, let negated):
      let arguments = try evaluate(list)
      offset = suffix.offset
      return .bool(try test.holds(for: value, arguments, budget) != negated)
    case .unknown(let feature):
      offset = suffix.offset
      throw .unsupported(feature)
    }
  }

  func evaluate(_ list: ArgumentList) throws(TemplateProblem) -> CallArguments {
    var arguments = CallArguments(positional: try evaluate(list.positional))
    for keyword in list.keywords {
      arguments.keywords.append(CallArguments.Keyword(name: keyword.name, value: try evaluate(keyword.value)))
    }
    if let spread = list.spread {
      let values = try evaluate(spread).elements()
      try budget.spend(values.count)
      arguments.positional += values
    }
    if let spread = list.keywordSpread {
      guard case .dictionary(let mapping) = try evaluate(spread) else {
        throw .evaluation("'**' needs a dict")
      }
      try budget.spend(mapping.keys.count)
      for (key, value) in mapping.items {
        arguments.keywords.append(
          CallArguments.Keyword(name: try key.requireText("'**'").string, value: value))
      }
    }
    return arguments
  }
}

extension Array where Element == Expression? {
  fileprivate func evaluated(by interpreter: TemplateInterpreter) throws(TemplateProblem) -> [Value?] {
    var values: [Value?] = []
    for expression in self {
      if let expression { values.append(try interpreter.evaluate(expression)) } else { values.append(nil) }
    }
    return values
  }
}
