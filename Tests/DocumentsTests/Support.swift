import DuetDocuments
import Foundation
import Testing

/// A folder that is removed with the object.
final class TemporaryFolder: Sendable {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "duet-documents-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The path of a file in the folder.
  func file(_ name: String) -> String { path + "/" + name }

  @discardableResult
  func write(_ name: String, _ text: String) throws -> String { try write(name, bytes: Array(text.utf8)) }

  @discardableResult
  func write(_ name: String, bytes: [UInt8]) throws -> String {
    let target = URL(fileURLWithPath: file(name))
    try FileManager.default.createDirectory(
      at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: target)
    return target.path
  }

  func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: file(name)) }
}

/// The bytes of a file in Fixtures.
func fixture(_ name: String) throws -> [UInt8] {
  let url = try #require(Bundle.module.url(forResource: "Fixtures/" + name, withExtension: nil))
  return [UInt8](try Data(contentsOf: url))
}

/// Random numbers from a seed (SplitMix64; Steele, Lea and Flood 2014).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// Reads text as if it were the content of a file called `name`.
func read(_ text: String, _ name: String) throws -> Document {
  try DocumentReader().document(Array(text.utf8), path: name)
}

extension Document {
  /// The blocks' texts.
  var parts: [String] { blocks.map { string($0.range) } }
}

/// A stored ZIP archive, without checksums: readers that do not verify them accept it.
func storedArchive(_ entries: [(name: String, content: [UInt8])], method: UInt16 = 0) -> [UInt8] {
  func little(_ value: Int, _ count: Int) -> [UInt8] { (0..<count).map { UInt8(value >> (8 * $0) & 0xFF) } }
  var archive: [UInt8] = []
  var directory: [UInt8] = []
  for entry in entries {
    let offset = archive.count
    let sizes = little(entry.content.count, 4) + little(entry.content.count, 4)
    let common =
      little(0, 2) + little(Int(method), 2) + little(0, 8) + sizes + little(entry.name.utf8.count, 2)
    archive +=
      little(0x0403_4B50, 4) + little(20, 2) + common + little(0, 2) + Array(entry.name.utf8) + entry.content
    directory +=
      little(0x0201_4B50, 4) + little(20, 2) + little(20, 2) + common + little(0, 12) + little(offset, 4)
      + Array(entry.name.utf8)
  }
  let end =
    little(0x0605_4B50, 4) + little(0, 4) + little(entries.count, 2) + little(entries.count, 2)
    + little(directory.count, 4) + little(archive.count, 4) + little(0, 2)
  return archive + directory + end
}
