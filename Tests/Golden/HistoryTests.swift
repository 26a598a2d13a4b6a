import Foundation
import Testing

/// Conversations that `duet chat` keeps, through the program itself and the default model.
@Suite(
  .enabled(if: ModelFiles.available(ModelFiles.smolLM2), ModelFiles.absent),
  .enabled(if: DuetProgram.exists, DuetProgram.absent))
struct HistoryTests {
  private struct Saved: Codable {
    struct Message: Codable, Equatable {
      var role, content: String
    }
    struct Turn: Codable {
      struct Source: Codable {
        var number: Int
        var location: String
      }
      var question, answer: String
      var sources: [Source] = []
    }
    var version = 1
    var id: String
    var started = "2026-01-02T03:04:05Z"
    var changed = "2026-01-02T03:04:05Z"
    var model = ModelFiles.path(ModelFiles.smolLM2)
    var modelName = "SmolLM2"
    var documents: [String] = []
    var turns = [Turn(question: "My name is Zebulon.", answer: "Hello Zebulon!")]
    var messages = [
      Message(role: "user", content: "My name is Zebulon."),
      Message(role: "assistant", content: "Hello Zebulon!"),
    ]
  }

  private func path(_ id: String, _ duet: DuetProgram) -> String {
    duet.folder + "/duet/conversations/\(id).json"
  }

  /// A file as an earlier run wrote it.
  private func keep(_ saved: Saved, _ duet: DuetProgram) throws {
    try FileManager.default.createDirectory(
      atPath: duet.folder + "/duet/conversations", withIntermediateDirectories: true)
    try JSONEncoder().encode(saved).write(to: URL(filePath: path(saved.id, duet)))
  }

  private func read(_ id: String, _ duet: DuetProgram) throws -> Saved {
    try JSONDecoder().decode(Saved.self, from: Data(contentsOf: URL(filePath: path(id, duet))))
  }

  @Test func `the one used last goes on with what was said, and is kept for its owner alone`() throws {
    let duet = try DuetProgram()
    defer { duet.remove() }
    var old = Saved(id: "20260101-000000-1")
    old.changed = "2026-01-01T00:00:00Z"
    old.messages[0].content = "My name is Ann."
    try keep(old, duet)
    var saved = Saved(id: "20260102-030405-ab")
    saved.documents = ["/nowhere/gone.txt"]
    try keep(saved, duet)
    let result = try duet.run("chat", "--continue", "What is my name?")
    #expect(result.status == 0 && result.output.contains("Zebulon"), "\(result)")
    #expect(result.errors.contains("/nowhere/gone.txt, which the conversation was about, is gone"))
    let kept = try read(saved.id, duet)
    #expect(kept.turns.map(\.question) == ["My name is Zebulon.", "What is my name?"])
    #expect(kept.messages.map(\.role) == ["user", "assistant", "user", "assistant"])
    #expect(kept.messages.prefix(2).elementsEqual(saved.messages))
    #expect(kept.messages.last?.content == kept.turns.last?.answer)
    #expect(kept.changed > saved.changed && kept.started == saved.started)
    let attributes = try FileManager.default.attributesOfItem(atPath: path(saved.id, duet))
    #expect(attributes[.posixPermissions] as? Int == 0o600)
  }

  @Test func `--no-history and single questions write nothing`() throws {
    let duet = try DuetProgram()
    defer { duet.remove() }
    #expect(try duet.run("chat", "--max-tokens", "2", "Hi").status == 0)
    #expect(!FileManager.default.fileExists(atPath: duet.folder + "/duet/conversations"))
    let saved = Saved(id: "20260102-030405-ab")
    try keep(saved, duet)
    let before = try Data(contentsOf: URL(filePath: path(saved.id, duet)))
    let result = try duet.run("chat", "--resume", "20260102", "--no-history", "--max-tokens", "2", "Hi")
    #expect(result.status == 0, "\(result)")
    #expect(try Data(contentsOf: URL(filePath: path(saved.id, duet))) == before)
  }

