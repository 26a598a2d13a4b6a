/// The entries of a ZIP archive, found by its central directory
/// (APPNOTE.TXT 6.3.10, 4.3.7, 4.3.12 and 4.3.16); no ZIP64, no encryption, no split archives.
struct ZipArchive {
  private let bytes: [UInt8]
  private var entries: [String: Entry] = [:]

  private struct Entry {
    let flags: Int
    let method: Int
    let compressedCount: Int
    let headerOffset: Int
  }

  /// Entries that are read; office documents have dozens.
  private static let maximumEntries = 10_000

  /// - Complexity: O(bytes).
  init(_ bytes: [UInt8]) throws(ReadError) {
    self.bytes = bytes
    let end = try endRecord()
    var offset = try integer(end + 16, 4)
    for _ in 0..<min(try integer(end + 10, 2), Self.maximumEntries) {
      guard try integer(offset, 4) == 0x0201_4B50 else { throw damaged("has a broken directory") }
      let nameCount = try integer(offset + 28, 2)
      let name = String(decoding: try slice(offset + 46, nameCount), as: UTF8.self)
      entries[name] = Entry(
        flags: try integer(offset + 8, 2), method: try integer(offset + 10, 2),
        compressedCount: try integer(offset + 20, 4), headerOffset: try integer(offset + 42, 4))
      let extraCount = try integer(offset + 30, 2) + integer(offset + 32, 2)
      offset += 46 + nameCount + extraCount
    }
  }

  /// The content of the entry called `name`, or nil if there is none.
  ///
  /// - Throws: `ReadError.damaged`, or `.bomb` for an entry beyond the limits of `Inflate`.
  func content(_ name: String) throws(ReadError) -> [UInt8]? {
    guard let entry = entries[name] else { return nil }
    guard entry.flags & 1 == 0 else { throw damaged("is encrypted") }
    guard try integer(entry.headerOffset, 4) == 0x0403_4B50 else { throw damaged("has a broken entry") }
    let nameCount = try integer(entry.headerOffset + 26, 2)
    let extraCount = try integer(entry.headerOffset + 28, 2)
    let data = try slice(entry.headerOffset + 30 + nameCount + extraCount, entry.compressedCount)
    switch entry.method {
    case 0: return Array(data)
    case 8: return try Inflate.bytes(data)
    default: throw damaged("uses compression method \(entry.method)")
    }
  }

  /// The offset of the record that ends the archive; a comment of up to 65,535 bytes may follow it.
  private func endRecord() throws(ReadError) -> Int {
    let mark: [UInt8] = [0x50, 0x4B, 0x05, 0x06]
    var offset = bytes.count - 22
    while offset >= 0, offset > bytes.count - 22 - 65_536 {
      if bytes[offset...].starts(with: mark) { return offset }
      offset -= 1
    }
    throw damaged("has no directory")
  }

  private func slice(_ offset: Int, _ count: Int) throws(ReadError) -> ArraySlice<UInt8> {
    guard offset >= 0, count <= bytes.count - offset else { throw damaged("ends too early") }
    return bytes[offset..<offset + count]
  }

  /// The little-endian number of `count` bytes, at most 4, at `offset`.
  private func integer(_ offset: Int, _ count: Int) throws(ReadError) -> Int {
    try slice(offset, count).reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  private func damaged(_ problem: String) -> ReadError { .damaged(format: "ZIP", problem: problem) }
}
