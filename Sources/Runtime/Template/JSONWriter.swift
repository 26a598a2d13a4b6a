/// Writes values as Python's `json.dumps`, which is what templates get as `tojson` in chat use.
struct JSONWriter {
  private let options: Options
  private let budget: TemplateBudget
  private var text = Text(utf8: [])

  struct Options {
    var escapesNonASCII = false
    /// What one level is indented by; nil writes everything on one line.
    var indentation: Text?
    var itemSeparator: Text = ", "
    var keySeparator: Text = ": "
    var sortsKeys = false
  }

  private init(_ options: Options, _ budget: TemplateBudget) {
    self.options = options
    self.budget = budget
  }

  static func text(_ value: Value, _ options: Options, _ budget: TemplateBudget) throws(TemplateProblem)
    -> Text
  {
    var writer = JSONWriter(options, budget)
    try writer.write(value, level: 0)
    return writer.text
  }

  private mutating func write(_ value: Value, level: Int) throws(TemplateProblem) {
    try budget.spend()
    guard text.utf8.count <= budget.textBytes else { throw .limit(.textBytes) }
    switch value {
    case .none: text.append("null")
    case .bool(let bool): text.append(bool ? "true" : "false")
    case .integer(let integer): text.append("\(integer)")
    case .float(let float): text.append(Self.number(float))
    case .string(let string): try quote(string)
    case .list(let elements), .tuple(let elements): try write(elements.values, level)
    case .dictionary(let mapping): try write(mapping, level)
    default: throw .evaluation("a \(value.typeName) cannot be written as JSON")
    }
  }

  private static func number(_ float: Double) -> String {
    guard float.isFinite else { return float.isNaN ? "NaN" : float < 0 ? "-Infinity" : "Infinity" }
    return float.pythonDescription
  }

  private mutating func write(_ values: [Value], _ level: Int) throws(TemplateProblem) {
    guard !values.isEmpty else { return text.append("[]") }
    text.append("[")
    for (index, value) in values.enumerated() {
      if index > 0 { text.append(options.itemSeparator) }
      try newline(level + 1)
      try write(value, level: level + 1)
    }
    try newline(level)
    text.append("]")
  }

  private mutating func write(_ mapping: Mapping, _ level: Int) throws(TemplateProblem) {
    guard !mapping.keys.isEmpty else { return text.append("{}") }
    var items = mapping.items
    if options.sortsKeys {
      items = try items.sortedStably(budget) { left, right throws(TemplateProblem) in
        try left.key.order(right.key, budget) < 0
      }
    }
    text.append("{")
    for (index, item) in items.enumerated() {
      if index > 0 { text.append(options.itemSeparator) }
      try newline(level + 1)
      try quote(try key(item.key))
      text.append(options.keySeparator)
      try write(item.value, level: level + 1)
    }
    try newline(level)
    text.append("}")
  }

  private func key(_ value: Value) throws(TemplateProblem) -> Text {
    switch value {
    case .string(let text): return text
    case .none: return "null"
    case .bool(let bool): return bool ? "true" : "false"
    case .integer(let integer): return Text("\(integer)")
    case .float(let float): return Text(Self.number(float))
    default: throw .evaluation("a \(value.typeName) cannot be a key in JSON")
    }
  }

  private mutating func newline(_ level: Int) throws(TemplateProblem) {
    guard let indentation = options.indentation else { return }
    text.append("\n")
    text.append(try indentation.repeated(level, budget))
  }

  private mutating func quote(_ string: Text) throws(TemplateProblem) {
    try budget.spend(bytes: string.utf8.count)
    text.append("\"")
    if options.escapesNonASCII {
      for scalar in string.string.unicodeScalars {
        if scalar.isASCII { escape(UInt8(truncatingIfNeeded: scalar.value)) } else { escapeUnits(scalar) }
      }
    } else {
      for byte in string.utf8 { escape(byte) }
    }
    text.append("\"")
  }

  private mutating func escape(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): appendEscaped(byte)
    case 0x08: appendEscaped(UInt8(ascii: "b"))
    case 0x09: appendEscaped(UInt8(ascii: "t"))
    case 0x0A: appendEscaped(UInt8(ascii: "n"))
    case 0x0C: appendEscaped(UInt8(ascii: "f"))
    case 0x0D: appendEscaped(UInt8(ascii: "r"))
    case ..<0x20: text.append(Self.escape(unit: UInt16(byte)))
    default: text.append(byte)
    }
  }

  /// By bytes, for a text of many megabytes may be nothing but signs to escape.
  private mutating func appendEscaped(_ byte: UInt8) {
    text.append(UInt8(ascii: "\\"))
    text.append(byte)
  }

  private mutating func escapeUnits(_ scalar: Unicode.Scalar) {
    for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
      text.append(Self.escape(unit: unit))
    }
  }

  private static func escape(unit: UInt16) -> String {
    let digits = String(unit, radix: 16)
    return "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
  }
}

extension Array {
  /// A stable merge sort whose comparison may fail. O(n log n).
  func sortedStably(
    _ budget: TemplateBudget, by precedes: (Element, Element) throws(TemplateProblem) -> Bool
  ) throws(TemplateProblem) -> [Element] {
    guard count > 1 else { return self }
    try budget.spend(count)
    let middle = count / 2
    let left = try Array(self[..<middle]).sortedStably(budget, by: precedes)
    let right = try Array(self[middle...]).sortedStably(budget, by: precedes)
    var merged: [Element] = []
    merged.reserveCapacity(count)
    var (i, j) = (0, 0)
    while i < left.count, j < right.count {
      if try precedes(right[j], left[i]) {
        merged.append(right[j])
        j += 1
      } else {
        merged.append(left[i])
        i += 1
      }
    }
    return merged + left[i...] + right[j...]
  }
}
