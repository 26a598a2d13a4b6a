/// What `DocumentLibrary.add` did.
public struct IndexReport: Sendable {
  /// The files as they now stand in the index.
  public let collection: DocumentCollection
  /// Files indexed for the first time.
  public internal(set) var added = 0
  /// Files indexed again because their content changed.
  public internal(set) var updated = 0
  /// Files left as they were.
  public internal(set) var unchanged = 0
  /// Files that are gone, or can no longer be read.
  public internal(set) var removed = 0
  /// Files left out, in the order they were found.
  public internal(set) var skipped: [SkippedFile] = []
  /// Whether there is no text at all to answer from.
  public internal(set) var isEmpty = true
}

/// How far indexing has come.
public struct IndexProgress: Sendable {
  /// The file that is read next.
  public let path: String
  /// Files read or found unchanged.
  public let filesDone: Int
  /// Files found in all.
  public let filesTotal: Int
  /// Bytes of the files done.
  public let bytesDone: Int
  /// Bytes of all files found.
  public let bytesTotal: Int
}
