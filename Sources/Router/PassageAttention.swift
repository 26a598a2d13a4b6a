import DuetRuntime

/// What the tokens of an answer attended to of several passages, where they were chosen.
///
/// Layers from two thirds to five sixths of a model's depth look most at what the next word is taken from: in 53
/// questions with four passages they named the one with the answer 45 times, the words in common 40 times
/// (docs/pairs.md).
package struct PassageAttention: Sendable {
  private let tokens: [AttendedToken]
  /// [passages] Bytes, for a long passage is attended to more, whatever it says.
  private let lengths: [Int]

  /// - Parameters:
  ///   - tokens: of the answer, with a share for each passage.
  ///   - passages: as the prompt shows them.
  package init(_ tokens: [AttendedToken], passages: [String]) {
    self.tokens = tokens
    lengths = passages.map { max(1, $0.utf8.count) }
  }

  /// [passages] Of a part of the answer, the shares of what the passages got together, by byte of theirs: they add
  /// up to 1. Nil where nothing was noted. O(answer · part).
  package func shares(of part: String) -> [Double]? {
    let wanted = Array(part.utf8), bytes = tokens.flatMap(\.bytes)
    guard !wanted.isEmpty, wanted.count <= bytes.count,
      let start = (0...bytes.count - wanted.count).first(where: { bytes[$0...].starts(with: wanted) })
    else { return nil }
    var sums = [Double](repeating: 0, count: lengths.count), place = 0
    for token in tokens {
      let range = place..<place + token.bytes.count
      place = range.upperBound
      guard range.overlaps(start..<start + wanted.count), token.shares.count == sums.count else { continue }
      for index in sums.indices { sums[index] += Double(token.shares[index]) / Double(lengths[index]) }
    }
    let total = sums.reduce(0, +)
    return total > 0 ? sums.map { $0 / total } : nil
  }
}
