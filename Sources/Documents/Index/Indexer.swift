import GRDB

extension DocumentLibrary {
  /// Indexes files and folders, doing only what changed since the last time.
  ///
  /// The same paths in any order are the same collection. A file is left alone when its size and
  /// date are unchanged, or else when its content is. Every transaction holds whole files, so a
  /// process that is killed leaves an index that opens and goes on from there.
  ///
  /// - Parameters:
  ///   - paths: files and folders; of folders, everything below them.
  ///   - progress: called before each file is read.
  /// - Returns: counts, and the files that were skipped with the reasons; these are no error.
  /// - Throws: `LibraryError`, or `CancellationError` when the current task is cancelled, after
  ///   storing what was done.
  /// - Complexity: O(files), and O(bytes) of the changed ones.
  public func add(
    paths: [String], progress: ((IndexProgress) -> Void)? = nil
  ) throws -> IndexReport {
    let walker = FileWalker(roots: paths) { Task.isCancelled }
    try Task.checkCancellation()
    let collection = try open(paths)
    var indexer = Indexer(library: self, collection: collection, known: try knownFiles(collection))
    indexer.report.skipped = walker.skipped
    try indexer.index(walker.files, progress: progress)
    return indexer.report
  }

  /// The collection of these paths as it was last indexed, or nil if it never was.
  public func collection(paths: [String]) throws(LibraryError) -> DocumentCollection? {
    let roots = Self.key(paths)
    return try read { db in
      try Int64.fetchOne(db, sql: "SELECT id FROM collections WHERE roots = ?", arguments: [roots])
    }.map { DocumentCollection(library: self, id: $0) }
  }

  /// Forgets the collection of these paths.
  public func remove(paths: [String]) throws(LibraryError) {
    guard let collection = try collection(paths: paths) else { return }
    try write { try Schema.drop($0, collection: collection.id) }
  }

  private static func key(_ paths: [String]) -> String {
    Set(paths.map(FileWalker.resolved)).sorted().joined(separator: "\n")
  }

  /// The collection of these paths, made or, if it was cut differently, made anew.
  private func open(_ paths: [String]) throws(LibraryError) -> DocumentCollection {
    let roots = Self.key(paths)
    let fingerprint = options.fingerprint
    let id = try write { db -> Int64 in
      let row = try Row.fetchOne(
        db, sql: "SELECT id, options FROM collections WHERE roots = ?", arguments: [roots])
      if let row {
        let id: Int64 = try row.value("id")
        if try row.value("options") == fingerprint { return id }
        try Schema.drop(db, collection: id)
      }
      try db.execute(
        sql: "INSERT INTO collections(roots, options) VALUES (?, ?)", arguments: [roots, fingerprint])
      let id = db.lastInsertedRowID
      try Schema.createFullText(db, collection: id)
      return id
    }
    return DocumentCollection(library: self, id: id)
  }

  private func knownFiles(_ collection: DocumentCollection) throws(LibraryError) -> [String: StoredFile] {
    let files = try read { db in
      try Row.fetchAll(
        db, sql: "SELECT id, path, shown_path, size, modified, hash FROM files WHERE collection_id = ?",
        arguments: [collection.id]
      ).map(StoredFile.init)
    }
    return Dictionary(files.map { ($0.path, $0) }) { first, _ in first }
  }
}

/// A row of `files`.
struct StoredFile {
  let id: Int64
  let path: String
  let shownPath: String
  let size: Int
  let modified: Double
  let hash: String

  init(row: Row) throws {
    id = try row.value("id")
    path = try row.value("path")
    shownPath = try row.value("shown_path")
    size = try row.value("size")
    modified = try row.value("modified")
    hash = try row.value("hash")
  }
}

/// Brings a collection up to date with the files that were found.
struct Indexer {
  let library: DocumentLibrary
  let collection: DocumentCollection
  let known: [String: StoredFile]
  var report: IndexReport
  private var changes: [FileChange] = []
  private var changedBytes = 0
  private var current: Set<String> = []

  /// Bytes of text that a transaction gathers, so that many small files do not cost a commit each.
  private static let transactionBytes = 4 << 20

  init(library: DocumentLibrary, collection: DocumentCollection, known: [String: StoredFile]) {
    self.library = library
    self.collection = collection
    self.known = known
    report = IndexReport(collection: collection)
  }

  mutating func index(_ files: [FoundFile], progress: ((IndexProgress) -> Void)?) throws {
    let bytesTotal = files.reduce(0) { $0 + $1.size }
    var bytesDone = 0
    for (position, file) in files.enumerated() {
      if Task.isCancelled {
        try commit()
        throw CancellationError()
      }
      progress?(
        IndexProgress(
          path: file.shownPath, filesDone: position, filesTotal: files.count, bytesDone: bytesDone,
          bytesTotal: bytesTotal))
      do { try consider(file) } catch {
        report.skipped.append(SkippedFile(path: file.shownPath, reason: error))
      }
      bytesDone += file.size
      if changedBytes >= Self.transactionBytes { try commit() }
    }
    for file in known.values where !current.contains(file.path) {
      changes.append(.remove(file.id))
      report.removed += 1
    }
    try commit()
    library.tidy()
    report.isEmpty = try collection.passageCount() == 0
  }

  /// Compares a file with what is known of it, and reads it if it changed.
  private mutating func consider(_ file: FoundFile) throws(ReadError) {
    let stored = known[file.path]
    if let stored, stored.size == file.size, stored.modified == file.modified {
      keep(file, stored)
      return
    }
    guard file.size <= library.reader.maximumBytes else {
      throw .tooLarge(bytes: file.size, limit: library.reader.maximumBytes)
    }
    guard FileFormat(path: file.path) != .binary else { throw .binary }
    let bytes = try library.reader.contents(file.path)
    let hash = ContentHash(bytes).text
    if let stored, stored.hash == hash {
      keep(file, stored)
      return
    }
    let document = try library.reader.document(bytes, path: file.path)
    let chunks = Chunker.chunks(document, options: library.options)
    changes.append(
      .replace(stored?.id, IndexedFile(file: file, hash: hash, title: document.title, chunks: chunks)))
    changedBytes += document.text.count
    current.insert(file.path)
    if stored == nil { report.added += 1 } else { report.updated += 1 }
  }

  private mutating func keep(_ file: FoundFile, _ stored: StoredFile) {
    current.insert(file.path)
    report.unchanged += 1
    if stored.size != file.size || stored.modified != file.modified || stored.shownPath != file.shownPath {
      changes.append(.touch(stored.id, file))
    }
  }

  private mutating func commit() throws(LibraryError) {
    guard !changes.isEmpty else { return }
    let changes = changes
    let collection = collection.id
    try library.write { db in
      for change in changes { try change.apply(db, collection: collection) }
    }
    self.changes.removeAll()
    changedBytes = 0
  }
}
