import DuetRuntime
import Foundation
import Testing

@Suite struct OutputFileTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("duet-\(UUID())")

  init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }

  private func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
  private func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
  }

  @Test func appearsOnlyWhenFinished() throws {
    let file = try OutputFile(path: path("a"))
    try file.write("one ")
    try file.write([UInt8](repeating: 65, count: 3 << 20))
    #expect(try !names().contains("a"))
    try file.finish()
    #expect(try names() == ["a"])
    #expect(try Data(contentsOf: URL(fileURLWithPath: path("a"))).count == 4 + 3 << 20)
  }

  @Test func leavesTheOldFileWhenAbandoned() throws {
    try Data("old".utf8).write(to: URL(fileURLWithPath: path("a")))
    do {
      let file = try OutputFile(path: path("a"))
      try file.write("new")
    }
    #expect(try names() == ["a"])
    #expect(try String(contentsOfFile: path("a"), encoding: .utf8) == "old")
  }

  @Test func replacesOnlyWhereAsked() throws {
    try Data("old".utf8).write(to: URL(fileURLWithPath: path("a")))
    #expect(throws: OutputError.exists(path: path("a"))) { try OutputFile(path: path("a"), replaces: false) }
    let late = try OutputFile(path: path("b"), replaces: false)
    try Data("other".utf8).write(to: URL(fileURLWithPath: path("b")))
    #expect(throws: OutputError.self) { try late.finish() }
    #expect(try String(contentsOfFile: path("b"), encoding: .utf8) == "other")
    let fresh = try OutputFile(path: path("c"), replaces: false)
    try fresh.finish()
    #expect(try names().contains("c"))
  }

  @Test func refusesFoldersAndMissingFolders() {
    #expect(throws: OutputError.isFolder(path: folder.path)) { try OutputFile(path: folder.path) }
    #expect(throws: OutputError.self) { try OutputFile(path: path("none/a")) }
  }

  @Test func writesDevicesAsTheyAre() throws {
    let file = try OutputFile(path: "/dev/null", replaces: false)
    try file.write("text")
    try file.finish()
    let full = try OutputFile(path: "/dev/full")
    try full.write("text")
    #expect(throws: OutputError.cannotWrite(path: "/dev/full", code: ENOSPC)) { try full.finish() }
  }
}

@Suite struct GGUFWriterTests {
  private let path = FileManager.default.temporaryDirectory.appendingPathComponent("duet-\(UUID()).gguf").path

  private var pairs: [(key: String, value: GGUFValue)] {
    [
      ("general.architecture", .string("llama")), ("a.count", .integer(7, .uint32)),
      ("a.small", .integer(-3, .int8)), ("a.rate", .float(0.25, .float32)), ("a.flag", .bool(true)),
      ("a.names", .array(GGUFArray(strings: ["x", "", "zebra"]))),
      ("a.scores", .array(GGUFArray(floats: [1, -2.5]))),
      ("a.kinds", .array(GGUFArray(integers: [1, -6]))),
    ]
  }

  @Test func readsBackWhatItWrote() throws {
    let plans = [
      TensorPlan(name: "one", shape: [3], type: .f32), TensorPlan(name: "two", shape: [32, 2], type: .q8_0),
    ]
    let writer = try GGUFWriter(path: path, metadata: pairs, tensors: plans)
    try writer.write([Float(1), 2, 3].span)
    try writer.write([UInt8](0..<34))
    try writer.write([UInt8](34..<68))
    try writer.finish()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let file = try GGUFFile(path: path)
    #expect(file.version == 3 && file.metadata.keys == pairs.map(\.key))
    #expect(try file.metadata.integer("a.count") == 7 && file.metadata.integer("a.small") == -3)
    #expect(try file.metadata.number("a.rate") == 0.25 && file.metadata.bool("a.flag") == true)
    #expect(try file.metadata.array("a.names", of: [.string])?.strings() == ["x", "", "zebra"])
    #expect(try file.metadata.array("a.scores", of: [.float32])?.floats() == [1, -2.5])
    #expect(try file.metadata.array("a.kinds", of: [.int32])?.integers() == [1, -6])
    let two = try file.tensor("two", shape: [32, 2])
    #expect(two.type == .q8_0 && two.file.bytes(two.range) == [UInt8](0..<68))
  }

  @Test func copiesTheMetadataOfAFile() throws {
    let first = try GGUFWriter(path: path, metadata: pairs, tensors: [])
    try first.finish()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let source = try GGUFFile(path: path)
    let copy = path + ".copy"
    let copied = source.metadata.keys.compactMap { key in source.metadata[key].map { (key: key, value: $0) } }
    try GGUFWriter(path: copy, metadata: copied, tensors: []).finish()
    defer { try? FileManager.default.removeItem(atPath: copy) }
    #expect(try Data(contentsOf: URL(fileURLWithPath: copy)) == Data(contentsOf: URL(fileURLWithPath: path)))
  }

  @Test func refusesWhatNoReaderAccepts() throws {
    func attempt(_ pairs: [(key: String, value: GGUFValue)], _ plans: [TensorPlan]) throws {
      try GGUFWriter(path: path, metadata: pairs, tensors: plans).finish()
    }
    let good = TensorPlan(name: "a", shape: [32], type: .f32)
    #expect(throws: GGUFWriteError.self) { try attempt([("", .bool(true))], []) }
    #expect(throws: GGUFWriteError.self) { try attempt([("k", .integer(300, .uint8))], []) }
    #expect(throws: GGUFWriteError.self) { try attempt([("k", .bool(true)), ("k", .bool(true))], []) }
    #expect(throws: GGUFWriteError.self) { try attempt([], [good]) }
    #expect(throws: GGUFWriteError.self) { try attempt([], [good, good]) }
    #expect(throws: GGUFWriteError.self) {
      try attempt([], [TensorPlan(name: "a", shape: [33], type: .q8_0)])
    }
    #expect(throws: GGUFWriteError.self) { try attempt([], [TensorPlan(name: "a", shape: [], type: .f32)]) }
    let long = String(repeating: "n", count: 65)
    #expect(throws: GGUFWriteError.self) { try attempt([], [TensorPlan(name: long, shape: [1], type: .f32)]) }
    #expect(!FileManager.default.fileExists(atPath: path))
  }
}
