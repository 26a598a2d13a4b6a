/// Turns a file's bytes into UTF-8 with `\n` line ends.
///
/// A byte order mark decides; otherwise valid UTF-8 is taken as such, and anything else as
/// Windows-1252, which holds Latin-1 (WHATWG Encoding Standard, 4.2 and 9.1).
enum TextDecoding {
  /// - Complexity: O(bytes).
  /// - Throws: `ReadError.binary` for zero bytes or many control characters.
  static func utf8(_ bytes: ArraySlice<UInt8>) throws(ReadError) -> [UInt8] {
    let decoded: [UInt8]
    switch Array(bytes.prefix(3)) {
    case [0xEF, 0xBB, 0xBF]: decoded = unicode(bytes.dropFirst(3))
    case let mark where mark.starts(with: [0xFF, 0xFE]): decoded = utf16(bytes.dropFirst(2), bigEndian: false)
    case let mark where mark.starts(with: [0xFE, 0xFF]): decoded = utf16(bytes.dropFirst(2), bigEndian: true)
    default:
      guard !isBinary(bytes) else { throw .binary }
      decoded = unicode(bytes)
    }
    guard !isBinary(decoded[...]) else { throw .binary }
    return withPlainLineEnds(decoded)
  }

  /// Zero bytes never occur in text; other control characters rarely do, except in logs.
  static func isBinary(_ bytes: ArraySlice<UInt8>) -> Bool {
    if bytes.contains(0) { return true }
    let head = bytes.prefix(65_536)
    let controls = head.count { $0 < 0x20 && !$0.isSpace && $0 != 0x1B && $0 != 0x08 }
    return controls > head.count / 50
  }

  private static func unicode(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    if String(validating: bytes, as: UTF8.self) != nil { return Array(bytes) }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + bytes.count / 8)
    for byte in bytes {
      if byte < 0x80 { result.append(byte) } else { result.append(contentsOf: windows1252(byte).utf8) }
    }
    return result
  }

  private static func utf16(_ bytes: ArraySlice<UInt8>, bigEndian: Bool) -> [UInt8] {
    let units = stride(from: bytes.startIndex, to: bytes.endIndex - 1, by: 2).map { index -> UInt16 in
      let first = UInt16(bytes[index])
      let second = UInt16(bytes[index + 1])
      return bigEndian ? first << 8 | second : second << 8 | first
    }
    return Array(String(decoding: units, as: UTF16.self).utf8)
  }

  /// What the bytes 0x80 to 0x9F stand for; those of no meaning keep their value.
  private static let upperControls: [Unicode.Scalar] = Array(
    "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8D}Ž\u{8F}\u{90}‘’“”•–—˜™š›œ\u{9D}žŸ".unicodeScalars)

  /// The character of a byte in Windows-1252.
  static func windows1252(_ byte: UInt8) -> String {
    let index = Int(byte) - 0x80
    let scalar = upperControls.indices.contains(index) ? upperControls[index] : Unicode.Scalar(byte)
    return String(Character(scalar))
  }

  private static func withPlainLineEnds(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.contains(0x0D) else { return bytes }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var previous: UInt8 = 0
    for byte in bytes {
      if byte == 0x0D { result.append(0x0A) } else if byte != 0x0A || previous != 0x0D { result.append(byte) }
      previous = byte
    }
    return result
  }
}
