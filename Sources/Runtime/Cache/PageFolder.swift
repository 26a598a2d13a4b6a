import Synchronization

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A folder of full cache pages, so that a document that was read once need not be read again after
/// a restart.
///
/// Each page is a file of its own, named by a digest of everything its keys and values depend on: the
/// model, its tuning, the settings and all tokens up to the page's end. A page that is found is
/// mapped, never copied, once its header and the digest of its content were checked; what is damaged
/// is removed. The least recently used pages go when there are too many. Several processes may share
/// a folder.
package final class PageFolder: Sendable {
  /// Neighbouring full pages of one sequence.
  struct Pages: Sendable {
    let pages: [CachePage]
    /// The number of the first among the sequence's pages.
    let first: Int
    /// The sequence's tokens up to the end of the last of them.
    let tokens: [Int32]
    let salt: UInt64
  }

  /// The path of the folder.
  package let path: String
  /// Bytes that the files may take together.
  package let byteLimit: Int
  /// What all pages depend on besides tunings and tokens.
  private let identity: UInt64

  private static let ending = ".duet-page"

  /// Makes the folder, for its owner alone, where it does not exist; one that cannot be made holds
  /// nothing.
  package init(path: String, identity: UInt64, byteLimit: Int) {
    self.path = path
    self.identity = identity
    self.byteLimit = byteLimit
    try? FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }

  private func key(_ hash: UInt64) -> UInt64 {
    var digest = Digest(seed: identity)
    digest.add(hash)
    return digest.value
  }

  private func file(_ key: UInt64) -> String {
    let digits = String(key, radix: 16)
    return path + "/" + String(repeating: "0", count: 16 - digits.count) + digits + Self.ending
  }

  /// The page whose tokens and all before them have the hash; nil where there is none that is whole.
  func page(_ hash: UInt64, _ tokens: ArraySlice<Int32>, _ layout: CacheLayout) -> CachePage? {
    let key = key(hash), path = file(key)
    guard let file = try? MappedFile(path: path) else { return nil }
    let header = PageHeader(layout, key: key, tokens: tokens)
    guard header.fits(file) else {
      unsafe unlink(path)
      return nil
    }
    // Used just now: it is among the last to go.
    unsafe utimensat(AT_FDCWD, path, nil, 0)
    return CachePage(layout, in: file, at: PageHeader.byteCount)
  }

  /// Writes pages that are not there yet, then removes the oldest while there are too many.
  ///
  /// A page that cannot be written is left out: the folder only saves time.
  func save(_ pages: Pages) {
    let size = CacheLayout.pageTokens
    var hash = PageStore.extend(PageStore.start(pages.salt), pages.tokens[..<(pages.first * size)])
    for (index, page) in pages.pages.enumerated() {
      let start = (pages.first + index) * size
      let tokens = pages.tokens[start..<start + size]
      hash = PageStore.extend(hash, tokens)
      let key = key(hash)
      guard unsafe access(file(key), F_OK) != 0 else { continue }
      let header = PageHeader(page.layout, key: key, tokens: tokens)
      do { try header.write(page, to: file(key)) } catch { break }
    }
    trim()
  }

  private struct Entry {
    let path: String
    let bytes: Int
    let used: Int
  }

  /// Removes the least recently used pages beyond the limit. O(files).
  private func trim() {
    var entries = entries()
    var total = entries.reduce(0) { $0 + $1.bytes }
    guard total > byteLimit else { return }
    entries.sort { $0.used < $1.used }
    for entry in entries where total > byteLimit {
      unsafe unlink(entry.path)
      total -= entry.bytes
    }
  }

  private func entries() -> [Entry] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.filter { $0.hasSuffix(Self.ending) }.compactMap { name in
      var status = stat()
      let file = path + "/" + name
      guard unsafe lstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
      return Entry(path: file, bytes: Int(status.st_size), used: status.modified)
    }
  }
}

/// What stands before the keys and values in a page's file: little-endian numbers that must be what
/// the reader expects, to the last bit.
private struct PageHeader {
  static let byteCount = 4_096
  /// Another one whenever the layout changes, or kernels give other results: what an older build has written is dropped.
  private static let version: UInt32 = 2

  private let layout: CacheLayout
  private let fields: [UInt8]

  init(_ layout: CacheLayout, key: UInt64, tokens: ArraySlice<Int32>) {
    self.layout = layout
    var fields = Array("DUETPAGE".utf8)
    let shape = [
      Int(Self.version), layout.layers, layout.heads, layout.headSize, Int(layout.type.typeNumber),
      CacheLayout.pageTokens, layout.pageBytes,
    ]
    for number in shape { Self.append(UInt64(number), to: &fields) }
    Self.append(key, to: &fields)
    for token in tokens { Self.append(UInt64(UInt32(bitPattern: token)), to: &fields) }
    self.fields = fields
  }

  private static func append(_ number: UInt64, to bytes: inout [UInt8]) {
    for shift in stride(from: UInt64(0), to: 64, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: number >> shift))
    }
  }

  private func digest(_ content: RawSpan) -> UInt64 {
    var digest = Digest(seed: 1)
    digest.update(content)
    return digest.value
  }

  /// Whether a file holds just this page, undamaged. O(page).
  func fits(_ file: MappedFile) -> Bool {
    guard file.count == Self.byteCount + layout.pageBytes else { return false }
    guard file.bytes(0..<fields.count) == fields else { return false }
    let content = file.withBytes(Self.byteCount..<file.count) { digest($0) }
    return file.bytes(0..<Self.byteCount) == bytes(content)
  }

  /// The whole header of a page whose content has this digest.
  private func bytes(_ content: UInt64) -> [UInt8] {
    var bytes = fields
    Self.append(content, to: &bytes)
    return bytes + [UInt8](repeating: 0, count: Self.byteCount - bytes.count)
  }

  func write(_ page: CachePage, to path: String) throws {
    let file = try OutputFile(path: path, isPrivate: true)
    try file.write(bytes(page.withBytes { digest($0) }))
    try page.withBytes { (bytes: RawSpan) throws in try file.write(bytes) }
    try file.finish()
  }
}
