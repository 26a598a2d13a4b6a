// Comparing and calculating, as Python does.
extension Value {
  /// Python's `==`; values of different kinds differ. O(n), paid for from the budget.
  func equals(_ other: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Bool {
    try budget.spend()
    if let left = number, let right = other.number {
      if let left = integer { return other.integer.map { $0 == left } ?? (Int(exactly: right) == left) }
      return other.integer.map { Int(exactly: left) == $0 } ?? (left == right)
    }
    switch (self, other) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let left), .string(let right)):
      try budget.spend(bytes: min(left.utf8.count, right.utf8.count))
      return left == right
    case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
      return try left.values.equals(right.values, budget)
    case (.dictionary(let left), .dictionary(let right)): return try left.equals(right, budget)
    case (.range(let left), .range(let right)): return left == right || (left.count == 0 && right.count == 0)
    case (.namespace(let left), .namespace(let right)): return left === right
    case (.loop(let left), .loop(let right)): return left === right
    default: return false
    }
  }

  /// Negative, zero or positive as in Python's ordering; values without an order fail.
  func order(_ other: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Int {
    try budget.spend()
    if let left = integer, let right = other.integer { return left < right ? -1 : left == right ? 0 : 1 }
    if let left = number, let right = other.number { return left < right ? -1 : left == right ? 0 : 1 }
    switch (self, other) {
    case (.string(let left), .string(let right)):
      try budget.spend(bytes: min(left.utf8.count, right.utf8.count))
      return left < right ? -1 : left == right ? 0 : 1
    case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
      return try left.values.order(right.values, budget)
    default:
      try requireDefined()
      try other.requireDefined()
      throw .evaluation("a \(typeName) cannot be ordered with a \(other.typeName)")
    }
  }

  /// Python's `in`. O(n).
  func contains(_ element: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Bool {
    switch self {
    case .string(let text):
      guard case .string(let part) = element else {
        throw .evaluation("'in' looks for a \(element.typeName) in a str")
      }
      try budget.spend(bytes: text.utf8.count)
      return text.contains(part)
    case .dictionary(let mapping):
      if case .undefined = element { return false }
      return mapping[try MappingKey(element)] != nil
    default:
      guard isIterable else { throw .evaluation("'in' cannot search a \(typeName)") }
      for value in try elements() where try value.equals(element, budget) { return true }
      return false
    }
  }
}

extension Array where Element == Value {
  func equals(_ other: [Value], _ budget: TemplateBudget) throws(TemplateProblem) -> Bool {
    guard count == other.count else { return false }
    for (left, right) in zip(self, other) where try !left.equals(right, budget) { return false }
    return true
  }

  func order(_ other: [Value], _ budget: TemplateBudget) throws(TemplateProblem) -> Int {
    for (left, right) in zip(self, other) where try !left.equals(right, budget) {
      return try left.order(right, budget)
    }
    return count < other.count ? -1 : count == other.count ? 0 : 1
  }
}

extension Mapping {
  func equals(_ other: Mapping, _ budget: TemplateBudget) throws(TemplateProblem) -> Bool {
    guard keys.count == other.keys.count else { return false }
    for (key, value) in zip(keys, values) {
      guard let match = other[try MappingKey(key)], try value.equals(match, budget) else { return false }
    }
    return true
  }
}

// Arithmetic.
extension Arithmetic {
  func apply(_ left: Value, _ right: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Value {
    try left.requireDefined()
    if self == .modulo, case .string(let format) = left {
      return .string(try format.percentFormatted(right, budget))
    }
    try right.requireDefined()
    if let left = left.integer, let right = right.integer { return try integers(left, right) }
    if let left = left.number, let right = right.number { return try floats(left, right) }
    switch self {
    case .add: return try joined(left, right, budget)
    case .multiply: return try repeated(left, right, budget)
    default: throw unsuitable(left, right)
    }
  }

  private var symbol: String {
    switch self {
    case .add: "+"
    case .subtract: "-"
    case .multiply: "*"
    case .divide: "/"
    case .floorDivide: "//"
    case .modulo: "%"
    case .power: "**"
    }
  }

  private func unsuitable(_ left: Value, _ right: Value) -> TemplateProblem {
    .evaluation("'\(symbol)' cannot combine a \(left.typeName) and a \(right.typeName)")
  }

  private func integers(_ left: Int, _ right: Int) throws(TemplateProblem) -> Value {
    switch self {
    case .add: return .integer(try checked(left.addingReportingOverflow(right)))
    case .subtract: return .integer(try checked(left.subtractingReportingOverflow(right)))
    case .multiply: return .integer(try checked(left.multipliedReportingOverflow(by: right)))
    case .divide: return try floats(Double(left), Double(right))
    case .floorDivide: return .integer(try left.floorDivided(by: right).quotient)
    case .modulo: return .integer(try left.floorDivided(by: right).remainder)
    case .power: return right < 0 ? try floats(Double(left), Double(right)) : .integer(try power(left, right))
    }
  }

  private func checked(_ result: (partialValue: Int, overflow: Bool)) throws(TemplateProblem) -> Int {
    guard !result.overflow else { throw .evaluation("a number is too large for 64 bits") }
    return result.partialValue
  }

  /// Repeated squaring. O(log exponent).
  private func power(_ base: Int, _ exponent: Int) throws(TemplateProblem) -> Int {
    var (result, factor, rest) = (1, base, exponent)
    while rest > 0 {
      if rest & 1 == 1 { result = try checked(result.multipliedReportingOverflow(by: factor)) }
      rest >>= 1
      if rest > 0 { factor = try checked(factor.multipliedReportingOverflow(by: factor)) }
    }
    return result
  }

  private func floats(_ left: Double, _ right: Double) throws(TemplateProblem) -> Value {
    switch self {
    case .add: return .float(left + right)
    case .subtract: return .float(left - right)
    case .multiply: return .float(left * right)
    case .divide, .floorDivide, .modulo:
      guard right != 0 else { throw .evaluation("division by zero") }
      return .float(quotient(left, right))
    case .power: throw .unsupported("a power of numbers that are not whole")
    }
  }

  private func quotient(_ left: Double, _ right: Double) -> Double {
    guard self != .divide else { return left / right }
    var remainder = left.truncatingRemainder(dividingBy: right)
    if remainder != 0, (remainder < 0) != (right < 0) { remainder += right }
    return self == .modulo ? remainder : ((left - remainder) / right).rounded()
  }

  private func joined(_ left: Value, _ right: Value, _ budget: TemplateBudget) throws(TemplateProblem)
    -> Value
  {
    switch (left, right) {
    case (.string(let left), .string(let right)):
      try budget.spend(bytes: left.utf8.count + right.utf8.count)
      return .string(left.adding(right))
    case (.list(let left), .list(let right)):
      try budget.spend(left.values.count + right.values.count)
      return try .list(left.values + right.values)
    case (.tuple(let left), .tuple(let right)):
      try budget.spend(left.values.count + right.values.count)
      return try .tuple(left.values + right.values)
    default: throw unsuitable(left, right)
    }
  }

  private func repeated(_ left: Value, _ right: Value, _ budget: TemplateBudget) throws(TemplateProblem)
    -> Value
  {
    guard let count = left.integer ?? right.integer else { throw unsuitable(left, right) }
    let times = max(0, count)
    switch left.integer == nil ? left : right {
    case .string(let text): return .string(try text.repeated(times, budget))
    case .list(let elements): return try .list(repeating(elements.values, times, budget))
    case .tuple(let elements): return try .tuple(repeating(elements.values, times, budget))
    default: throw unsuitable(left, right)
    }
  }

  private func repeating(_ values: [Value], _ times: Int, _ budget: TemplateBudget) throws(TemplateProblem)
    -> [Value]
  {
    try budget.spend(try checked(values.count.multipliedReportingOverflow(by: times)))
    return Array(repeatElement(values, count: times).joined())
  }
}

extension Int {
  /// Division that rounds down, as Python's.
  func floorDivided(by divisor: Int) throws(TemplateProblem) -> (quotient: Int, remainder: Int) {
    guard divisor != 0 else { throw .evaluation("division by zero") }
    guard !(self == .min && divisor == -1) else { throw .evaluation("a number is too large for 64 bits") }
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    guard remainder != 0, (remainder < 0) != (divisor < 0) else { return (quotient, remainder) }
    return (quotient - 1, remainder + divisor)
  }
}

extension Text {
  /// The text with markup characters escaped, unless it is markup already. O(n).
  var escaped: Text {
    guard !isMarkup else { return self }
    var result = Text(utf8: [], isMarkup: true)
    for byte in utf8 {
      switch byte {
      case UInt8(ascii: "&"): result.append("&amp;")
      case UInt8(ascii: "<"): result.append("&lt;")
      case UInt8(ascii: ">"): result.append("&gt;")
      case UInt8(ascii: "'"): result.append("&#39;")
      case UInt8(ascii: "\""): result.append("&#34;")
      default: result.append(byte)
      }
    }
    return result
  }

  /// Both texts; where one is markup the other is escaped, as MarkupSafe does.
  func adding(_ other: Text) -> Text {
    guard isMarkup || other.isMarkup else { return Text(utf8: utf8 + other.utf8) }
    return Text(utf8: escaped.utf8 + other.escaped.utf8, isMarkup: true)
  }

  func repeated(_ times: Int, _ budget: TemplateBudget) throws(TemplateProblem) -> Text {
    let (bytes, overflow) = utf8.count.multipliedReportingOverflow(by: times)
    guard !overflow else { throw .limit(.textBytes) }
    try budget.spend(bytes: bytes)
    return with(Array(repeatElement(utf8, count: bytes == 0 ? 0 : times).joined()))
  }
}
