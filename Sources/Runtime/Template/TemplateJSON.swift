/// Why a JSON text could not be read as a template's value.
public enum TemplateJSONError: Error, Equatable, CustomStringConvertible {
  /// The text is no JSON from this byte on.
  case malformed(offset: Int)
  case tooDeep(offset: Int)
  case numberTooLarge(offset: Int)

  /// One line: what is wrong, where, what to do.
  public var description: String {
    switch self {
    case .malformed(let offset): "the JSON text is malformed at byte \(offset); correct it"
    case .tooDeep(let offset):
      "the JSON text nests more than \(TemplateLimits.valueDepth) levels at byte \(offset); flatten it"
    case .numberTooLarge(let offset):
      "the JSON text has a number beyond 64 bits at byte \(offset); make it a string"
    }
  }
}

extension TemplateValue {
  /// Reads a JSON text (RFC 8259), keeping the order of keys, which `tojson` in templates shows.
  ///
  /// - Throws: `TemplateJSONError` with the byte.
  /// - Complexity: O(n).
  public init(json: String) throws(TemplateJSONError) {
    var reader = TemplateJSONReader(bytes: Array(json.utf8))
    self = try reader.document()
  }
}

private struct TemplateJSONReader {
  let bytes: [UInt8]
  var position = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  private var byte: UInt8? { position < bytes.count ? bytes[position] : nil }
  private var malformed: TemplateJSONError { .malformed(offset: position) }

  mutating func document() throws(TemplateJSONError) -> TemplateValue {
    let value = try value(depth: 0)
    skipSpace()
    guard byte == nil else { throw malformed }
    return value
  }

  private mutating func skipSpace() {
    while let byte, byte == 0x20 || (0x09...0x0A).contains(byte) || byte == 0x0D { position += 1 }
  }

  private mutating func skip(_ expected: UInt8) -> Bool {
    skipSpace()
    guard byte == expected else { return false }
    position += 1
    return true
  }

  private mutating func value(depth: Int) throws(TemplateJSONError) -> TemplateValue {
    guard depth < TemplateLimits.valueDepth else { throw .tooDeep(offset: position) }
    skipSpace()
    switch byte {
    case UInt8(ascii: "{"): return try dictionary(depth: depth + 1)
    case UInt8(ascii: "["): return try list(depth: depth + 1)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .none)
    default: return try number()
    }
  }

  private mutating func word(_ word: StaticString, _ value: TemplateValue) throws(TemplateJSONError)
    -> TemplateValue
  {
    guard bytes[position...].starts(with: word.description.utf8) else { throw malformed }
    position += word.utf8CodeUnitCount
    return value
  }

  private mutating func list(depth: Int) throws(TemplateJSONError) -> TemplateValue {
    position += 1
    var elements: [TemplateValue] = []
    guard !skip(UInt8(ascii: "]")) else { return .list([]) }
    repeat { elements.append(try value(depth: depth)) } while skip(UInt8(ascii: ","))
    guard skip(UInt8(ascii: "]")) else { throw malformed }
    return .list(elements)
  }

  private mutating func dictionary(depth: Int) throws(TemplateJSONError) -> TemplateValue {
    position += 1
    var entries: [TemplateDictionary.Entry] = []
    guard !skip(UInt8(ascii: "}")) else { return .dictionary([:]) }
    repeat {
      skipSpace()
      guard byte == UInt8(ascii: "\"") else { throw malformed }
      let key = try string()
      guard skip(UInt8(ascii: ":")) else { throw malformed }
      entries.append(TemplateDictionary.Entry(key: key, value: try value(depth: depth)))
    } while skip(UInt8(ascii: ","))
    guard skip(UInt8(ascii: "}")) else { throw malformed }
    return .dictionary(TemplateDictionary(entries))
  }

  private mutating func number() throws(TemplateJSONError) -> TemplateValue {
    let start = position
    while let byte, "+-.eE0123456789".utf8.contains(byte) { position += 1 }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    guard let first = bytes[start..<position].first, first != UInt8(ascii: "+"), first != UInt8(ascii: ".")
    else {
      throw .malformed(offset: start)
    }
    if let integer = Int(text) { return .integer(integer) }
    guard let float = Double(text) else { throw .malformed(offset: start) }
    guard float.isFinite, text.contains(where: { ".eE".contains($0) }) else {
      throw .numberTooLarge(offset: start)
    }
    return .float(float)
  }
}

// Strings.
extension TemplateJSONReader {
  private mutating func string() throws(TemplateJSONError) -> String {
    position += 1
    var result: [UInt8] = []
    while let byte, byte != UInt8(ascii: "\"") {
      guard byte >= 0x20 else { throw malformed }
      position += 1
      if byte == UInt8(ascii: "\\") { try escape(&result) } else { result.append(byte) }
    }
    guard byte != nil else { throw malformed }
    position += 1
    return String(decoding: result, as: UTF8.self)
  }

  private mutating func escape(_ result: inout [UInt8]) throws(TemplateJSONError) {
    guard let letter = byte else { throw malformed }
    position += 1
    switch letter {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(letter)
    case UInt8(ascii: "b"): result.append(0x08)
    case UInt8(ascii: "f"): result.append(0x0C)
    case UInt8(ascii: "n"): result.append(0x0A)
    case UInt8(ascii: "r"): result.append(0x0D)
    case UInt8(ascii: "t"): result.append(0x09)
    case UInt8(ascii: "u"): try unicode(&result)
    default: throw malformed
    }
  }

  /// `\uXXXX`, or two of them for code points beyond 16 bits.
  private mutating func unicode(_ result: inout [UInt8]) throws(TemplateJSONError) {
    var value = UInt32(try unit())
    if (0xD800..<0xDC00).contains(value), bytes[position...].starts(with: "\\u".utf8) {
      position += 2
      let low = UInt32(try unit())
      guard (0xDC00..<0xE000).contains(low) else { throw malformed }
      value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
    }
    guard let scalar = Unicode.Scalar(value) else { throw malformed }
    result.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
  }

  private mutating func unit() throws(TemplateJSONError) -> UInt16 {
    let digits = bytes[position...].prefix(4)
    guard digits.count == 4, digits.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }),
      let value = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
    else { throw malformed }
    position += 4
    return value
  }
}
