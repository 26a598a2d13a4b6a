/// Recognises an answer that goes in circles.
package enum RepetitionGuard {
  /// The same tokens so many times in a row are no accident, if they are enough in all.
  static let repeats = 3
  static let minimumTokens = 24
  static let longestPeriod = 96

  /// Whether the answer ends in the same tokens three times or more. O(period), mostly less: only
  /// periods at which the last token recurs are compared.
  package static func isCaught(_ answer: [Int32]) -> Bool {
    guard answer.count >= minimumTokens, let last = answer.last else { return false }
    let longest = min(longestPeriod, answer.count / repeats)
    guard longest > 0 else { return false }
    return (1...longest).contains { period in
      answer[answer.count - 1 - period] == last && repeats(answer, period)
    }
  }

  /// Short periods must recur until there are `minimumTokens` of them.
  private static func repeats(_ answer: [Int32], _ period: Int) -> Bool {
    let compared = max(period * (repeats - 1), minimumTokens - period)
    guard answer.count >= compared + period else { return false }
    return answer.indices.suffix(compared).allSatisfy { answer[$0] == answer[$0 - period] }
  }
}
