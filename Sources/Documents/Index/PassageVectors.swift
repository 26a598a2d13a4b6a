import GRDB

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A vector as the index stores it: a scale, then one signed byte for each value.
struct PassageVector {
  private let bytes: [UInt8]

  /// The nearest of 255 steps up to the largest value.
  init(_ vector: [Float]) {
    let largest = vector.reduce(0) { max($0, abs($1)) }
    let scale = largest.isFinite && largest > 0 ? largest / 127 : 0
    let bits = scale.bitPattern
    let values = vector.map { scale > 0 ? Int8(max(-127, min(127, ($0 / scale).rounded()))) : 0 }
    bytes =
      (0..<4).map { UInt8(truncatingIfNeeded: bits >> UInt32(8 * $0)) }
      + values.map { UInt8(bitPattern: $0) }
  }

  /// Reads what `data` gave; nil where it is not of `dimensions` values.
  init?(_ data: Data, dimensions: Int) {
    guard data.count == dimensions + 4 else { return nil }
    bytes = [UInt8](data)
  }

  var data: Data { Data(bytes) }

  private var scale: Float {
    Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[$1]) << UInt32(8 * $1) })
  }

  /// The cosine with `other`, which has unit length; 0 where it has not as many values. O(dimensions).
  func cosine(_ other: [Float]) -> Double {
    guard bytes.count == other.count + 4 else { return 0 }
    let values = bytes.span.extracting(4..<4 + other.count), factors = other.span
    // Eight sums, so that one addition need not wait for the other.
    var sums = SIMD8<Float>.zero
    let whole = other.count / 8 * 8
    for start in stride(from: 0, to: whole, by: 8) {
      var x = SIMD8<Float>(), y = SIMD8<Float>()
      for lane in 0..<8 {
        x[lane] = Float(Int8(bitPattern: values[start + lane]))
        y[lane] = factors[start + lane]
      }
      sums += x * y
    }
    var sum = sums.sum()
    for index in whole..<other.count { sum += Float(Int8(bitPattern: values[index])) * factors[index] }
    return Double(sum * scale)
  }
}

extension DocumentCollection {
  /// Passages that are encoded, and stored, at a time.
  private static let batch = 64

  /// The same collection, ranked also by meaning where its passages have vectors of `encoder`.
  public func ranked(by encoder: any TextEncoder) -> DocumentCollection {
    var collection = self
    collection.encoder = encoder
    return collection
  }

  /// How many passages have no vector of the collection's encoder.
  public func missingVectors() throws(LibraryError) -> Int {
    guard let encoder else { return 0 }
    return try library.read { db in
      try Int.fetchOne(db, sql: "SELECT count(*) \(Self.missing)", arguments: [encoder.name, id]) ?? 0
    }
  }

  /// Encodes the passages that have no vector, and stores each batch as it is done, so that a process
  /// that is killed goes on from there. Without an encoder nothing happens.
  ///
  /// - Parameter progress: called with the passages that are done, and their number in all.
  /// - Throws: `LibraryError`, or `CancellationError` when the current task is cancelled.
  /// - Complexity: O(bytes of the passages without a vector).
  public func encodePassages(progress: ((Int, Int) -> Void)? = nil) throws {
    guard let encoder else { return }
    let total = try missingVectors()
    var done = 0
    while done < total {
      try Task.checkCancellation()
      let rows = try library.read { db in
        try Row.fetchAll(
          db, sql: "SELECT chunks.id, chunks.text \(Self.missing) ORDER BY chunks.id LIMIT \(Self.batch)",
          arguments: [encoder.name, id]
        ).map { (id: try $0.value("id") as Int64, text: try $0.value("text") as String) }
      }
      guard !rows.isEmpty else { return }
      let vectors = encoder.vectors(of: rows.map(\.text))
      try store(zip(rows.map(\.id), vectors).map { ($0, PassageVector($1)) }, of: encoder)
      done += rows.count
      progress?(done, total)
    }
  }

  private static let missing = """
    FROM chunks JOIN files ON files.id = chunks.file_id
    LEFT JOIN vectors ON vectors.chunk_id = chunks.id AND vectors.encoder = ?
    WHERE files.collection_id = ? AND vectors.chunk_id IS NULL
    """

  private func store(_ vectors: [(Int64, PassageVector)], of encoder: any TextEncoder) throws(LibraryError) {
    try library.write { db in
      // A passage may have been removed meanwhile.
      let insert = try db.cachedStatement(
        sql: """
          INSERT OR REPLACE INTO vectors(chunk_id, encoder, vector)
          SELECT id, ?, ? FROM chunks WHERE id = ?
          """)
      for (chunk, vector) in vectors {
        try insert.execute(arguments: [encoder.name, vector.data, chunk])
      }
    }
  }

  /// The cosines of the question with the passages that have a vector, by their ids: with all of
  /// them where the collection is small, or else with `candidates`.
  func cosines(
    _ question: [Float], encoder: any TextEncoder, passageCount: Int, candidates: [Int64], in db: Database
  ) throws -> [(id: Int64, cosine: Double)] {
    var cosines: [(id: Int64, cosine: Double)] = []
    func add(_ row: Row) throws {
      let stored: DatabaseValue = row[1]
      guard let data = Data.fromDatabaseValue(stored), let id = Int64.fromDatabaseValue(row[0]) else {
        throw DamagedRow(column: "vector")
      }
      guard let vector = PassageVector(data, dimensions: encoder.dimensions) else { return }
      cosines.append((id, vector.cosine(question)))
    }
    if passageCount <= Self.mostScanned {
      cosines.reserveCapacity(passageCount)
      let rows = try Row.fetchCursor(
        try db.cachedStatement(sql: Self.allVectors), arguments: [id, encoder.name])
      while let row = try rows.next() { try add(row) }
      return cosines
    }
    let one = try db.cachedStatement(
      sql: "SELECT chunk_id, vector FROM vectors WHERE chunk_id = ? AND encoder = ?")
    for candidate in candidates {
      if let row = try Row.fetchOne(one, arguments: [candidate, encoder.name]) { try add(row) }
    }
    return cosines
  }

  /// In an order that finds the passages of a file in the index alone, without reading their texts.
  private static let allVectors = """
    SELECT vectors.chunk_id, vectors.vector FROM files CROSS JOIN chunks ON chunks.file_id = files.id
    CROSS JOIN vectors ON vectors.chunk_id = chunks.id
    WHERE files.collection_id = ? AND vectors.encoder = ?
    """

  /// Vectors that are all looked at for a question; of more only those of candidates.
  static let mostScanned = 10_000
}
