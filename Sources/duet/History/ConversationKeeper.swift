import Foundation
import DuetRouter
import DuetRuntime

/// Keeps a conversation's file up to date with what is said.
final class ConversationKeeper {
  private(set) var conversation: SavedConversation
  /// Whether anything is written at all.
  let isOn: Bool
  private var hasWarned = false

  init(_ conversation: SavedConversation, isOn: Bool) {
    self.conversation = conversation
    self.isOn = isOn
  }

  /// Enters a turn. A conversation that cannot be saved is no reason to stop: the first failure is
  /// told.
  func add(question: String, answer: String, sources: [Source], chat: Chat) {
    let sources = sources.map { SavedConversation.Turn.Source(number: $0.number, location: $0.location) }
    conversation.turns.append(.init(question: question, answer: answer, sources: sources))
    conversation.messages = chat.turns.map { .init(role: $0.role.rawValue, content: $0.content) }
    conversation.changed = .now
    guard isOn else { return }
    do {
      try ConversationFiles.save(conversation)
    } catch {
      if !hasWarned { warn("the conversation is not saved: \(error)") }
      hasWarned = true
    }
  }

  /// Begins another conversation of the same kind.
  func restart(documents: [String]) {
    conversation = SavedConversation(
      model: conversation.model, modelName: conversation.modelName, adapter: conversation.adapter,
      pair: conversation.pair, system: conversation.system, documents: documents)
  }
}
