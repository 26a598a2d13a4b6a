/// What SentencePiece does to a text before it is cut into pieces: replaces the longest known
/// sequences by a table, and spaces by `▁` (U+2581; github.com/google/sentencepiece, normalizer.cc).
struct UnigramNormalizer: Sendable {
  private let table: ReplacementTable?
  let addsPrefix: Bool
  private let mergesSpaces: Bool

  init(table: ReplacementTable?, addsPrefix: Bool, mergesSpaces: Bool) {
    self.table = table
    self.addsPrefix = addsPrefix
    self.mergesSpaces = mergesSpaces
  }

  /// Puts the normalised bytes of `range` into `result`; bytes that are not UTF-8 become U+FFFD. O(n).
  func normalize(
    _ text: borrowing Span<UInt8>, _ range: Range<Int>, prefixed: Bool, _ result: inout [UInt8]
  ) {
    result.removeAll(keepingCapacity: true)
    var needsPrefix = prefixed && addsPrefix
    var isInWord = false
    func append(_ byte: UInt8) {
      if byte == 0x20 {
        isInWord = false
        if !mergesSpaces { result.append(contentsOf: PieceEncoding.space) }
        return
      }
      if !isInWord, needsPrefix || mergesSpaces {
        result.append(contentsOf: PieceEncoding.space)
        needsPrefix = false
      }
      isInWord = true
      result.append(byte)
    }
    var position = range.lowerBound
    while position < range.upperBound {
      if let match = table?.replacement(text, position, range.upperBound) {
        for byte in match.bytes { append(byte) }
        position += match.length
        continue
      }
      let scalar = text.anyScalar(at: position, limit: range.upperBound)
      let width = scalar?.width ?? 1
      if scalar == nil {
        for byte in UTF8.encodedReplacementCharacter { append(byte) }
      } else {
        for offset in position..<position + width { append(text[offset]) }
      }
      position += width
    }
  }
}

/// The key `tokenizer.ggml.precompiled_charsmap`: a double array (Aoe, 1989), then replacements that
/// end in zero bytes, whose places the array's leaves hold.
///
/// A unit's bits: 0 to 7 the byte that leads to it, 8 whether a leaf follows, 9 whether the offset
/// is scaled by 256, 10 to 30 the offset; of a leaf, 0 to 30 are the replacement's place.
struct ReplacementTable: Sendable {
  private let units: [UInt32]
  private let replacements: [UInt8]

  /// Reads the array, whose bytes are the count of the units' bytes, the units and the replacements;
  /// nil where these do not fit. O(n).
  init?(_ bytes: [UInt8]) {
    guard bytes.count > 4 else { return nil }
    let size = bytes.withRaw { Int($0.littleEndian(UInt32.self, at: 0)) }
    guard size > 0, size % 4 == 0, size <= bytes.count - 4 else { return nil }
    units = bytes.withRaw { raw in (0..<size / 4).map { raw.littleEndian(UInt32.self, at: 4 + 4 * $0) } }
    replacements = Array(bytes[(4 + size)...])
  }

  /// What stands for the longest known beginning of the text at `start`, and its length.
  func replacement(
    _ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int
  ) -> (bytes: ArraySlice<UInt8>, length: Int)? {
    var node = Self.offset(units[0])
    var best: (place: Int, length: Int)?
    for position in start..<limit {
      let byte = UInt32(text[position])
      node ^= byte
      guard byte != 0, let unit = unit(node), unit & 0x8000_00ff == byte else { break }
      node ^= Self.offset(unit)
      if unit >> 8 & 1 != 0, let leaf = self.unit(node) {
        best = (Int(leaf & 0x7fff_ffff), position - start + 1)
      }
    }
    guard let best, best.place < replacements.count else { return nil }
    let end = replacements[best.place...].firstIndex(of: 0) ?? replacements.count
    return (replacements[best.place..<end], best.length)
  }

  private func unit(_ index: UInt32) -> UInt32? { index < units.count ? units[Int(index)] : nil }

  private static func offset(_ unit: UInt32) -> UInt32 { (unit >> 10) << ((unit & 1 << 9) >> 6) }
}
