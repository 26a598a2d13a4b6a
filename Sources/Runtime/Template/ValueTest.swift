/// The tests of Jinja (jinja.palletsprojects.com/en/stable/templates, "List of Builtin Tests").
enum ValueTest: String, CaseIterable {
  case boolean, callable, defined, divisibleby, escaped, even, filter, float, integer, iterable, lower,
    mapping, none
  case number, odd, sameas, sequence, string, test, undefined, upper, `in`, `true`, `false`
  case eq, ne, lt, le, gt, ge

  init?(name: String) {
    switch name {
    case "==", "equalto": self = .eq
    case "!=": self = .ne
    case "<", "lessthan": self = .lt
    case "<=": self = .le
    case ">", "greaterthan": self = .gt
    case ">=": self = .ge
    default: self.init(rawValue: name)
    }
  }

  private var takesArgument: Bool {
    switch self {
    case .divisibleby, .sameas, .in, .eq, .ne, .lt, .le, .gt, .ge: true
    default: false
    }
  }

  func holds(for value: Value, _ arguments: CallArguments, _ budget: TemplateBudget) throws(TemplateProblem)
    -> Bool
  {
    let name = "the test '\(rawValue)'"
    guard takesArgument else {
      _ = try arguments.bound(to: name)
      return try holds(for: value, budget)
    }
    let parameter = self == .divisibleby ? "num" : self == .in ? "seq" : "other"
    let argument = try arguments.bound(parameter, to: name, required: 1)[0] ?? .none
    return try holds(for: value, argument, budget)
  }

  private func holds(for value: Value, _ argument: Value, _ budget: TemplateBudget) throws(TemplateProblem)
    -> Bool
  {
    switch self {
    case .divisibleby: return try value.isDivisible(by: argument)
    case .sameas: return try value.isSame(as: argument, budget)
    case .in: return try argument.contains(value, budget)
    case .eq: return try value.equals(argument, budget)
    case .ne: return try !value.equals(argument, budget)
    case .lt: return try value.order(argument, budget) < 0
    case .le: return try value.order(argument, budget) <= 0
    case .gt: return try value.order(argument, budget) > 0
    default: return try value.order(argument, budget) >= 0
    }
  }

  private func holds(for value: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Bool {
    switch self {
    case .defined: return !value.isUndefined
    case .undefined: return value.isUndefined
    case .none: return value.isNone
    case .even: return try value.isDivisible(by: .integer(2))
    case .odd:
      let rest = try Arithmetic.modulo.apply(value, .integer(2), budget)
      return try rest.equals(.integer(1), budget)
    case .lower: return try Printer.text(value, budget).isCase(upper: false)
    case .upper: return try Printer.text(value, budget).isCase(upper: true)
    case .filter: return TemplateFilter(name: try value.requireText("the test 'filter'").string) != nil
    case .test: return ValueTest(name: try value.requireText("the test 'test'").string) != nil
    default: return holds(for: value)
    }
  }

  /// Tests of the kind of a value.
  private func holds(for value: Value) -> Bool {
    switch (self, value) {
    case (.boolean, .bool), (.integer, .integer), (.float, .float), (.string, .string),
      (.mapping, .dictionary),
      (.number, .bool), (.number, .integer), (.number, .float), (.callable, .function),
      (.callable, .undefined),
      (.sequence, .undefined), (.sequence, .string), (.sequence, .list), (.sequence, .tuple),
      (.sequence, .dictionary),
      (.sequence, .range):
      true
    case (.true, .bool(let bool)): bool
    case (.false, .bool(let bool)): !bool
    case (.escaped, .string(let text)): text.isMarkup
    case (.iterable, _): value.isIterable
    default: false
    }
  }
}

extension Value {
  fileprivate func isDivisible(by divisor: Value) throws(TemplateProblem) -> Bool {
    guard let left = integer, let right = divisor.integer else {
      try requireDefined()
      throw .evaluation("only whole numbers can be tested for division")
    }
    return try left.floorDivided(by: right).remainder == 0
  }

  /// Python's `is`, as far as values without identity have it.
  fileprivate func isSame(as other: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Bool {
    switch (self, other) {
    case (.bool(let left), .bool(let right)): left == right
    case (.none, .none): true
    case (.dictionary(let left), .dictionary(let right)): left === right
    case (.bool, _), (_, .bool), (.float, .integer), (.integer, .float): false
    default: try equals(other, budget)
    }
  }
}
