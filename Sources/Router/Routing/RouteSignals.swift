#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What can be seen in microseconds of a question and a text: how much the one speaks of the other.
public struct RouteSignals: Sendable, Equatable {
  /// The names of the values, as router files list them.
  public static let names = [
    "coverage", "plain_coverage", "name_coverage", "has_names", "rarest_missing", "rarest_found",
    "second_rarest_found", "window_coverage", "window", "pairs", "question_words", "text_words",
    "words_found",
    "coverage_squared", "names_with_coverage", "is_pasted", "refers_to_text", "refers_to_pasted_text",
    "is_follow_up", "number_near", "number_absent", "names_near", "other_coverage",
  ]

  /// One for each name.
  public let values: [Float]

  /// Compares a question with a text.
  ///
  /// - Parameters:
  ///   - question: what is asked, of which only the first 64 telling words count.
  ///   - text: what may answer it.
  ///   - rarity: of a word.
  ///   - isPasted: whether the text came in the message itself.
  ///   - isFollowUp: whether the question is only understood with the one before.
  /// - Complexity: O(question + text).
  init(question: Wording, text: Wording, rarity: WordRarity, isPasted: Bool, isFollowUp: Bool) {
    let telling = question.words.enumerated().filter { !$0.element.isCommon }.prefix(64)
    let index = WordIndex(text)
    let terms = telling.map { offset, word in
      Term(
        word: word, rarity: rarity(word.text), found: index.match(word.stem),
        isName: word.isName && offset > 0)
    }
    let found = Shares(terms)
    let window = index.bestWindow(terms)
    let refers = Self.refersToText(question)
    let asked = AskedFor(question), near = Answers(text.words[window.words], to: question)
    values = [
      found.coverage, found.plain, found.names, found.hasNames ? 1 : 0, found.rarestMissing / 10,
      found.rarestFound / 10, found.secondFound / 10, window.sum / found.total, window.sum / 30,
      index.pairs(of: question), log(1 + Double(terms.count)), log(1 + Double(text.words.count)),
      found.count / 5,
      found.coverage * found.coverage, found.names * found.coverage, isPasted ? 1 : 0,
      refers ? 1 : 0, refers && isPasted ? 1 : 0, isFollowUp ? 1 : 0,
      asked == .number && near.hasNumber ? 1 : 0, asked == .number && !near.hasNumber ? 1 : 0,
      asked == .name ? log(1 + Double(near.names)) : 0, found.others,
    ].map(Float.init)
  }

  /// A telling word of the question.
  fileprivate struct Term {
    let word: Wording.Word
    let rarity: Double
    /// 1 where the text holds it, less where it holds one like it.
    let found: Double
    let isName: Bool
  }

  private static let pointers: Set<String> = [
    "text", "passage", "paragraph", "article", "document", "excerpt", "above", "below", "following", "given",
    "summariz", "summaris", "summarize", "summarise", "summary", "translate", "rewrite", "paraphrase",
    "extract",
  ]

  /// "Summarize the following", "according to this text".
  private static func refersToText(_ question: Wording) -> Bool {
    question.words.contains { pointers.contains($0.stem) }
  }
}

/// The kind of answer that a question asks for.
private enum AskedFor {
  case number, name, other

  private static let ofNumbers: Set<String> = [
    "when", "many", "much", "year", "date", "percent", "percentage", "number", "old", "tall", "long",
  ]
  private static let ofNames: Set<String> = ["who", "whom", "whose", "where", "which"]

  init(_ question: Wording) {
    let words = question.words.map { $0.text.lowercased() }
    if words.contains(where: Self.ofNumbers.contains) {
      self = .number
    } else {
      self = words.contains(where: Self.ofNames.contains) ? .name : .other
    }
  }
}

/// What of some words a question may ask for: it does not hold them itself.
private struct Answers {
  let hasNumber: Bool
  let names: Int

  init(_ words: ArraySlice<Wording.Word>, to question: Wording) {
    let known = Set(question.words.map(\.stem))
    let new = words.filter { !known.contains($0.stem) }
    hasNumber = new.contains { $0.text.contains(where: \.isNumber) }
    names = new.count { $0.isName && !$0.isCommon }
  }
}

