#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A text as a sequence of words, compared by their stems.
struct Wording {
  struct Word {
    let text: Substring
    let stem: String
    /// Begins with a capital or a digit.
    let isName: Bool
    /// Says nothing of the subject.
    let isCommon: Bool
  }

  let words: [Word]

  /// Words looked at; what follows in a longer text is left out.
  private static let maximumWords = 4_096

  /// O(n).
  init(_ text: String) {
    words = text.split { !$0.isLetter && !$0.isNumber }.prefix(Self.maximumWords).map { word in
      let lower = word.lowercased()
      return Word(
        text: word, stem: Self.stem(lower),
        isName: word.first?.isUppercase == true || word.first?.isNumber == true,
        isCommon: Self.common.contains(lower))
    }
  }

  /// English endings, longest first. A rough cut is enough: both sides are cut alike.
  private static let endings = ["edly", "ing", "ed", "es", "ly", "s"]
  private static let shortestStem = 3

  /// The word without one ending.
  static func stem(_ lower: String) -> String {
    for ending in endings where lower.hasSuffix(ending) && lower.count >= shortestStem + ending.count {
      return String(lower.dropLast(ending.count))
    }
    return lower
  }

  private static let common = Set(
    """
    a about also an and are as at be been by called can could did do does for from had has have how i in into is it \
    its many me much my name of on or than that the their them then there they this to was we were what when where \
    which who whom whose why will with would you your
    """.split(separator: " ").map(String.init))
}

/// How rare words are, by the numbers of their tokens: merges of byte pairs are learnt in the order
/// of their frequency (arXiv 1508.07909), so that common words have low numbers and rare ones take
/// several tokens.
struct WordRarity: Sendable {
  private let tokens: @Sendable (String) -> [Int32]

  /// - Parameter tokens: encodes a text with the model's vocabulary.
  init(tokens: @escaping @Sendable (String) -> [Int32]) { self.tokens = tokens }

  /// Tokens up to about this number are letters and the commonest words.
  private static let commonTokens = 50.0

  /// From about 1 for common words to 30 for names of many tokens.
  func callAsFunction(_ word: Substring) -> Double {
    let asWritten = cost(" \(word)")
    let lower = word.lowercased()
    return lower == word ? asWritten : min(asWritten, cost(" \(lower)"))
  }

  private func cost(_ text: String) -> Double {
    tokens(text).reduce(0) { $0 + log(1 + Double($1) / Self.commonTokens) }
  }
}
