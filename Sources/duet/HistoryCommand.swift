import ArgumentParser
import DuetTerminal
import Foundation

/// `duet history`: the conversations that are kept.
struct HistoryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "history",
    abstract: "List the conversations that are kept, or remove one.",
    discussion: """
      Examples:
        duet history
        duet chat --resume 20260314-1
        duet history --remove 20260314-101500-5e
      """)

  @Option(help: ArgumentHelp("Remove the conversation of this id.", valueName: "id"))
  var remove: String?
  @Flag(help: "Print one JSON object.")
  var json = false

  private struct Row: Encodable {
    let id: String
    let changed: String
    let model: String
    let modelExists: Bool
    let adapter: Nullable<String>
    let documents: [String]
    let turns: Int
    let title: String

    init(_ conversation: SavedConversation) {
      id = conversation.id
      changed = conversation.changed.formatted(.iso8601)
      model = conversation.model
      modelExists = FileManager.default.fileExists(atPath: conversation.model)
      adapter = Nullable(conversation.adapter)
      documents = conversation.documents
      turns = conversation.turns.count
      title = conversation.title
    }
  }

  func run() throws {
    if let remove { return try ConversationFiles.remove(remove) }
    let (conversations, damaged) = ConversationFiles.all()
    for path in damaged { warn("\(path) is no conversation that can be read") }
    if json { return try printJSON(["conversations": conversations.map(Row.init)]) }
    guard !conversations.isEmpty else { return try say("no conversation is kept") }
    var table = Table([("id", .left), ("model", .left), ("turns", .right), ("first question", .left)])
    for conversation in conversations {
      let row = Row(conversation)
      table.append([
        row.id, conversation.modelName + (row.modelExists ? "" : " (gone)"), "\(row.turns)", row.title,
      ])
    }
    for line in table.lines { try say(printable(line)) }
  }
}
