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
  }

  /// The words that are looked up; empty if the collection holds none of the question's.
  let terms: [Term]
  /// All words that the collection holds, in the question's order.
  let sequence: [Term]
  /// Passages of the collection.
  let passageCount: Int

  /// Words looked at; a pasted text may hold more.
  static let maximumWords = 512
  /// Words looked up: the rarest.
  static let maximumTerms = 32
  /// A word that more passages hold is left out if rarer ones remain: ranking takes time for each.
  static let commonCount = 1_000
  /// And a word is only common if this share of all passages holds it.
  static let commonShare = 0.25

  /// - Complexity: O(question), and for each word a walk over the passages that hold it.
  init(_ question: String, collection: Int64, in db: Database) throws {
    let tokenizer = try db.makeTokenizer(Schema.tokenizer)
    let count = try db.cachedStatement(
      sql: "SELECT doc FROM \(Schema.terms(collection)) WHERE term = ?")
    var sequence: [Term] = []
    var counts: [String: Int] = [:]
    for word in Self.words(question) {
      let tokens = try tokenizer.tokenize(query: word).map(\.token)
      guard let first = tokens.first else { continue }
      let documents = try counts[first] ?? Int.fetchOne(count, arguments: [first]) ?? 0
      counts[first] = documents
      if documents > 0 { sequence.append(Term(word: word, tokens: tokens, documentCount: documents)) }
    }
    self.sequence = sequence
    passageCount =
      try Int.fetchOne(db, sql: "SELECT count(*) FROM \(Schema.fullText(collection))_docsize") ?? 0
    terms = Self.lookedUp(sequence, total: passageCount)
  }

  /// Each word once, without those that say little if others remain, at most the rarest 32.
  private static func lookedUp(_ sequence: [Term], total: Int) -> [Term] {
    var seen: Set<[String]> = []
    let distinct = sequence.filter { seen.insert($0.tokens).inserted }
    let limit = max(commonCount, Int(commonShare * Double(total)))
    let telling = ifAny(distinct.filter { !StopWords.contains($0.word) }, else: distinct)
    let kept = ifAny(telling.filter { $0.documentCount <= limit }, else: telling)
    guard kept.count > maximumTerms else { return kept }
    let threshold = kept.map(\.documentCount).sorted()[maximumTerms - 1]
    return Array(kept.filter { $0.documentCount <= threshold }.prefix(maximumTerms))
  }

  private static func ifAny(_ terms: [Term], else others: [Term]) -> [Term] { terms.isEmpty ? others : terms }

  /// How much it tells that a passage holds a word: BM25's inverse document frequency, kept above 0.
  func rarity(_ term: Term) -> Double {
    let count = Double(term.documentCount)
    return log(1 + max(0, Double(passageCount) - count + 0.5) / (count + 0.5))
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

  /// The query in FTS5's language; each word is a quoted string, so none is an operator.
  var match: String {
    terms.map { "\"\($0.word)\"" }.joined(separator: " OR ")
  }
}
