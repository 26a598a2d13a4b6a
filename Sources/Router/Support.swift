/// Which passages an answer draws on, by the words they share.
package struct Support {
  private let words: Set<Substring>

  /// The words of an answer that say something: three letters or more, or digits.
  package init(answer: String) {
    words = Self.words(answer)
  }

  private static func words(_ text: String) -> Set<Substring> {
    Set(
      text.lowercased().split { !$0.isLetter && !$0.isNumber }
        .filter { $0.count > 2 || $0.allSatisfy(\.isNumber) })
  }

  /// The share of the answer's words that a passage holds, 0 to 1. O(passage).
  package func share(_ passage: Source) -> Double {
    guard !words.isEmpty else { return 0 }
    let held = Self.words(passage.title + " " + passage.text)
    return Double(words.intersection(held).count) / Double(words.count)
  }

  /// The share of the answer's words that stand in any of the passages, 0 to 1; nil without passages, or
  /// where the answer says nothing. O(passages).
  package func held(by passages: [Source]) -> Double? {
    guard !passages.isEmpty, !words.isEmpty else { return nil }
    let held = passages.reduce(into: Set<Substring>()) { $0.formUnion(Self.words($1.title + " " + $1.text)) }
    return Double(words.intersection(held).count) / Double(words.count)
  }

  /// Below this share the answer is not taken to rest on the passages.
  package static let leastHeld = 0.4

  /// The line of a text that holds the most of the answer's words, from 0; the first of several.
  /// O(text).
  package func line(_ text: String) -> Int {
    var best = (line: 0, count: 0)
    for (line, content) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let count = words.intersection(Self.words(String(content))).count
      if count > best.count { best = (line, count) }
    }
    return best.line
  }

  /// The passages that hold nearly as much of the answer as the best does, at most `limit`.
  package func best(_ passages: [Source], limit: Int = 3) -> [Source] {
    let shares = passages.map { (passage: $0, share: share($0)) }
    let largest = shares.map(\.share).max() ?? 0
    guard largest > 0 else { return Array(passages.prefix(1)) }
    // Passages of one share keep their order, which is the retriever's.
    let sorted = shares.enumerated().sorted { ($1.element.share, $0.offset) < ($0.element.share, $1.offset) }
    return sorted.filter { $0.element.share >= 0.8 * largest }.prefix(limit).map(\.element.passage)
  }
}
