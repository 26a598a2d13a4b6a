import GRDB

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// An index of documents in one SQLite file, which holds any number of collections.
///
/// The file is a cache: one that is damaged is set aside as `….damaged` and made anew. Calls block
/// while they read or write; several processes may use one file.
public final class DocumentLibrary: Sendable {
  /// The path of the index.
  public let path: String
  /// Whether a damaged index was set aside when this one was opened.
  public let wasRebuilt: Bool
  let options: ChunkOptions
  let reader: DocumentReader
  let database: DatabasePool

  /// Opens the index at `path`, or makes one.
  ///
  /// - Parameters:
  ///   - path: of the SQLite file; two more lie beside it while it is open.
  ///   - options: sizes of passages; a collection indexed with others is indexed again.
  ///   - maximumFileBytes: larger files are skipped.
  ///   - pdfText: reads PDF files; without it they are skipped.
  /// - Throws: `LibraryError`.
  public init(
    path: String, options: ChunkOptions = ChunkOptions(), maximumFileBytes: Int = 64 << 20,
    pdfText: PDFTextExtractor? = nil
  ) throws(LibraryError) {
    self.path = path
    self.options = options
    reader = DocumentReader(maximumBytes: maximumFileBytes, pdfText: pdfText)
    do {
      database = try Self.open(path)
      wasRebuilt = false
    } catch let error as LibraryError {
      throw error
    } catch let error as DatabaseError where Self.isDamage(error) {
      database = try Self.rebuild(path)
      wasRebuilt = true
    } catch {
      throw .cannotOpen(path: path, problem: Self.problem(error))
    }
  }

  private static func open(_ path: String) throws -> DatabasePool {
    var configuration = Configuration()
    configuration.busyMode = .timeout(10)
    configuration.label = "documents"
    configuration.prepareDatabase(speedUpWrites)
    try checkOwner(path)
    let database = try DatabasePool(path: path, configuration: configuration)
    guard try database.read({ try !Schema.migrator.hasBeenSuperseded($0) }) else {
      throw LibraryError.newer(path: path)
    }
    try Schema.migrator.migrate(database)
    return database
  }

  /// Keeps the pages of a transaction in memory until it ends, and moves them from the log to the file
  /// less often than after every 4 MB: measured, half the time in the system and a tenth less written.
  private static func speedUpWrites(_ db: Database) throws {
    guard !db.configuration.readonly else { return }
    try db.execute(sql: "PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 8192")
  }

  /// Refuses a database that another program wrote, before anything is changed in it.
  private static func checkOwner(_ path: String) throws {
    guard FileManager.default.fileExists(atPath: path) else { return }
    var configuration = Configuration()
    configuration.readonly = true
    configuration.busyMode = .timeout(10)
    let database = try DatabaseQueue(path: path, configuration: configuration)
    let isOurs = try database.read { db in
      let identifier = try Int32.fetchOne(db, sql: "PRAGMA application_id")
      let isEmpty = try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") == 0
      return identifier == Schema.applicationID || isEmpty
    }
    guard isOurs else { throw LibraryError.foreign(path: path) }
  }

  /// Sets the damaged file aside and makes a new one.
  private static func rebuild(_ path: String) throws(LibraryError) -> DatabasePool {
    do {
      let files = FileManager.default
      for suffix in ["-wal", "-shm"] where files.fileExists(atPath: path + suffix) {
        try files.removeItem(atPath: path + suffix)
      }
      if files.fileExists(atPath: path + ".damaged") { try files.removeItem(atPath: path + ".damaged") }
      try files.moveItem(atPath: path, toPath: path + ".damaged")
      return try open(path)
    } catch {
      throw .cannotOpen(path: path, problem: problem(error))
    }
  }

  static func isDamage(_ error: DatabaseError) -> Bool {
    error.resultCode == .SQLITE_CORRUPT || error.resultCode == .SQLITE_NOTADB
  }

  private static func problem(_ error: any Error) -> String {
    (error as? DatabaseError)?.message ?? "\(error)"
  }

  /// Closes the file; every later call fails. Without it, the file is closed with the object.
  public func close() throws(LibraryError) {
    try? database.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
    do { try database.close() } catch { throw failure(error) }
  }

  /// Moves what was written from the log to the file where no reader is in the way.
  func tidy() {
    try? database.writeWithoutTransaction { _ = try $0.checkpoint(.passive) }
  }

  /// Runs `body` in a transaction that may write.
  func write<T>(_ body: (Database) throws -> T) throws(LibraryError) -> T {
    do { return try database.write(body) } catch { throw failure(error) }
  }

  /// Runs `body` on one state of the index, while others may write.
  func read<T>(_ body: (Database) throws -> T) throws(LibraryError) -> T {
    do { return try database.read(body) } catch { throw failure(error) }
  }

  private func failure(_ error: any Error) -> LibraryError {
    (error as? LibraryError) ?? .failed(path: path, problem: Self.problem(error))
  }
}

/// A value in the index that no version of Duet writes; the file is damaged.
struct DamagedRow: Error, CustomStringConvertible {
  let column: String

  var description: String { "column \(column) holds a wrong value" }
}

extension Row {
  /// The value of a selected column; unlike a subscript, it survives a damaged file.
  func value<T: DatabaseValueConvertible>(_ column: String) throws -> T {
    guard let value: T = try optionalValue(column) else { throw DamagedRow(column: column) }
    return value
  }

  /// The value of a selected column, or nil for NULL.
  func optionalValue<T: DatabaseValueConvertible>(_ column: String) throws -> T? {
    let stored: DatabaseValue = self[column]
    if stored.isNull { return nil }
    guard let value = T.fromDatabaseValue(stored) else { throw DamagedRow(column: column) }
    return value
  }
}
