import DuetRuntime
import Foundation
import Testing

@Suite("A GGUF file")
struct GGUFFileTests {
  private var model: GGUFBuilder {
    var builder = GGUFBuilder()
    builder.set("general.name", .string("tiny"))
    builder.set("tiny.numbers", .int32s([1, -2, 3]))
    builder.addFloats("a", shape: [4, 2], (0..<8).map(Float.init))
    builder.addFloats("b", shape: [3], [1, 2, 3])
    return builder
  }

  @Test("of versions 2 and 3 gives its metadata and tensors", arguments: [UInt32(2), 3])
  func versions(_ version: UInt32) throws {
    var builder = model
    builder.version = version
    let file = try builder.open()
    #expect(file.version == version)
    #expect(try file.metadata.string("general.name") == "tiny")
    #expect(try file.metadata.array("tiny.numbers", of: [.int32])?.integers() == [1, -2, 3])
    let tensor = try #require(file["a"])
    #expect(tensor.shape == [4, 2] && tensor.rows == 2 && tensor.columns == 4)
    #expect(tensor.file.bytes(tensor.range).count == 32)
  }

  @Test("may align its tensors otherwise", arguments: [8, 64, 4096])
  func alignment(_ alignment: Int) throws {
    var builder = model
    builder.alignment = alignment
    let file = try builder.open()
    let tensor = try #require(file["b"])
    #expect(tensor.range.lowerBound % alignment == 0)
    #expect(tensor.file.bytes(tensor.range) == [Float(1), 2, 3].flatMap { little($0.bitPattern) })
  }

  @Test("that is cut short anywhere is refused")
  func truncation() throws {
    let bytes = model.bytes()
    let end = try model.open().tensors.map(\.range.upperBound).max() ?? 0
    for count in 1..<end {
      #expect(throws: GGUFError.self) { try GGUFBuilder.open(Array(bytes[..<count])) }
    }
  }

  @Test("is refused by what is wrong with it")
  func refusals() throws {
    #expect(throws: GGUFError.self) { try GGUFBuilder.open(Array("no model at all".utf8)) }
    var builder = model
    builder.version = 1
    #expect(throws: GGUFError.self) { try builder.open() }
    builder = model
    builder.addFloats("a", shape: [1], [0])
    #expect(throws: GGUFError.self, "two tensors of one name") { try builder.open() }
    builder = model
    builder.tensors.append(.init(name: "c", shape: [33], type: 2, bytes: [UInt8](repeating: 0, count: 36)))
    #expect(throws: GGUFError.self, "a row that is not whole blocks") { try builder.open() }
    builder = model
    builder.tensors.append(.init(name: "c", shape: [4], type: 99, bytes: [0]))
    #expect(throws: GGUFError.self, "an unknown type") { try builder.open() }
  }

  @Test("whose tensors share bytes is refused")
  func overlaps() throws {
    var bytes = model.bytes()
    // The second tensor's entry ends the header: its offset is made that of the first.
    let name = try #require(bytes.lastRange(of: little(UInt64(1)) + Array("b".utf8)))
    let offset = name.upperBound + 4 + 8 + 4
    bytes.replaceSubrange(offset..<offset + 8, with: little(UInt64(0)))
    #expect(throws: GGUFError.self) { try GGUFBuilder.open(bytes) }
  }

  @Test("split over several opens by its first part")
  func split() throws {
    let folder = FileManager.default.temporaryDirectory.path + "/duet-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func path(_ number: Int) -> String { "\(folder)/m-0000\(number)-of-00002.gguf" }
    for number in 1...2 {
      var part = GGUFBuilder()
      part.set("split.count", .uint16(2))
      part.set("split.no", .uint16(UInt16(number - 1)))
      part.set("split.tensors.count", .int32(2))
      part.addFloats("part\(number)", shape: [2], [Float(number), 0])
      try Data(part.bytes()).write(to: URL(filePath: path(number)))
    }
    let file = try GGUFFile(path: path(1))
    #expect(file.parts.count == 2 && file.tensors.map(\.name) == ["part1", "part2"])
    let second = try #require(file["part2"])
    #expect(second.file.bytes(second.range).prefix(4) == little(Float(2).bitPattern)[...])
    #expect(throws: GGUFError.self, "the second part names no others") { try GGUFFile(path: path(2)) }
    try FileManager.default.removeItem(atPath: path(2))
    #expect(throws: GGUFError.self, "a part is missing") { try GGUFFile(path: path(1)) }
  }
}

extension Array where Element == UInt8 {
  /// Where `pattern` occurs last.
  fileprivate func lastRange(of pattern: [UInt8]) -> Range<Int>? {
    (0...Swift.max(0, count - pattern.count)).last { self[$0...].starts(with: pattern) }
      .map { $0..<$0 + pattern.count }
  }
}
