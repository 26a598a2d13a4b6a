/// Tokens in the order of their bytes, so that those which a text starts with are found byte by
/// byte.
struct SortedTokens: Sendable {
  private let vocabulary: Vocabulary
  let sorted: [Int32]
  /// The part of `sorted` that starts with each byte.
  private let buckets: [Range<Int>]

  /// Takes each of `tokens` that has a text; of tokens with one text the one of the lowest number.
  /// O(n log n).
  init(_ vocabulary: Vocabulary, _ tokens: [Int32]) {
    let ordered = tokens.filter { vocabulary.withText($0) { $0.byteCount > 0 } }.sorted {
      let order = Self.compare($0, $1, vocabulary)
      return order < 0 || order == 0 && $0 < $1
    }
    var sorted: [Int32] = []
    var buckets = [Range<Int>](repeating: 0..<0, count: 256)
    for token in ordered {
      if let last = sorted.last, Self.compare(last, token, vocabulary) == 0 { continue }
      let first = vocabulary.withText(token) { Int($0.littleEndian(UInt8.self, at: 0)) }
      let start = buckets[first].isEmpty ? sorted.count : buckets[first].lowerBound
      buckets[first] = start..<sorted.count + 1
      sorted.append(token)
    }
    self.vocabulary = vocabulary
    self.sorted = sorted
    self.buckets = buckets
  }

  /// Below 0 where the text of `left` comes first, 0 where both are the same.
  private static func compare(_ left: Int32, _ right: Int32, _ vocabulary: Vocabulary) -> Int {
    vocabulary.withText(left) { left in
      vocabulary.withText(right) { right in
        for offset in 0..<min(left.byteCount, right.byteCount) {
          let (a, b) = (left.littleEndian(UInt8.self, at: offset), right.littleEndian(UInt8.self, at: offset))
          if a != b { return a < b ? -1 : 1 }
        }
        return left.byteCount - right.byteCount
      }
    }
  }

  /// The indices of the tokens whose first byte this is. The shortest of a range comes first.
  @inline(__always)
  func starting(with byte: UInt8) -> Range<Int> { buckets[Int(byte)] }

  /// Bytes of the token at `index`.
  func length(_ index: Int) -> Int { vocabulary.withText(sorted[index]) { $0.byteCount } }

  /// Those of `range` whose byte at `depth` is `value`; all have one, in rising order. O(log n).
  func narrow(_ range: Range<Int>, _ depth: Int, _ value: UInt8) -> Range<Int> {
    let (least, most) = (byte(range.lowerBound, depth), byte(range.upperBound - 1, depth))
    if least == most { return least == value ? range : range.lowerBound..<range.lowerBound }
    let start = partition(range) { byte($0, depth) >= value }
    return start..<partition(start..<range.upperBound) { byte($0, depth) > value }
  }

  private func byte(_ index: Int, _ depth: Int) -> UInt8 {
    vocabulary.withText(sorted[index]) { $0.littleEndian(UInt8.self, at: depth) }
  }

  /// The first index of `range` for which `fits`, which holds from some index on.
  private func partition(_ range: Range<Int>, _ fits: (Int) -> Bool) -> Int {
    var (low, high) = (range.lowerBound, range.upperBound)
    while low < high {
      let middle = low + (high - low) / 2
      if fits(middle) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
