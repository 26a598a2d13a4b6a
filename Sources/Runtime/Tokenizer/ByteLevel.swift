/// The alphabet of byte-level vocabularies: a printable character for every byte (GPT-2,
/// github.com/openai/gpt-2, src/encoder.py, `bytes_to_unicode`).
enum ByteLevel {
  /// The character of each byte.
  static let scalars: [Unicode.Scalar] = {
    var spare: UInt32 = 256
    return (UInt8.min...UInt8.max).map { byte in
      switch byte {
      case 0x21...0x7e, 0xa1...0xac, 0xae...0xff: return Unicode.Scalar(byte)
      default:
        defer { spare += 1 }
        return Unicode.Scalar(spare) ?? " "
      }
    }
  }()

  /// The byte of each character of the alphabet, by the character's number.
  private static let bytes: [UInt8?] = {
    var bytes = [UInt8?](repeating: nil, count: 512)
    for (byte, scalar) in zip(UInt8.min...UInt8.max, scalars) { bytes[Int(scalar.value)] = byte }
    return bytes
  }()

  /// The UTF-8 of each byte's character.
  static let encoded: [[UInt8]] = scalars.map { Array(String($0).utf8) }

  /// The bytes that `text` stands for; characters outside of the alphabet stand for themselves.
  static func decode(_ text: [UInt8]) -> [UInt8] {
    let span = text.span
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var offset = 0
    while offset < text.count {
      let width = span.scalarWidth(at: offset, limit: text.count)
      let lead = text[offset]
      let value = width == 2 ? Int(lead & 0x1f) << 6 | Int(text[offset + 1] & 0x3f) : Int(lead)
      if width <= 2, value < 512, width == 2 || lead < 0x80, let byte = bytes[value] {
        result.append(byte)
      } else {
        result.append(contentsOf: text[offset..<offset + width])
      }
      offset += width
    }
    return result
  }
}
