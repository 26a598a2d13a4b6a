import DuetDocuments
import DuetRouter
import DuetRuntime
import Foundation
import Testing

/// Whole conversations with the default model, about documents and without.
@Suite(
  "A chat with the default model", .enabled(if: ModelFiles.available(ModelFiles.smolLM2), ModelFiles.absent))
struct ChatTests {
  /// A collection of the given files and a chat about it.
  private func chat(_ files: [String: String], budget: Int? = nil) throws -> Chat {
    let folder = FileManager.default.temporaryDirectory.path + "/duet-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for (name, text) in files { try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)")) }
    let library = try DocumentLibrary(path: "\(folder)/index.sqlite")
    let report = try library.add(paths: files.keys.sorted().map { "\(folder)/\($0)" }, progress: nil)
    return Chat(try engine(), documents: report.collection, documentBudget: budget)
  }

  private func engine() throws -> Engine {
    Engine(try Model(path: ModelFiles.path(ModelFiles.smolLM2)))
  }

  private func ask(_ chat: Chat, _ question: String) async throws -> (Reply, [Source]) {
    var context: [Source] = []
    var text = ""
    for try await event in chat.ask(question) {
      switch event {
      case .routed(_, let sources): context = sources
      case .text(let piece): text += piece
      case .finished(let reply):
        #expect(reply.text == text)
        return (reply, context)
      default: break
      }
    }
    throw CancellationError()
  }

  @Test("answers without documents")
  func plain() async throws {
    let (reply, context) = try await ask(Chat(try engine()), "What is the capital of France?")
    #expect(reply.text.contains("Paris"))
    #expect(context.isEmpty && reply.sources.isEmpty && reply.route == .base)
  }

  @Test("answers from a document that fits whole, and reads it once")
  func whole() async throws {
    let chat = try chat(["lease.txt": "Lease\n\nThe lease of the house in Mill Lane ends on 4 May 2031.\n"])
    let (first, context) = try await ask(chat, "When does the lease end?")
    #expect(first.text.contains("2031"))
    #expect(context.count == 1 && first.sources.map(\.number) == [1])
    #expect(first.sources[0].location.hasSuffix("lease.txt:3"))
    let (second, _) = try await ask(chat, "Where is the house?")
    #expect(second.text.contains("Mill Lane"))
    #expect(second.usage.cachedTokens > first.usage.promptTokens - 8)
  }

  @Test("takes the passages that match where not everything fits")
  func passages() async throws {
    let filler = (0..<60).map { "Paragraph \($0) is about the weather of day \($0), which was mild." }
    let chat = try chat([
      "a.txt": filler.joined(separator: "\n\n"),
      "b.txt": "The safe in the cellar opens with the number 7714.\n",
    ])
    let (reply, context) = try await ask(chat, "Which number opens the safe in the cellar?")
    #expect(reply.text.contains("7714"))
    #expect(context.count < 10 && context[0].location.hasSuffix("b.txt:1"))
    #expect(reply.sources[0].location.hasSuffix("b.txt:1"))
  }

  @Test("says that no passage matches")
  func nothing() async throws {
    let chat = try chat(["a.txt": String(repeating: "Apples and pears.\n\n", count: 200)], budget: 50)
    let (reply, context) = try await ask(chat, "zyzzyva quux?")
    #expect(context.isEmpty && reply.sources.isEmpty)
    #expect(reply.reason == "no passage matches the question")
  }
}
