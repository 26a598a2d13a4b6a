import DuetRuntime
import Foundation

/// A conversation as it is kept in a file.
struct SavedConversation: Codable {
  /// A question and what was answered, as they were shown.
  struct Turn: Codable {
    struct Source: Codable {
      let number: Int
      let location: String
    }
    let question: String
    let answer: String
    let sources: [Source]
  }

  /// What the model is told: questions with the passages that they brought, and answers.
  struct Message: Codable {
    let role: String
    let content: String
  }

  /// The version of this layout.
  static let currentVersion = 1

  var version = Self.currentVersion
  let id: String
  let started: Date
  var changed: Date
  /// The path of the model, and its name.
  let model: String
  let modelName: String
  /// As `--adapter` took it.
  let adapter: String?
  /// The manifest of the pair that answers; nil where one model does.
  let pair: String?
  let system: String?
  var documents: [String]
  /// The picture that the first question was about; nil for none.
  var image: String?
  var turns: [Turn] = []
  var messages: [Message] = []

  init(
    model: String, modelName: String, adapter: String?, pair: String?, system: String?, documents: [String]
  ) {
    started = Date()
    changed = started
    id = Self.newID(started)
    self.model = Folders.absolute(model)
    self.modelName = modelName
    self.adapter = adapter.map { $0 == "none" ? $0 : Folders.absolute($0) }
    self.pair = pair.map(Folders.absolute)
    self.system = system
    self.documents = documents
  }

  /// The time, which sorts, and something that no other conversation of that second has.
  private static func newID(_ date: Date) -> String {
    let digits = date.formatted(.iso8601).filter(\.isNumber)
    return "\(digits.prefix(8))-\(digits.dropFirst(8))-"
      + String(UInt16.random(in: .min ... .max), radix: 16)
  }

  /// The messages as a session takes them; what is neither question nor answer is left out.
  ///
  /// - Parameter picture: what the first question was about.
  func chatMessages(about picture: InputEmbeddings?) -> [ChatMessage] {
    var messages = messages.compactMap { message in
      ChatMessage.Role(rawValue: message.role).flatMap { role in
        role == .user || role == .assistant ? ChatMessage(role: role, content: message.content) : nil
      }
    }
    if let first = messages.firstIndex(where: { $0.role == .user }) { messages[first].picture = picture }
    return messages
  }

  /// The highest number that a passage has.
  var lastNumber: Int { turns.flatMap(\.sources).map(\.number).max() ?? 0 }

  /// The first question, as a title.
  var title: String {
    let words = (turns.first?.question ?? "").split(whereSeparator: \.isWhitespace).joined(separator: " ")
    return words.count > 60 ? words.prefix(59) + "…" : words
  }
}
