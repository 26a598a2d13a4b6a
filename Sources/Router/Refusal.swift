/// Answers that say that their text does not hold one.
package enum Refusal {
  private static let phrases = [
    "text does not say", "does not say", "doesn't say", "does not mention", "not mentioned", "no mention",
    "does not provide", "not provided", "does not specify", "not specified", "does not contain", "not stated",
    "no information", "cannot be answered", "can't be answered", "cannot answer", "do not know", "don't know",
  ]

  /// Whether an answer's first sentence is such. O(answer).
  package static func matches(_ answer: String) -> Bool {
    let text = answer.lowercased().replacing("\u{2019}", with: "'")
    let sentence = text.split(whereSeparator: { $0 == "." || $0.isNewline }).first ?? ""
    return phrases.contains { sentence.contains($0) }
  }
}
