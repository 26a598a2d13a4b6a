import DuetRuntime

/// What becomes of a row's context (arXiv 2506.15480).
public enum TrainingArm: String, Sendable, CaseIterable {
  /// The context stands in the prompt; rows without one are left out.
  case grounded
  /// The context is removed.
  case free
  /// Every other row as grounded, the rest as free.
  case mixed
  /// As grounded, but the context's tokens count in the loss.
  case groundedUnmasked = "grounded-unmasked"
}

/// Where a row's context stands.
public enum ContextPlacement: String, Sendable, CaseIterable {
  /// In the user's turn, before the question.
  case user
  /// At the start of the assistant's turn, before the response.
  case assistant
}

/// Some messages, and which bytes of them count beside the responses.
struct MarkedChat {
  struct Message {
    var message: ChatMessage
    /// What stands before the response in an assistant's turn, and does not count.
    var lead = ""
    /// What counts beside the response: a part of the content between these two.
    var counted: (before: String, text: String)?

    init(_ role: ChatMessage.Role, _ content: String) {
      message = ChatMessage(role: role, content: content)
    }
  }

  let id: String
  let line: Int
  var messages: [Message]
}

extension TrainingArm {
  private static let separator = "\n\n"

  /// The conversation that a row becomes; nil where the arm has no use for it.
  ///
  /// - Parameter index: of the row among those of its file.
  func chat(_ row: TrainingRow, index: Int, placement: ContextPlacement, system: String?) -> MarkedChat? {
    switch row.content {
    case .chat(let messages):
      return MarkedChat(
        id: row.id, line: row.line, messages: messages.map { MarkedChat.Message($0.role, $0.content) })
    case .question(let instruction, let context, let response):
      let isGrounded = self == .grounded || self == .groundedUnmasked
      guard !isGrounded || !context.isEmpty else { return nil }
      let head = system.map { [MarkedChat.Message(.system, $0)] } ?? []
      let usesContext = !context.isEmpty && (isGrounded || (self == .mixed && index % 2 == 0))
      let turns =
        usesContext
        ? turns(instruction, context, response, placement)
        : [MarkedChat.Message(.user, instruction), MarkedChat.Message(.assistant, response)]
      return MarkedChat(id: row.id, line: row.line, messages: head + turns)
    }
  }

  private func turns(
    _ instruction: String, _ context: String, _ response: String, _ placement: ContextPlacement
  ) -> [MarkedChat.Message] {
    let counts = self == .groundedUnmasked
    switch placement {
    case .assistant:
      var answer = MarkedChat.Message(.assistant, context + Self.separator + response)
      answer.lead = context + Self.separator
      if counts { answer.counted = ("", context) }
      return [MarkedChat.Message(.user, instruction), answer]
    case .user:
      var question = MarkedChat.Message(.user, "Text: \(context)\(Self.separator)Question: \(instruction)")
      if counts { question.counted = ("Text: ", context) }
      return [question, MarkedChat.Message(.assistant, response)]
    }
  }
}
