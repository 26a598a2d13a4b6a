import Foundation
import Synchronization

/// What has arrived of a file, beside where it will lie.
final class PartialFile: Sendable {
  private let target: String
  private let path: String
  private let url: String
  private let state: Mutex<(handle: FileHandle?, count: Int)>

  private var markPath: String { path + ".from" }

  /// Opens what an earlier call left, if it is of this address.
  init(target: String, url: String) throws {
    self.target = target
    self.url = url
    let name = URL(fileURLWithPath: target)
    let folder = name.deletingLastPathComponent()
    path = folder.appendingPathComponent(".\(name.lastPathComponent).part").path
    state = Mutex((nil, 0))
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    } catch { throw DownloadError.cannotWrite(path: folder.path, problem: error.localizedDescription) }
    if mark == nil { try? FileManager.default.removeItem(atPath: path) }
    try open()
  }

  deinit { try? state.withLock { $0.handle }?.close() }

  private func open() throws {
    if !FileManager.default.fileExists(atPath: path) {
      _ = FileManager.default.createFile(atPath: path, contents: nil)
    }
    do {
      let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
      let count = try handle.seekToEnd()
      state.withLock { $0 = (handle, Int(count)) }
    } catch { throw DownloadError.cannotWrite(path: path, problem: error.localizedDescription) }
  }

  /// Bytes that have arrived.
  var count: Int { state.withLock { $0.count } }

  /// The server's mark for the version that the bytes are of; nil where they are of another address.
  var mark: String? {
    guard let text = try? String(contentsOfFile: markPath, encoding: .utf8) else { return nil }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.count >= 2 && lines[0] == url ? String(lines[1]) : nil
  }

  /// Forgets the bytes and remembers the mark of what comes.
  func restart(mark: String?) throws(DownloadError) {
    do {
      try state.withLock { state in
        try state.handle?.truncate(atOffset: 0)
        state.count = 0
      }
      try "\(url)\n\(mark ?? "")\n".write(toFile: markPath, atomically: true, encoding: .utf8)
    } catch { throw .cannotWrite(path: path, problem: error.localizedDescription) }
  }

  func append(_ data: Data) throws(DownloadError) {
    do {
      try state.withLock { state in
        try state.handle?.write(contentsOf: data)
        state.count += data.count
      }
    } catch { throw .cannotWrite(path: path, problem: error.localizedDescription) }
  }

  func discard() {
    try? restart(mark: nil)
    for path in [path, markPath] { try? FileManager.default.removeItem(atPath: path) }
  }

  /// The first bytes.
  func start() -> [UInt8] {
    guard let handle = FileHandle(forReadingAtPath: path) else { return [] }
    defer { try? handle.close() }
    return [UInt8]((try? handle.read(upToCount: 40)) ?? Data())
  }

  /// The SHA-256 of all bytes. O(n).
  func digest() throws -> String { try SHA256.text(ofFile: path) }

  /// Gives the file its name.
  func arrive() throws {
    do {
      try state.withLock { state in
        try state.handle?.synchronize()
        try state.handle?.close()
        state.handle = nil
      }
      // Foundation's own move refuses a target that exists.
      guard unsafe rename(path, target) == 0 else {
        throw DownloadError.cannotWrite(path: target, problem: unsafe String(cString: strerror(errno)))
      }
      try? FileManager.default.removeItem(atPath: markPath)
    } catch let error as DownloadError {
      throw error
    } catch { throw DownloadError.cannotWrite(path: target, problem: error.localizedDescription) }
  }
}

extension SHA256 {
  /// The digest of a file's bytes. O(n).
  ///
  /// - Throws: `DownloadError.cannotWrite` where it cannot be read.
  package static func text(ofFile path: String) throws(DownloadError) -> String {
    var digest = SHA256()
    do {
      let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      defer { try? handle.close() }
      while let data = try handle.read(upToCount: 1 << 20), !data.isEmpty { digest.update([UInt8](data)) }
    } catch { throw .cannotWrite(path: path, problem: error.localizedDescription) }
    return digest.text
  }
}