/// Sums over the words of a question.
private struct Shares {
  private(set) var coverage = 0.0, plain = 0.0, names = 0.0, count = 0.0
  private(set) var hasNames = false
  private(set) var rarestMissing = 0.0, rarestFound = 0.0, secondFound = 0.0
  /// Of the words that are no names.
  private(set) var others = 0.0
  private(set) var total = 1e-9

  init(_ terms: [RouteSignals.Term]) {
    var nameTotal = 0.0
    for term in terms {
      total += term.rarity
      coverage += term.found * term.rarity
      count += term.found
      if term.isName {
        nameTotal += term.rarity
        names += term.found * term.rarity
      }
      if term.found == 0 { rarestMissing = max(rarestMissing, term.rarity) }
      add(found: term.found * term.rarity)
    }
    others = (coverage - names) / max(1e-9, total - nameTotal)
    coverage /= total
    plain = count / Double(max(1, terms.count))
    hasNames = nameTotal > 0
    names = hasNames ? names / nameTotal : 0
  }

  private mutating func add(found rarity: Double) {
    if rarity > rarestFound {
      (rarestFound, secondFound) = (rarity, rarestFound)
    } else {
      secondFound = max(secondFound, rarity)
    }
  }
}

/// Where the words of a text stand.
private struct WordIndex {
  private var positions: [String: [Int]] = [:]
  private var beginnings: Set<Substring> = []
  private var neighbours: Set<Pair> = []

  private struct Pair: Hashable {
    let first: String
    let second: String
  }

  /// Letters that words of one family share.
  private static let sharedLetters = 5
  /// What a word of the same family counts.
  private static let partial = 0.6
  /// Words that a sentence or two have.
  private static let windowWords = 30

  private let count: Int

  init(_ text: Wording) {
    count = text.words.count
    for (position, word) in text.words.enumerated() {
      positions[word.stem, default: []].append(position)
      if word.stem.count >= Self.sharedLetters { beginnings.insert(word.stem.prefix(Self.sharedLetters)) }
    }
    for (first, second) in zip(text.words, text.words.dropFirst()) {
      neighbours.insert(Pair(first: first.stem, second: second.stem))
    }
  }

  func match(_ stem: String) -> Double {
    if positions[stem] != nil { return 1 }
    let isLike = stem.count >= Self.sharedLetters && beginnings.contains(stem.prefix(Self.sharedLetters))
    return isLike ? Self.partial : 0
  }

  /// The share of the question's pairs of neighbours that stand side by side in the text too.
  func pairs(of question: Wording) -> Double {
    let all = zip(question.words, question.words.dropFirst()).filter { !($0.isCommon && $1.isCommon) }
    guard !all.isEmpty else { return 0 }
    return Double(all.count { neighbours.contains(Pair(first: $0.stem, second: $1.stem)) })
      / Double(all.count)
  }

  /// The largest sum of rarities of different terms that stand within one window, and the words in and about it.
  /// O(occurrences log occurrences).
  func bestWindow(_ terms: [RouteSignals.Term]) -> (sum: Double, words: Range<Int>) {
    var events: [(position: Int, term: Int)] = []
    for (index, term) in terms.enumerated() {
      for position in positions[term.word.stem] ?? [] { events.append((position, index)) }
    }
    events.sort { ($0.position, $0.term) < ($1.position, $1.term) }
    var counts = [Int](repeating: 0, count: terms.count)
    var first = 0, sum = 0.0, best = (sum: 0.0, words: 0..<0)
    for event in events {
      if counts[event.term] == 0 { sum += terms[event.term].rarity }
      counts[event.term] += 1
      while events[first].position < event.position - Self.windowWords {
        let left = events[first].term
        counts[left] -= 1
        if counts[left] == 0 { sum -= terms[left].rarity }
        first += 1
      }
      if sum > best.sum { best = (sum, events[first].position..<event.position + 1) }
    }
    // An answer stands beside the words of its question as often as among them.
    let around = Self.windowWords / 3
    best.words = max(0, best.words.lowerBound - around)..<min(count, best.words.upperBound + around)
    return best
  }
}
