import GRDB

/// A file that was read and cut.
struct IndexedFile {
  let file: FoundFile
  let hash: String
  let title: String?
  let chunks: [Chunk]

  /// The document's title, or its name, and the headings above the chunk.
  func title(_ chunk: Chunk) -> String {
    let name = file.path.split(separator: "/").last.map(String.init) ?? file.path
    let title = title ?? name
    let headings = chunk.headings.first == title ? chunk.headings.dropFirst() : chunk.headings[...]
    return ([title] + headings).joined(separator: " > ")
  }
}

/// A change to the index that concerns one file.
enum FileChange {
  /// The content is the same; its place or date is not.
  case touch(Int64, FoundFile)
  case replace(Int64?, IndexedFile)
  case remove(Int64)

  func apply(_ db: Database, collection: Int64) throws {
    switch self {
    case .touch(let id, let file):
      try db.execute(
        sql: "UPDATE files SET shown_path = ?, size = ?, modified = ? WHERE id = ?",
        arguments: [file.shownPath, file.size, file.modified, id])
    case .remove(let id):
      try Self.removeChunks(db, file: id, collection: collection)
      try db.execute(sql: "DELETE FROM files WHERE id = ?", arguments: [id])
    case .replace(let id, let indexed):
      if let id { try Self.removeChunks(db, file: id, collection: collection) }
      try Self.store(db, indexed, collection: collection)
    }
  }

  /// Takes a file's chunks out of both tables; the full-text table must be told the old text.
  private static func removeChunks(_ db: Database, file: Int64, collection: Int64) throws {
    let table = Schema.fullText(collection)
    try db.execute(
      sql: """
        INSERT INTO \(table)(\(table), rowid, title, text)
        SELECT 'delete', id, title, text FROM chunks WHERE file_id = ?
        """, arguments: [file])
    try db.execute(sql: "DELETE FROM chunks WHERE file_id = ?", arguments: [file])
  }

  private static func store(_ db: Database, _ indexed: IndexedFile, collection: Int64) throws {
    let file = indexed.file
    let id = try Int64.fetchOne(
      db,
      sql: """
        INSERT INTO files(collection_id, path, shown_path, size, modified, hash, text_bytes)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (collection_id, path) DO UPDATE SET shown_path = excluded.shown_path,
          size = excluded.size, modified = excluded.modified, hash = excluded.hash,
          text_bytes = excluded.text_bytes
        RETURNING id
        """,
      arguments: [
        collection, file.path, file.shownPath, file.size, file.modified, indexed.hash,
        indexed.chunks.reduce(0) { $0 + $1.text.utf8.count },
      ])
    let chunk = try db.cachedStatement(
      sql: """
        INSERT INTO chunks(file_id, ordinal, first_line, last_line, page, title, text)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """)
    let words = try db.cachedStatement(
      sql: "INSERT INTO \(Schema.fullText(collection))(rowid, title, text) VALUES (?, ?, ?)")
    for (ordinal, content) in indexed.chunks.enumerated() {
      let title = indexed.title(content)
      try chunk.execute(arguments: [
        id, ordinal, content.lines.lowerBound, content.lines.upperBound, content.page, title, content.text,
      ])
      try words.execute(arguments: [db.lastInsertedRowID, title, content.text])
    }
  }
}
