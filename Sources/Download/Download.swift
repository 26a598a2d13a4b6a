import Foundation

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// Fetches one file over HTTP: what a broken connection left is gone on with, and the file appears
/// under its name only once its length, its digest and its beginning have been checked.
///
/// Beside the target lie, until then, `.NAME.part` with what has arrived and `.NAME.part.from` with
/// where it is from and the server's mark for that version of it (RFC 9110, section 8.8.3), so that
/// parts of different files are never joined.
package struct Download: Sendable {
  package var url: String
  package var target: String
  /// 64 hexadecimal digits; nil where none is known.
  package var sha256: String?
  /// Sent as a bearer token to the first host alone.
  package var token: String?
  /// Seconds without a byte after which a connection counts as dead.
  package var patience = 30.0
  /// Tries in a row that bring nothing before it gives up.
  package var attempts = 4

  /// Room left free beside the file.
  private static let spareBytes = 64 << 20

  package init(url: String, target: String, sha256: String? = nil, token: String? = nil) {
    self.url = url
    self.target = target
    self.sha256 = sha256?.lowercased()
    self.token = token
  }

  /// Fetches the file unless it is there.
  ///
  /// - Parameter progress: called with the bytes that have arrived, and their number in all if known.
  /// - Throws: `DownloadError`, or `CancellationError` when the current task is cancelled.
  package func run(progress: @escaping @Sendable (Int, Int?) -> Void = { _, _ in }) async throws {
    guard let address = URL(string: url), ["http", "https"].contains(address.scheme?.lowercased() ?? ""),
      address.host?.isEmpty == false
    else { throw DownloadError.badAddress(url) }
    let part = try PartialFile(target: target, url: url)
    var failures = 0
    while true {
      try Task.checkCancellation()
      let before = part.count
      let outcome = await Transfer(self, address, part, progress).run()
      try Task.checkCancellation()
      switch outcome {
      case .complete(let digest):
        try check(part, digest)
        return try part.arrive()
      case .failed(let error):
        if case .tooLong = error { part.discard() }
        guard error.isWorthRetrying else { throw error }
        failures = part.count > before ? 1 : failures + 1
        guard failures < attempts else { throw error }
        try await Task.sleep(for: .milliseconds(250 << min(failures, 4)))
      }
    }
  }

  /// Checks what arrived against the digest that was given, or else that the server told.
  private func check(_ part: PartialFile, _ told: String?) throws {
    if let expected = sha256 ?? told {
      let found = try part.digest()
      guard found == expected else {
        part.discard()
        throw DownloadError.wrongDigest(url: url, found: found, expected: expected)
      }
    }
    guard target.lowercased().hasSuffix(".gguf") else { return }
    let start = part.start()
    guard start.starts(with: "GGUF".utf8) else {
      part.discard()
      throw DownloadError.wrongContent(
        url: url, start: String(decoding: start, as: UTF8.self).filter { $0.isASCII && !$0.isNewline })
    }
  }

  /// Refuses to begin what cannot be finished.
  func checkSpace(_ bytes: Int) throws(DownloadError) {
    let folder = (target as NSString).deletingLastPathComponent
    let attributes = try? FileManager.default.attributesOfFileSystem(forPath: folder.isEmpty ? "." : folder)
    guard let free = (attributes?[.systemFreeSize] as? NSNumber)?.intValue else { return }
    let needed = bytes + Self.spareBytes
    guard free >= needed else { throw .noSpace(folder: folder, needed: needed, free: free) }
  }
}

extension DownloadError {
  /// Whether the same request may go better.
  var isWorthRetrying: Bool {
    switch self {
    case .interrupted, .tooLong: true
    case .refused(_, let status): status == 408 || status == 429 || status >= 500
    default: false
    }
  }
}
