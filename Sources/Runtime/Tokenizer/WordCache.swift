/// The words that one call has encoded: where each stood in the text and where its tokens are in
/// the result, so that a word which comes again is copied. One entry for each hash; the newer stays.
struct WordCache {
  private struct Entry {
    var start: UInt32 = 0
    var length: UInt32 = 0
    var tokenStart: UInt32 = 0
    var tokenCount: UInt32 = 0
  }

  private let hash = ByteHash()
  private var entries: [Entry]

  /// A cache for a text of `count` bytes: 1 KB to 256 KB.
  init(_ count: Int) {
    var capacity = 64
    while capacity < count / 8, capacity < 16_384 { capacity *= 2 }
    entries = [Entry](repeating: Entry(), count: capacity)
  }

  /// Words of up to 64 bytes are worth it; texts of 4 GB and more are not entered.
  static func holds(_ word: Range<Int>) -> Bool {
    word.count <= 64 && word.upperBound <= Int(UInt32.max)
  }

  /// Where `word` belongs, and where its tokens are if it has come before.
  @inline(__always)
  func find(_ text: borrowing Span<UInt8>, _ word: Range<Int>) -> (slot: Int, tokens: Range<Int>?) {
    let code = text.withRaw(word) { hash($0) }
    let slot = Int(truncatingIfNeeded: code) & (entries.count - 1)
    let entry = entries[slot]
    let start = Int(entry.start)
    guard Int(entry.length) == word.count,
      text.withRaw(0..<text.count, { $0.extracting(start..<start + word.count).equals($0.extracting(word)) })
    else { return (slot, nil) }
    return (slot, Int(entry.tokenStart)..<Int(entry.tokenStart) + Int(entry.tokenCount))
  }

  mutating func insert(_ slot: Int, _ word: Range<Int>, _ tokens: Range<Int>) {
    entries[slot] = Entry(
      start: UInt32(truncatingIfNeeded: word.lowerBound),
      length: UInt32(truncatingIfNeeded: word.count),
      tokenStart: UInt32(truncatingIfNeeded: tokens.lowerBound),
      tokenCount: UInt32(truncatingIfNeeded: tokens.count))
  }
}
