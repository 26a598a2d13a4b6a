import GRDB

/// The files under a set of paths, as they were indexed last.
public struct DocumentCollection: Sendable {
  let library: DocumentLibrary
  let id: Int64
  /// Ranks passages by meaning too; see `ranked(by:)`.
  var encoder: (any TextEncoder)?

  /// How much a match in titles and headings counts against one in the text. Measured on texts named
  /// for their articles: 1 finds 0.3 % more than 0.6.
  static let titleWeight = 1.0

  /// The number of passages.
  public func passageCount() throws(LibraryError) -> Int {
    try library.read { db in
      try Int.fetchOne(db, sql: "SELECT count(*) FROM \(Schema.fullText(id))_docsize") ?? 0
    }
  }

  /// Bytes of all passages' texts.
  public func textBytes() throws(LibraryError) -> Int {
    try library.read { db in
      try Int.fetchOne(
        db, sql: "SELECT sum(text_bytes) FROM files WHERE collection_id = ?", arguments: [id]) ?? 0
    }
  }

  /// The name of the encoder that ranks passages by meaning; nil where words alone do.
  public var encoderName: String? { encoder?.name }

  /// All passages, by file and then in the order of the text.
  public func allPassages() throws(LibraryError) -> [Passage] {
    try library.read { db in
      try Row.fetchAll(
        db, sql: Passage.selection + " WHERE files.collection_id = ? ORDER BY files.path, chunks.ordinal",
        arguments: [id]
      ).map(Passage.init)
    }
  }

  /// The same passages, with how close their meaning is to a question's where there is an encoder.
  func compared(_ passages: [Passage], with question: String) throws(LibraryError) -> [Passage] {
    guard let encoder, let vector = encoder.vectors(of: [question]).first else { return passages }
    let cosines = try library.read { db in
      try self.cosines(
        vector, encoder: encoder, passageCount: passages.count, candidates: passages.map(\.id), in: db)
    }
    let byID = Dictionary(cosines.map { ($0.id, $0.cosine) }) { first, _ in first }
    return passages.map { passage in
      var passage = passage
      passage.similarity = byID[passage.id]
      return passage
    }
  }

  /// The passages that match a question best, the best first.
  ///
  /// BM25 (Robertson and Zaragoza 2009) finds candidates; words that stand side by side in both
  /// the question and a passage then raise it, and so does the share of the question's words, weighed by
  /// their rarity, that it holds. The question is plain words: nothing in it is an
  /// operator. Of passages that say nearly the same, the best is given.
  ///
  /// With an encoder, the passages closest in meaning are candidates too, and scores are the share of
  /// the highest possible by words plus the cosine.
  public func passages(matching question: String, limit: Int = 8) throws(LibraryError) -> [Passage] {
    guard limit > 0 else { return [] }
    let vector = encoder?.vectors(of: [question]).first
    return try library.read { db in
      let query = try SearchQuery(question, collection: id, in: db)
      guard !query.terms.isEmpty || vector != nil else { return [] }
      let least = vector == nil ? Self.minimumCandidates : Self.hybridCandidates
      let count = max(least, min(limit, 1_000) * 2)
      var scored = try score(
        query.terms.isEmpty ? [] : try candidates(query, count: count, in: db), query, in: db)
      if let vector { scored = try fused(scored, vector, query, in: db) }
      var distinct = DistinctPassages()
      for candidate in scored where distinct.passages.count < limit {
        distinct.add(candidate.passage, tokens: candidate.tokens)
      }
      return distinct.passages
    }
  }

  /// Passages that are looked at again, whatever the limit.
  private static let minimumCandidates = 30

  /// The same where meaning counts too.
  private static let hybridCandidates = 100
  /// Passages that meaning alone makes candidates.
  private static let closest = 20
  /// The highest score by words against the rarity of the question's words: BM25 gives each word up to
  /// 2.2 times its rarity, coverage half as much again. Measured, a share of this and the cosine are best
  /// weighed alike; shares of the best passage's score, and ranks (reciprocal rank fusion), find less.
  private static let mostPerRarity = 3.3

