import DuetRuntime
import Foundation
import Testing

/// Pages on disk serve a prompt after a restart, and nothing else.
@Suite(.serialized) struct PageFolderTests {
  /// A folder that is removed with the object.
  private final class Folder {
    let path = FileManager.default.temporaryDirectory.path + "/duet-pages-\(UUID().uuidString)/pages"
    deinit { try? FileManager.default.removeItem(atPath: (path as NSString).deletingLastPathComponent) }

    var files: [String] {
      ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted().map { path + "/" + $0 }
    }
  }

  private struct Answer: Equatable {
    let text: String
    let cached: Int
  }

  private func engine(_ model: Model, _ folder: Folder?, _ change: (inout EngineOptions) -> Void = { _ in })
    -> Engine
  {
    var options = EngineOptions()
    options.threads = 1
    options.batch = 128
    options.pageFolder = folder?.path
    change(&options)
    return Engine(model, options)
  }

  private func ask(_ engine: Engine, _ tuning: Tuning? = nil, _ question: String = "What?") async throws
    -> Answer
  {
    let document = (0..<60).map { "Sentence \($0)." }.joined(separator: " ")
    let session = Session(engine, system: document, tuning: tuning)
    var options = GenerationOptions(), answer: Answer?
    options.maxTokens = 12
    for try await case .finished(let end) in session.events(replyingTo: question, options) {
      answer = Answer(text: end.text, cached: end.usage.cachedTokens)
    }
    await engine.finishSaving()
    return try #require(answer)
  }

  @Test func `a second engine finds what the first has read, and answers the same`() async throws {
    let folder = Folder(), model = try TinyChat().open()
    let plain = try await ask(engine(model, nil))
    let first = try await ask(engine(model, folder))
    #expect(first == plain && first.cached == 0 && folder.files.count >= 12)
    let second = try await ask(engine(model, folder))
    #expect(second.text == plain.text && second.cached >= 64 * 12)
    // Another question about the document shares all but the last pages.
    let other = try await ask(engine(model, folder), nil, "And why, for that matter?")
    #expect(other.cached >= 64 * 12)
    #expect(other.text == (try await ask(engine(model, nil), nil, "And why, for that matter?")).text)
    let attributes = try FileManager.default.attributesOfItem(atPath: folder.files[0])
    #expect(attributes[.posixPermissions] as? Int == 0o600)
  }

  @Test func `nothing is served to another model, tuning or setting`() async throws {
    let folder = Folder(), chat = TinyChat(), model = try chat.open()
    _ = try await ask(engine(model, folder))
    let tuning = try Tuning(chat.adapter().open(for: model))
    #expect(try await ask(engine(model, folder), tuning).cached == 0)
    #expect(try await ask(engine(model, folder), tuning).cached > 0)
    #expect(try await ask(engine(model, folder), try Tuning(tuning.adapter, scale: 0.5)).cached == 0)
    #expect(try await ask(engine(model, folder) { $0.cache = .q8_0 }).cached == 0)
    #expect(try await ask(engine(model, folder) { $0.activations = .float32 }).cached == 0)
    let other = try TinyChat(endScale: 0.1).open()
    #expect(try await ask(engine(other, folder)).cached == 0)
    #expect(try await ask(engine(model, folder)).cached > 0)
  }

  @Test func `what is damaged is removed, and read again`() async throws {
    let model = try TinyChat().open()
    let plain = try await ask(engine(model, nil))
    let folder = Folder()
    _ = try await ask(engine(model, folder))
    let file = try #require(folder.files.first), whole = try Data(contentsOf: URL(filePath: file))
    var damages: [Data] = [Data(), whole.dropLast(), whole + [0], Data(whole.prefix(4_000))]
    for place in [0, 9, 60, 100, 500, 640, 4_096, whole.count / 2, whole.count - 1] {
      var copy = whole
      copy[place] ^= 0x10
      damages.append(copy)
    }
    for (index, damage) in damages.enumerated() {
      for path in folder.files { try damage.write(to: URL(filePath: path)) }
      let answer = try await ask(engine(model, folder))
      #expect(answer.text == plain.text, "damage \(index)")
      #expect(answer.cached == 0, "damage \(index)")
    }
    #expect(try await ask(engine(model, folder)).cached > 0)
    // One gap ends what is found; the pages before it are used.
    try FileManager.default.removeItem(atPath: folder.files[folder.files.count / 2])
    #expect(try await ask(engine(model, folder)).text == plain.text)
  }

  @Test func `the folder keeps to its limit and drops the least recently used`() async throws {
    let folder = Folder(), model = try TinyChat().open()
    _ = try await ask(engine(model, folder))
    let page = try Data(contentsOf: URL(filePath: folder.files[0])).count
    let limit = 8 * page + page / 2
    _ = try await ask(
      engine(model, folder) { $0.pageFolderBytes = limit }, nil, String(repeating: "x", count: 400))
    #expect(folder.files.count == 8)
  }

  @Test func `a folder that cannot be made is done without`() async throws {
    let model = try TinyChat().open()
    let answer = try await ask(engine(model, nil) { $0.pageFolder = "/dev/null/pages" })
    #expect(answer == (try await ask(engine(model, nil))))
  }

  @Test func `mapped pages are copied before they are written to`() async throws {
    let folder = Folder(), model = try TinyChat().open()
    _ = try await ask(engine(model, folder))
    // Sessions that hold mapped pages alone, cut within one, and go on there.
    let engine = engine(model, folder) { $0.pageStoreBytes = 0 }
    let document = (0..<60).map { "Sentence \($0)." }.joined(separator: " ")
    let session = Session(engine, system: document)
    var options = GenerationOptions()
    options.maxTokens = 5
    for try await _ in session.events(replyingTo: "What?", options) {}
    session.system = String(document.dropLast(300)) + "Otherwise."
    session.reset()
    var text = ""
    for try await part in session.reply(to: "What?", options) { text += part }
    let fresh = Session(self.engine(model, nil), system: session.system)
    var expected = ""
    for try await part in fresh.reply(to: "What?", options) { expected += part }
    #expect(text == expected)
    #expect(try await ask(self.engine(model, folder)).cached > 0)
  }
}
