import DuetDocuments

/// A sentence of an answer, and the passage that it rests on.
public struct SupportedSentence: Sendable, Equatable {
  /// The sentence.
  public let text: String
  /// The passage's number; nil where none holds a word of it.
  public let source: Int?
  /// The share of the sentence's words that stand in that passage, 0 to 1.
  public let support: Double
  /// Whether hardly a word of it stands there.
  public var isUnsupported: Bool { support < Support.leastHeld }
}

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

  /// Sentences with three words or more that say something, each with the passage that holds the most; none
  /// without passages. O(sentences · passages).
  package static func sentences(of answer: String, in passages: [Source]) -> [SupportedSentence] {
    guard !passages.isEmpty else { return [] }
    return Segmenter.sentences(of: answer).compactMap { text in
      let support = Support(answer: text)
      guard support.words.count >= 3 else { return nil }
      var best: (source: Int?, share: Double) = (nil, 0)
      for passage in passages {
        let share = support.share(passage)
        if share > best.share { best = (passage.number, share) }
      }
      return SupportedSentence(text: text, source: best.source, support: best.share)
    }
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
