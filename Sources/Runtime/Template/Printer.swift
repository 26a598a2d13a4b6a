/// Writes values as Python's `str` and `repr` do, within the budget.
struct Printer {
  private let budget: TemplateBudget
  private(set) var text = Text(utf8: [])

  private init(_ budget: TemplateBudget) { self.budget = budget }

  /// `str(value)`. O(n) in the length of the result.
  static func text(_ value: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Text {
    switch value {
    case .undefined: return ""
    case .string(let text): return text
    case .integer(let integer): return Text("\(integer)")
    default:
      var printer = Printer(budget)
      try printer.write(value, level: 0)
      return printer.text
    }
  }

  /// `repr(value)`.
  static func representation(_ value: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Text {
    var printer = Printer(budget)
    try printer.write(value, level: 0)
    return printer.text
  }

  private mutating func write(_ value: Value, level: Int) throws(TemplateProblem) {
    try budget.spend()
    guard text.utf8.count <= budget.textBytes else { throw .limit(.textBytes) }
    guard level <= TemplateLimits.valueDepth else { throw .limit(.valueDepth) }
    switch value {
    case .undefined: text.append("Undefined")
    case .none: text.append("None")
    case .bool(let bool): text.append(bool ? "True" : "False")
    case .integer(let integer): text.append("\(integer)")
    case .float(let float): text.append(float.pythonDescription)
    case .string(let string): try quote(string)
    case .list(let elements): try write(elements.values, "[", "]", level)
    case .tuple(let elements): try write(elements.values, "(", elements.values.count == 1 ? ",)" : ")", level)
    case .dictionary(let mapping): try write(mapping.items, level)
    case .view(let kind, let elements): try write(elements.values, "\(kind.rawValue)([", "])", level)
    case .namespace(let namespace): try write(namespace, level)
    case .range, .generator, .loop, .function: text.append(Self.name(value))
    }
  }

  private static func name(_ value: Value) -> String {
    switch value {
    case .range(let range):
      let end = range.start &+ range.step &* range.count
      return "range(\(range.start), \(end)\(range.step == 1 ? "" : ", \(range.step)"))"
    case .loop(let loop): return "<LoopContext \(loop.index + 1)/\(loop.count)>"
    case .function(.macro(let closure)): return "<Macro '\(closure.macro.symbol.name)'>"
    default: return "<\(value.typeName)>"
    }
  }

  private mutating func write(_ values: [Value], _ open: String, _ close: String, _ level: Int)
    throws(TemplateProblem)
  {
    text.append(open)
    for (index, value) in values.enumerated() {
      if index > 0 { text.append(", ") }
      try write(value, level: level + 1)
    }
    text.append(close)
  }

  private mutating func write(_ items: [(key: Value, value: Value)], _ level: Int) throws(TemplateProblem) {
    text.append("{")
    for (index, item) in items.enumerated() {
      if index > 0 { text.append(", ") }
      try write(item.key, level: level + 1)
      text.append(": ")
      try write(item.value, level: level + 1)
    }
    text.append("}")
  }

  private mutating func write(_ namespace: Namespace, _ level: Int) throws(TemplateProblem) {
    text.append("<Namespace ")
    try write(namespace.keys.map { (key: .string($0), value: namespace.attributes[$0] ?? .none) }, level)
    text.append(">")
  }

  private mutating func quote(_ string: Text) throws(TemplateProblem) {
    try budget.spend(bytes: string.utf8.count)
    let hasSingle = string.utf8.contains(UInt8(ascii: "'"))
    let usesDouble = hasSingle && !string.utf8.contains(UInt8(ascii: "\""))
    let mark: Unicode.Scalar = usesDouble ? "\"" : "'"
    if string.isMarkup { text.append("Markup(") }
    text.append(mark)
    for scalar in string.string.unicodeScalars { escape(scalar, mark) }
    text.append(mark)
    if string.isMarkup { text.append(")") }
  }

  private mutating func escape(_ scalar: Unicode.Scalar, _ mark: Unicode.Scalar) {
    switch scalar {
    case mark, "\\":
      text.append("\\")
      text.append(scalar)
    case "\n": text.append("\\n")
    case "\r": text.append("\\r")
    case "\t": text.append("\\t")
    default:
      if scalar.isPrintable { text.append(scalar) } else { text.append(Self.hexadecimal(scalar.value)) }
    }
  }

  private static func hexadecimal(_ value: UInt32) -> String {
    let (letter, width) = value < 0x100 ? ("x", 2) : value < 0x10000 ? ("u", 4) : ("U", 8)
    let digits = String(value, radix: 16)
    return "\\\(letter)" + String(repeating: "0", count: width - digits.utf8.count) + digits
  }
}

extension Double {
  /// The shortest digits that read back as the same number, written as Python's `repr` does:
  /// with an exponent below 1e-4 and from 1e16 on.
  var pythonDescription: String {
    guard isFinite else { return isNaN ? "nan" : self < 0 ? "-inf" : "inf" }
    let (digits, exponent) = shortestDigits
    let sign = self.sign == .minus ? "-" : ""
    if exponent < -4 || exponent >= 16 {
      let fraction = digits.dropFirst().isEmpty ? "" : "." + digits.dropFirst()
      let size = "\(abs(exponent))"
      return
        "\(sign)\(digits.prefix(1))\(fraction)e\(exponent < 0 ? "-" : "+")\(size.utf8.count < 2 ? "0" : "")\(size)"
    }
    guard exponent >= 0 else { return sign + "0." + String(repeating: "0", count: -exponent - 1) + digits }
    let whole = digits.prefix(exponent + 1)
    let rest = digits.dropFirst(exponent + 1)
    let zeros = String(repeating: "0", count: max(0, exponent + 1 - digits.utf8.count))
    return "\(sign)\(whole)\(zeros).\(rest.isEmpty ? "0" : rest)"
  }

  /// The shortest digits and the power of ten of the first one.
  private var shortestDigits: (digits: String, exponent: Int) {
    let parts = magnitude.description.split(separator: "e")
    let mantissa = (parts.first ?? "0").split(separator: ".", omittingEmptySubsequences: false)
    let whole = String(mantissa.first ?? "0")
    let fraction = mantissa.count > 1 ? String(mantissa[1]) : ""
    let all = whole + (fraction == "0" ? "" : fraction)
    let leading = all.prefix { $0 == "0" }.utf8.count
    var digits = String(all.dropFirst(leading))
    while digits.last == "0" { digits.removeLast() }
    guard !digits.isEmpty else { return ("0", 0) }
    let written = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
    return (digits, written + whole.utf8.count - 1 - leading)
  }
}
