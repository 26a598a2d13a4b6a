import DuetDocuments

/// A sentence of an answer, and the passage that it rests on.
public struct SupportedSentence: Sendable, Equatable {
  /// The sentence.
  public let text: String
  /// The passage's number; nil where none holds a word of it.
  public let source: Int?
  /// The share of the sentence's words that stand in that passage, 0 to 1.
  public let support: Double
  /// The passage's share of the attention that the passages got where the sentence was chosen, 0 to 1; nil where
  /// that was not noted, as with one passage.
  public let attention: Double?
  /// Whether hardly a word of it stands there.
  public var isUnsupported: Bool { support < Support.leastHeld }
}

/// Which passages an answer draws on, by the words they share; among those that share as many, by what was
/// attended to.
package struct Support {
  private let words: Set<Substring>
  /// [passages] Of the attention that they got; nil where that was not noted.
  private let attention: [Double]?

  /// The words of an answer that say something: three letters or more, or digits.
  package init(answer: String, _ attention: PassageAttention? = nil) {
    words = Self.words(answer)
    self.attention = attention?.shares(of: answer)
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
  package static func sentences(
    of answer: String, in passages: [Source], _ attention: PassageAttention? = nil
  ) -> [SupportedSentence] {
    Segmenter.sentences(of: answer).compactMap { text in
      let support = Support(answer: text, attention)
      guard support.words.count >= 3, let best = support.ranked(passages).first else { return nil }
      return SupportedSentence(
        text: text, source: best.share > 0 ? best.passage.number : nil, support: best.share,
        attention: best.attention)
    }
  }

  /// The passages by what they hold of the answer, then by what they were attended to, then as they came.
  private func ranked(
    _ passages: [Source]
  ) -> [(passage: Source, share: Double, attention: Double?)] {
    let attention = attention.flatMap { $0.count == passages.count ? $0 : nil }
    let all = passages.enumerated().map { index, passage in
      (passage: passage, share: share(passage), attention: attention?[index], index: index)
    }
    return all.sorted {
      ($1.share, $1.attention ?? 0, $0.index) < ($0.share, $0.attention ?? 0, $1.index)
    }.map { ($0.passage, $0.share, $0.attention) }
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
    let ranked = ranked(passages), largest = ranked.first?.share ?? 0
    guard largest > 0 else { return ranked.prefix(1).map(\.passage) }
    return ranked.filter { $0.share >= 0.8 * largest }.prefix(limit).map(\.passage)
  }
}
