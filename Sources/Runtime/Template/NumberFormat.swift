/// How a replacement field writes a value: `[[fill]align][sign][#][0][width][,][.precision][type]`
/// (Python library reference, "Format Specification Mini-Language").
struct NumberFormat {
  var fill: Unicode.Scalar = " "
  var alignment: Unicode.Scalar?
  var sign: Unicode.Scalar = "-"
  var isAlternate = false
  var groups = false
  var width = 0
  var precision: Int?
  var type: Unicode.Scalar?

  /// Widths and precisions above this are refused.
  static let maximumSize = 10_000

  init() {}

  init(specification: Text) throws(TemplateProblem) {
    var rest = specification.scalars[...]
    if rest.count > 1, "<>^=".unicodeScalars.contains(rest[rest.startIndex + 1]) {
      fill = rest.removeFirst()
      alignment = rest.removeFirst()
    } else if let first = rest.first, "<>^=".unicodeScalars.contains(first) {
      alignment = rest.removeFirst()
    }
    if let first = rest.first, "+- ".unicodeScalars.contains(first) { sign = rest.removeFirst() }
    if rest.first == "#" {
      isAlternate = true
      rest.removeFirst()
    }
    if rest.first == "0" {
      rest.removeFirst()
      if alignment == nil { (fill, alignment) = ("0", "=") }
    }
    width = try Self.number(&rest) ?? 0
    if rest.first == "," {
      groups = true
      rest.removeFirst()
    }
    if rest.first == "." {
      rest.removeFirst()
      precision = try Self.number(&rest) ?? 0
    }
    type = rest.popFirst()
    guard rest.isEmpty else { throw .unsupported("the format '\(specification.string)'") }
  }

  /// Decimal digits at the start.
  static func number(_ rest: inout ArraySlice<Unicode.Scalar>) throws(TemplateProblem) -> Int? {
    var value: Int?
    while let digit = rest.first, ("0"..."9").contains(digit) {
      value = (value ?? 0) * 10 + Int(digit.value - 48)
      guard value ?? 0 <= maximumSize else { throw .evaluation("a format is wider than \(maximumSize)") }
      rest.removeFirst()
    }
    return value
  }

