/// A set of characters by class and by number, as the brackets of a regular expression name it.
struct CharacterSet: Sendable {
  /// Which of the characters below 128 belong to it.
  private let ascii: (UInt64, UInt64)
  /// One bit for each `ScalarKind`, for the characters from 128 on.
  private let kinds: UInt16
  private let ranges: [ClosedRange<UInt32>]
  private let isInverted: Bool

  /// The characters of any of `kinds` or in `text` or in `ranges`; all others where `inverted`.
  init(
    _ kinds: Set<ScalarKind>, _ text: String = "", ranges: [ClosedRange<UInt32>] = [], inverted: Bool = false
  ) {
    let single = text.unicodeScalars.map { $0.value...$0.value }
    var ascii: [UInt64] = [0, 0]
    for byte in UInt8(0)..<128 {
      let listed =
        kinds.contains(ScalarKind(ascii: byte)) || (ranges + single).contains { $0.contains(UInt32(byte)) }
      if listed != inverted { ascii[Int(byte >> 6)] |= 1 << UInt64(byte & 63) }
    }
    self.ascii = (ascii[0], ascii[1])
    self.kinds = kinds.reduce(0) { $0 | 1 << UInt16($1.rawValue) }
    self.ranges = (ranges + single).filter { $0.upperBound >= 0x80 }
    isInverted = inverted
  }

  /// All but the characters of any of `kinds` or in `text`.
  static func not(_ kinds: Set<ScalarKind>, _ text: String = "") -> Self { Self(kinds, text, inverted: true) }

  /// The bytes of the character at `offset`, which ends at `limit` at the latest, where it belongs
  /// to the set; else nil.
  @inline(__always)
  func width(_ text: borrowing Span<UInt8>, _ offset: Int, _ limit: Int) -> Int? {
    let byte = text[offset]
    if byte < 0x80 {
      return (byte < 64 ? ascii.0 : ascii.1) >> UInt64(byte & 63) & 1 != 0 ? 1 : nil
    }
    return longWidth(text, offset, limit)
  }

  @inline(never)
  private func longWidth(_ text: borrowing Span<UInt8>, _ offset: Int, _ limit: Int) -> Int? {
    guard let (scalar, width) = text.scalar(at: offset, limit: limit) else { return isInverted ? 1 : nil }
    let listed =
      kinds >> UInt16(ScalarKind(scalar).rawValue) & 1 != 0 || ranges.contains { $0.contains(scalar.value) }
    return listed != isInverted ? width : nil
  }
}

extension CharacterSet {
  static let letters: Set<ScalarKind> = [.upper, .lower, .letter]
  static let lineEnds = CharacterSet([], "\r\n")
  static let spaces = CharacterSet([.space])
  static let blank = CharacterSet([], " ")
  static let numbers = CharacterSet([.number])
}