  @Test func `what cannot go on is refused in one line that says what to do`() throws {
    let duet = try DuetProgram()
    defer { duet.remove() }
    func refusal(_ arguments: String...) throws -> String {
      let result = try duet.run("chat", arguments[0], arguments[1], "Hi")
      #expect(result.status == 1 && result.output.isEmpty, "\(result)")
      #expect(result.errors.split(separator: "\n").count == 1)
      return result.errors
    }
    #expect(try refusal("--continue", "--verbose").contains("no conversation is kept"))
    for id in ["20260102-1", "20260102-2"] { try keep(Saved(id: id), duet) }
    #expect(try refusal("--resume", "20260102").contains("more than one conversation's id begins with"))
    #expect(try refusal("--resume", "2027").contains("no conversation's id begins with 2027"))
    var gone = Saved(id: "20260103-1")
    gone.model = "/nowhere/model.gguf"
    try keep(gone, duet)
    #expect(try refusal("--resume", "20260103").contains("/nowhere/model.gguf, is gone"))
    var newer = Saved(id: "20260104-1")
    newer.version = 99
    try keep(newer, duet)
    #expect(try refusal("--resume", "20260104").contains("another version of duet wrote it"))
    try Data("{\"version\":1".utf8).write(to: URL(filePath: path("20260105-1", duet)))
    #expect(try refusal("--resume", "20260105").contains("it is damaged"))
  }

  @Test func `history lists the latest first, names what it cannot read, and removes`() throws {
    let duet = try DuetProgram()
    defer { duet.remove() }
    try keep(Saved(id: "20260101-1"), duet)
    var later = Saved(id: "20260102-2")
    later.changed = "2026-03-01T00:00:00Z"
    later.model = "/nowhere/model.gguf"
    later.turns[0].question = "Two\n  lines \u{1b}[31m" + String(repeating: "x", count: 80)
    try keep(later, duet)
    try Data("?".utf8).write(to: URL(filePath: path("20260103-3", duet)))
    let list = try duet.run("history")
    let lines = list.output.split(separator: "\n")
    #expect(lines.count == 3 && lines[1].hasPrefix("20260102-2") && lines[1].contains("(gone)"), "\(list)")
    #expect(lines[1].contains("Two lines") && lines[1].contains("…") && !list.output.contains("\u{1b}"))
    #expect(list.errors.contains("20260103-3.json is no conversation that can be read"))
    #expect(try duet.run("history", "--remove", "20260101").status == 0)
    #expect(!FileManager.default.fileExists(atPath: path("20260101-1", duet)))
    #expect(try duet.run("history", "--remove", "20260101").status == 1)
    #expect(try duet.run("history", "--json").output.contains("\"id\":\"20260102-2\""))
  }

  @Test(.enabled(if: DuetProgram.hasTerminals, "script, of bsdutils, is absent"))
  func `a conversation at a terminal is kept, resumed and saved as Markdown`() throws {
    let duet = try DuetProgram()
    defer { duet.remove() }
    let first = try duet.type(
      ["Say hello.", "/save", "/save \(duet.folder)/out.md", "/quit"], to: "chat --max-tokens 4")
    #expect(first.status == 0 && first.output.contains("Saved 1 turn to"), "\(first)")
    let files = try FileManager.default.contentsOfDirectory(atPath: duet.folder + "/duet/conversations")
    let id = try #require(files.first).replacing(".json", with: "")
    #expect(files.count == 1 && first.output.contains("duet chat --resume \(id)"), "\(first)")
    let markdown = try String(contentsOfFile: duet.folder + "/out.md", encoding: .utf8)
    let answer = try #require(read(id, duet).turns.first?.answer)
    #expect(markdown.contains("**You:** Say hello.") && markdown.contains(answer))
    let second = try duet.type(["Again.", "/reset", "Anew.", "/quit"], to: "chat --continue --max-tokens 4")
    #expect(second.output.contains("Going on with \(id), 1 turn, after:"), "\(second)")
    #expect(try read(id, duet).turns.map(\.question) == ["Say hello.", "Again."])
    let after = try FileManager.default.contentsOfDirectory(atPath: duet.folder + "/duet/conversations")
    #expect(after.count == 2)
  }
}
