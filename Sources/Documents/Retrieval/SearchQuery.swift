import GRDB

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A question as the full-text index is asked it.
struct SearchQuery {
  /// A word of the question.
  struct Term {
    let word: String
    /// What the index's tokenizer makes of it.
    let tokens: [String]
    /// Passages of the collection that hold it.
    let documentCount: Int
    /// Whether it says nothing of the subject and others do.
    let isLeftOut: Bool
  }

  /// The words that are looked up; empty if the collection holds none of the question's.
  let terms: [Term]
  /// All words that the collection holds, in the question's order.
  let sequence: [Term]
  /// Passages of the collection.
  let passageCount: Int
  /// Whether matches are to be ranked: not if nearly every passage matches, and none for a reason.
  let isRanked: Bool
  /// Queries in FTS5's language, each for what those before it left to be found; each word is a quoted
  /// string, so none is an operator.
  let matches: [String]

  /// Words looked at; a pasted text may hold more.
  static let maximumWords = 512
  /// Words looked up: the rarest.
  static let maximumTerms = 32
  /// Occurrences that the words looked up may have together, and passages that are ranked: each takes
  /// time.
  static let maximumOccurrences = 16_000
  /// Words that count where even the rarest is in more passages than are ranked.
  private static let maximumCommonTerms = 6
  /// Occurrences that such words may have together to be looked for: BM25 walks over each to count them.
  private static let maximumCounted = 5 * maximumOccurrences

  /// - Complexity: O(question), and for each word a walk over the passages that hold it.
  init(_ question: String, collection: Int64, in db: Database) throws {
    let tokenizer = try db.makeTokenizer(Schema.tokenizer)
    let count = try db.cachedStatement(
      sql: "SELECT doc FROM \(Schema.terms(collection)) WHERE term = ?")
    passageCount =
      try Int.fetchOne(db, sql: "SELECT count(*) FROM \(Schema.fullText(collection))_docsize") ?? 0
    let words = Self.words(question)
    let isTelling = words.contains { !StopWords.contains($0) }
    isRanked = isTelling || passageCount <= Self.maximumOccurrences
    var sequence: [Term] = []
    var counts: [String: Int] = [:]
    for word in words {
      let tokens = try tokenizer.tokenize(query: word).map(\.token)
      guard let first = tokens.first else { continue }
      let isStopWord = StopWords.contains(word)
      // Counting a stop word takes longer than all else; that every passage holds it is near enough.
      let isAssumed = isStopWord && (isTelling || !isRanked)
      let documents =
        try isAssumed ? passageCount : counts[first] ?? Int.fetchOne(count, arguments: [first]) ?? 0
      if !isAssumed { counts[first] = documents }
      guard documents > 0 else { continue }
      sequence.append(
        Term(
          word: word, tokens: tokens, documentCount: documents, isLeftOut: isStopWord && isTelling))
    }
    self.sequence = sequence
    terms = Self.lookedUp(sequence, maximumOccurrences: isRanked ? Self.maximumOccurrences : Int.max)
    let areCommon = isRanked && terms.allSatisfy { $0.documentCount > Self.maximumOccurrences }
    matches = areCommon ? Self.narrowed(terms) : [Self.query(terms, " OR ")]
  }

  private static func query(_ terms: some Sequence<Term>, _ joint: String) -> String {
    terms.map { "\"\($0.word)\"" }.joined(separator: joint)
  }

  /// The rarest of common words together, and the rarest alone.
  private static func narrowed(_ terms: [Term]) -> [String] {
    let byRarity = terms.sorted { $0.documentCount < $1.documentCount }
    var occurrences = 0
    let counted = byRarity.prefix { term in
      occurrences += term.documentCount
      return occurrences <= maximumCounted
    }
    let alone = query(byRarity.prefix(1), " OR ")
    return counted.count > 1 ? [query(counted, " AND "), alone] : [alone]
  }

  /// Each telling word once, the rarest first until the limits are reached, in the question's order.
  private static func lookedUp(_ sequence: [Term], maximumOccurrences: Int) -> [Term] {
    var seen: Set<[String]> = []
    let distinct = sequence.filter { !$0.isLeftOut && seen.insert($0.tokens).inserted }
    let byRarity = distinct.indices.sorted { distinct[$0].documentCount < distinct[$1].documentCount }
    var kept: [Int] = []
    var occurrences = 0
    if let rarest = byRarity.first, distinct[rarest].documentCount > maximumOccurrences {
      return byRarity.prefix(maximumCommonTerms).sorted().map { distinct[$0] }
    }
    for index in byRarity.prefix(maximumTerms) {
      occurrences += distinct[index].documentCount
      if occurrences > maximumOccurrences { break }
      kept.append(index)
    }
    return kept.sorted().map { distinct[$0] }
  }

  /// How much it tells that a passage holds a word: BM25's inverse document frequency, kept above 0.
  func rarity(_ term: Term) -> Double {
    let count = Double(term.documentCount)
    return log(1 + max(0, Double(passageCount) - count + 0.5) / (count + 0.5))
  }

  /// The rarity of all words looked up. O(terms).
  var totalRarity: Double { terms.reduce(0) { $0 + rarity($1) } }

  /// The share of the words looked up that `tokens` holds, each counted by its rarity. O(terms).
  func coverage(_ tokens: Set<String>) -> Double {
    let all = totalRarity
    let held = terms.reduce(0) { $0 + ($1.tokens.allSatisfy(tokens.contains) ? rarity($1) : 0) }
    return all > 0 ? held / all : 0
  }

  /// The runs of letters and digits, in order; nothing else of the question reaches the index.
  static func words(_ question: String) -> [String] {
    var words: [String] = []
    var word = ""
    for scalar in question.unicodeScalars.prefix(maximumWords * 64) {
      if isWordScalar(scalar) {
        word.unicodeScalars.append(scalar)
      } else if !word.isEmpty {
        words.append(word)
        word = ""
        if words.count == maximumWords { return words }
      }
    }
    return word.isEmpty ? words : words + [word]
  }

  private static func isWordScalar(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
      .letterNumber, .otherNumber, .nonspacingMark, .spacingMark, .enclosingMark, .privateUse:
      true
    default: false
    }
  }
}
