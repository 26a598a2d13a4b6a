import GRDB

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

  /// Words looked at; a pasted text may hold more.
  static let maximumWords = 512
  /// Words looked up: the rarest.
  static let maximumTerms = 32
  /// Share of all passages above which a word is left out if rarer ones remain.
  static let commonShare = 0.25

  /// - Complexity: O(question), and for each word a walk over the passages that hold it.
  init(_ question: String, collection: Int64, in db: Database) throws {
    let tokenizer = try db.makeTokenizer(Schema.tokenizer)
    let count = try db.cachedStatement(
      sql: "SELECT doc FROM \(Schema.terms(collection)) WHERE term = ?")
    var terms: [Term] = []
    var seen: Set<[String]> = []
    for word in Self.words(question) {
      let tokens = try tokenizer.tokenize(query: word).map(\.token)
      guard let first = tokens.first, seen.insert(tokens).inserted else { continue }
      let documents = try Int.fetchOne(count, arguments: [first]) ?? 0
      if documents > 0 { terms.append(Term(word: word, tokens: tokens, documentCount: documents)) }
    }
    let total = try Int.fetchOne(db, sql: "SELECT count(*) FROM \(Schema.fullText(collection))_docsize") ?? 0
    self.terms = Self.rarest(terms, total: total)
  }

  /// Leaves out very common words if rarer ones remain, and all but the rarest of very many.
  private static func rarest(_ terms: [Term], total: Int) -> [Term] {
    let limit = max(1, Int(commonShare * Double(total)))
    let rare = terms.filter { $0.documentCount <= limit }
    let kept = rare.isEmpty ? terms : rare
    guard kept.count > maximumTerms else { return kept }
    let threshold = kept.map(\.documentCount).sorted()[maximumTerms - 1]
    return Array(kept.filter { $0.documentCount <= threshold }.prefix(maximumTerms))
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