  /// The value in this format.
  func text(_ value: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Text {
    switch type {
    case nil where value.number != nil && !(value.isBool):
      return try padded(try number(value), isNumber: true, budget)
    case nil, "s": return try padded(try string(value, budget), isNumber: false, budget)
    default: return try padded(try number(value), isNumber: true, budget)
    }
  }

  private func string(_ value: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Text {
    let text = try Printer.text(value, budget)
    guard let precision else { return text }
    return Text(scalars: text.string.unicodeScalars.prefix(precision))
  }

  private func number(_ value: Value) throws(TemplateProblem) -> Text {
    guard let number = value.number else {
      throw .evaluation("a \(value.typeName) cannot be formatted as a number")
    }
    let isNegative = value.integer.map { $0 < 0 } ?? (number.sign == .minus)
    let digits = try magnitude(value, number)
    let mark = isNegative ? "-" : sign == "-" ? "" : "\(sign)"
    return Text(mark + (groups ? Self.grouped(digits) : digits))
  }

  private func magnitude(_ value: Value, _ number: Double) throws(TemplateProblem) -> String {
    switch type {
    case "d", "i", "u": return try whole(value, radix: 10)
    case "x": return (isAlternate ? "0x" : "") + (try whole(value, radix: 16))
    case "X": return (isAlternate ? "0X" : "") + (try whole(value, radix: 16)).uppercased()
    case "o": return (isAlternate ? "0o" : "") + (try whole(value, radix: 8))
    case "b": return (isAlternate ? "0b" : "") + (try whole(value, radix: 2))
    case "f", "F": return number.magnitude.fixed(precision ?? 6)
    case "%": return (number.magnitude * 100).fixed(precision ?? 6) + "%"
    case nil where precision == nil:
      return value.integer.map { "\($0.magnitude)" } ?? number.magnitude.pythonDescription
    default: throw .unsupported("the number format '\(type.map { "\($0)" } ?? "with precision")'")
    }
  }

  private func whole(_ value: Value, radix: Int) throws(TemplateProblem) -> String {
    guard let integer = value.integer else {
      throw .evaluation("a \(value.typeName) cannot be formatted as a whole number")
    }
    return String(integer.magnitude, radix: radix)
  }

  private static func grouped(_ digits: String) -> String {
    let whole = Array(digits.prefix { $0.isNumber })
    var result = ""
    for (index, digit) in whole.enumerated() {
      if index > 0, (whole.count - index) % 3 == 0 { result.append(",") }
      result.append(digit)
    }
    return result + digits.dropFirst(whole.count)
  }

  private func padded(_ text: Text, isNumber: Bool, _ budget: TemplateBudget) throws(TemplateProblem) -> Text
  {
    let missing = max(0, width - text.count)
    guard missing > 0 else { return text }
    let filler = Text("\(fill)")
    switch alignment ?? (isNumber ? ">" : "<") {
    case "<": return Text(utf8: text.utf8 + (try filler.repeated(missing, budget)).utf8)
    case "^":
      let left = try filler.repeated(missing / 2, budget)
      return Text(utf8: left.utf8 + text.utf8 + (try filler.repeated(missing - missing / 2, budget)).utf8)
    case "=":
      let hasSign = text.utf8.first.map { "+- ".utf8.contains($0) } ?? false
      let mark = text.utf8.prefix(hasSign ? 1 : 0)
      return Text(utf8: mark + (try filler.repeated(missing, budget)).utf8 + text.utf8.dropFirst(mark.count))
    default: return Text(utf8: (try filler.repeated(missing, budget)).utf8 + text.utf8)
    }
  }
}

extension Value {
  var isBool: Bool {
    if case .bool = self { true } else { false }
  }
}

extension Double {
  /// The magnitude with `precision` decimals, rounded half to even on its exact decimal value.
  func fixed(_ precision: Int) -> String {
    guard isFinite else { return pythonDescription }
    var digits = DecimalDigits(magnitude)
    digits.round(to: precision)
    return digits.text(precision)
  }
}

/// The exact decimal expansion of a number.
struct DecimalDigits {
  /// Decimal digits of the whole part and of the fraction.
  private var whole: [UInt8]
  private var fraction: [UInt8] = []

  init(_ number: Double) {
    // significand = m · 2^-52, so the number is m · 2^shift.
    let shift = number == 0 ? 0 : Int(number.exponent) - 52
    var digits = Self.digits(number == 0 ? 0 : number.significandBitPattern | (1 << 52))
    if number.isSubnormal { digits = Self.digits(number.significandBitPattern) }
    let power = number.isSubnormal ? -1074 : shift
    whole = digits
    if power > 0 { for _ in 0..<power { whole = Self.doubled(whole) } }
    if power < 0 { for _ in 0..<(-power) { halve() } }
  }

  private static func digits(_ value: UInt64) -> [UInt8] { "\(value)".utf8.map { $0 - 48 } }

  private static func doubled(_ digits: [UInt8]) -> [UInt8] {
    var result = digits
    var carry: UInt8 = 0
    for index in result.indices.reversed() {
      let value = result[index] * 2 + carry
      result[index] = value % 10
      carry = value / 10
    }
    return carry > 0 ? [carry] + result : result
  }

  private mutating func halve() {
    var rest: UInt8 = 0
    for index in whole.indices {
      let value = rest * 10 + whole[index]
      (whole[index], rest) = (value / 2, value % 2)
    }
    for index in fraction.indices {
      let value = rest * 10 + fraction[index]
      (fraction[index], rest) = (value / 2, value % 2)
    }
    if rest > 0 { fraction.append(5) }
    if whole.count > 1, whole.first == 0 { whole.removeFirst() }
  }

  mutating func round(to precision: Int) {
    guard fraction.count > precision else { return }
    let dropped = fraction[precision...]
    fraction.removeSubrange(precision...)
    let last = fraction.last ?? whole.last ?? 0
    let isHalf = dropped.first == 5 && dropped.dropFirst().allSatisfy { $0 == 0 }
    if dropped.first ?? 0 > 5 || (dropped.first == 5 && (!isHalf || last % 2 == 1)) { increment() }
  }

  private mutating func increment() {
    for index in fraction.indices.reversed() {
      guard fraction[index] == 9 else { return fraction[index] += 1 }
      fraction[index] = 0
    }
    for index in whole.indices.reversed() {
      guard whole[index] == 9 else { return whole[index] += 1 }
      whole[index] = 0
    }
    whole.insert(1, at: 0)
  }

  func text(_ precision: Int) -> String {
    let digits = String(decoding: whole.map { $0 + 48 }, as: UTF8.self)
    guard precision > 0 else { return digits }
    let decimals = String(decoding: fraction.map { $0 + 48 }, as: UTF8.self)
    return digits + "." + decimals + String(repeating: "0", count: max(0, precision - fraction.count))
  }
}
