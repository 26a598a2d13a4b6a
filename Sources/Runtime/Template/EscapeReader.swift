/// Reads the escapes of a string literal (Python language reference, "String and Bytes literals").
struct EscapeReader {
  private let bytes: ArraySlice<UInt8>
  private var position: Int
  private var result: [UInt8] = []

  init(bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  /// The text, or nil where an escape is malformed or names half of a surrogate pair.
  mutating func text() -> Text? {
    result.reserveCapacity(bytes.count)
    while position < bytes.endIndex {
      let byte = bytes[position]
      position += 1
      if byte != UInt8(ascii: "\\") {
        result.append(byte)
      } else if !escape() {
        return nil
      }
    }
    return Text(utf8: result)
  }

  private mutating func escape() -> Bool {
    guard position < bytes.endIndex else { return false }
    let letter = bytes[position]
    position += 1
    switch letter {
    case 0x0A: return true
    case UInt8(ascii: "x"): return hexadecimal(2)
    case UInt8(ascii: "u"): return hexadecimal(4)
    case UInt8(ascii: "U"): return hexadecimal(8)
    case UInt8(ascii: "N"): return false
    case UInt8(ascii: "0")...UInt8(ascii: "7"): return octal(letter)
    default:
      if let plain = Self.plain(letter) {
        result.append(plain)
      } else {
        result += [UInt8(ascii: "\\"), letter]
      }
      return true
    }
  }

  private static func plain(_ letter: UInt8) -> UInt8? {
    switch letter {
    case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): letter
    case UInt8(ascii: "a"): 0x07
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "t"): 0x09
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "v"): 0x0B
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "r"): 0x0D
    default: nil
    }
  }

  private mutating func hexadecimal(_ count: Int) -> Bool {
    guard bytes.endIndex - position >= count else { return false }
    let digits = String(decoding: bytes[position..<position + count], as: UTF8.self)
    position += count
    guard digits.utf8.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }) else { return false }
    return append(UInt32(digits, radix: 16))
  }

  private mutating func octal(_ first: UInt8) -> Bool {
    var value = UInt32(first - UInt8(ascii: "0"))
    for _ in 0..<2 {
      guard position < bytes.endIndex, (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(bytes[position])
      else { break }
      value = value * 8 + UInt32(bytes[position] - UInt8(ascii: "0"))
      position += 1
    }
    return append(value)
  }

  private mutating func append(_ value: UInt32?) -> Bool {
    guard let value, let scalar = Unicode.Scalar(value) else { return false }
    result.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    return true
  }
}
