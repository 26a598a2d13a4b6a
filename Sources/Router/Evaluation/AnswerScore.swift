/// How much an answer has in common with one that is accepted, 0 to 1.
public enum AnswerScore {
  /// The harmonic mean of precision and recall of words, as SQuAD counts them: in lower case, without
  /// punctuation and articles (arXiv 1606.05250). O(n).
  public static func f1(_ answer: String, _ accepted: String) -> Double {
    let given = words(answer, without: articles), wanted = words(accepted, without: articles)
    guard !given.isEmpty, !wanted.isEmpty else { return given == wanted ? 1 : 0 }
    var left: [Substring: Int] = [:]
    for word in wanted { left[word, default: 0] += 1 }
    var common = 0
    for word in given where left[word, default: 0] > 0 {
      left[word, default: 0] -= 1
      common += 1
    }
    return harmonicMean(common, given.count, wanted.count)
  }

  /// The harmonic mean of precision and recall of the longest common subsequence of words
  /// (Lin, "ROUGE", 2004). O(n m), of at most 400 words each.
  public static func rougeL(_ answer: String, _ accepted: String) -> Double {
    let given = words(answer).prefix(longest), wanted = words(accepted).prefix(longest)
    guard !given.isEmpty, !wanted.isEmpty else { return given.isEmpty && wanted.isEmpty ? 1 : 0 }
    var row = [Int](repeating: 0, count: wanted.count + 1)
    for word in given {
      var diagonal = 0
      for (index, other) in wanted.enumerated() {
        let above = row[index + 1]
        row[index + 1] = word == other ? diagonal + 1 : max(above, row[index])
        diagonal = above
      }
    }
    return harmonicMean(row[wanted.count], given.count, wanted.count)
  }

  private static let longest = 400
  private static let articles: Set<Substring> = ["a", "an", "the"]

  private static func harmonicMean(_ common: Int, _ given: Int, _ wanted: Int) -> Double {
    2 * Double(common) / Double(given + wanted)
  }

  private static func words(_ text: String, without: Set<Substring> = []) -> [Substring] {
    let plain = text.lowercased().filter { !$0.isPunctuation && !$0.isSymbol }
    return Substring(plain).split(whereSeparator: \.isWhitespace).filter { !without.contains($0) }
  }
}