  /// Candidates scored by words and by meaning, the best first.
  private func fused(
    _ scored: [(passage: Passage, tokens: Set<String>)], _ question: [Float], _ query: SearchQuery,
    in db: Database
  ) throws -> [(passage: Passage, tokens: Set<String>)] {
    guard let encoder else { return scored }
    let known = Set(scored.map(\.passage.id))
    let cosines = try cosines(
      question, encoder: encoder, passageCount: query.passageCount, candidates: Array(known), in: db)
    guard !cosines.isEmpty else { return scored }
    let closest = Self.closest(of: cosines).map(\.id)
    let others = try closest.filter { !known.contains($0) }.compactMap { try passage($0, in: db) }
    let all = scored + (try score(others, query, in: db))
    let wanted = Set(all.map(\.passage.id))
    let byID = Dictionary(cosines.lazy.filter { wanted.contains($0.id) }.map { ($0.id, $0.cosine) }) { $1 }
    let most = max(Self.mostPerRarity * query.totalRarity, .leastNormalMagnitude)
    let mean = cosines.reduce(0) { $0 + $1.cosine } / Double(cosines.count)
    return all.map { candidate in
      var candidate = candidate
      let cosine = byID[candidate.passage.id] ?? mean
      candidate.passage.score = candidate.passage.score / most + max(0, cosine)
      candidate.passage.similarity = byID[candidate.passage.id]
      return candidate
    }.sorted { $0.passage.score > $1.passage.score }
  }

  /// The highest cosines, the highest first and of equal ones the lower id. O(cosines) where most are low.
  private static func closest(of cosines: [(id: Int64, cosine: Double)]) -> [(id: Int64, cosine: Double)] {
    func precedes(_ x: (id: Int64, cosine: Double), _ y: (id: Int64, cosine: Double)) -> Bool {
      (y.cosine, x.id) < (x.cosine, y.id)
    }
    var best: [(id: Int64, cosine: Double)] = []
    for candidate in cosines {
      if best.count == closest, let last = best.last, !precedes(candidate, last) { continue }
      best.insert(candidate, at: best.firstIndex { precedes(candidate, $0) } ?? best.count)
      if best.count > closest { best.removeLast() }
    }
    return best
  }

  private func passage(_ id: Int64, in db: Database) throws -> Passage? {
    let statement = try db.cachedStatement(sql: Passage.selection + " WHERE chunks.id = ?")
    return try Row.fetchOne(statement, arguments: [id]).map(Passage.init)
  }

  /// The candidates with their final scores and matched terms, the best first.
  private func score(
    _ candidates: [Passage], _ query: SearchQuery, in db: Database
  ) throws -> [(passage: Passage, tokens: Set<String>)] {
    let tokenizer = try db.makeTokenizer(Schema.tokenizer)
    let pairs = WordPairs(query)
    let scored = try candidates.map { candidate in
      var passage = candidate
      let tokens = try tokenizer.tokenize(document: passage.title + "\n" + passage.text).map(\.token)
      let present = Set(tokens)
      passage.matchedTerms = query.terms.filter { $0.tokens.allSatisfy(present.contains) }.map(\.word)
      passage.score = (passage.score + pairs.score(tokens)) * (0.5 + query.coverage(present))
      return (passage: passage, tokens: present)
    }
    // The sort is stable, so that ties keep the index's order.
    return scored.sorted { $0.passage.score > $1.passage.score }
  }

  /// The best `count` passages in order, with their scores; the first ones if there is no ranking.
  ///
  /// Ordered by FTS5's own `rank`, all matches would be sorted, which takes as long again as scoring them.
  private func candidates(_ query: SearchQuery, count: Int, in db: Database) throws -> [Passage] {
    let table = Schema.fullText(id)
    let ranking = "SELECT rowid AS id, bm25(\(table), \(Self.titleWeight), 1.0) AS score"
    let statement = try db.cachedStatement(
      sql: query.isRanked
        ? """
        SELECT id, score FROM (
          \(ranking) FROM \(table) WHERE \(table) MATCH ? LIMIT \(SearchQuery.maximumOccurrences)
        ) ORDER BY score, id LIMIT ?
        """ : "SELECT rowid AS id, 0.0 AS score FROM \(table) WHERE \(table) MATCH ? LIMIT ?")
    var found: [Passage] = [], known: Set<Int64> = []
    for match in query.matches where found.count < count {
      for row in try Row.fetchAll(statement, arguments: [match, count]) {
        guard known.insert(try row.value("id")).inserted,
          var passage = try passage(try row.value("id"), in: db)
        else { continue }
        passage.score = -(try row.value("score"))
        found.append(passage)
      }
    }
    return found
  }
}

/// Passages of which no two hold nearly the same words.
private struct DistinctPassages {
  private(set) var passages: [Passage] = []
  private var words: [Set<String>] = []

  /// Share of common words (Jaccard) from which two passages count as one.
  private static let similarity = 0.9

  mutating func add(_ passage: Passage, tokens: Set<String>) {
    for other in words {
      let common = Double(other.intersection(tokens).count)
      let all = Double(other.count + tokens.count) - common
      if common >= Self.similarity * all { return }
    }
    passages.append(passage)
    words.append(tokens)
  }
}
