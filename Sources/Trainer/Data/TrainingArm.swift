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

  /// Why an arm has no use for a row.
  struct Useless: Error {
    let reason: String
  }

  /// Whether a row's context is shown.
  ///
  /// - Parameter index: of the row among all rows.
  func shows(_ row: TrainingRow, index: Int) -> Bool {
    guard !row.context.isEmpty else { return false }
    switch self {
    case .grounded, .groundedUnmasked: return true
    case .mixed: return index % 2 == 0
    case .free: return false
    }
  }

  /// The conversation that a row becomes.
  func chat(
    _ row: TrainingRow, index: Int, placement: ContextPlacement, system: String?
  ) throws(Useless) -> MarkedChat {
    switch row.content {
    case .chat(let messages):
      return MarkedChat(
        id: row.id, line: row.line, messages: messages.map { MarkedChat.Message($0.role, $0.content) })
    case .question(let instruction, let context, let response):
      let isGrounded = self == .grounded || self == .groundedUnmasked
      guard !isGrounded || !context.isEmpty else { throw Useless(reason: "no context") }
      let showsContext = shows(row, index: index)
      guard showsContext || !row.refuses else { throw Useless(reason: "unanswerable without a context") }
      let head = system.map { [MarkedChat.Message(.system, $0)] } ?? []
      let turns =
        showsContext
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
