/// The messages of a session and the tokens they become.
///
/// The system message, with any documents in it, stays; turns are dropped from the oldest on.
package struct Conversation: Sendable {
  /// What every prompt begins with; nil for the template's own.
  package var system: String?
  /// Questions and answers by turns.
  package var turns: [ChatMessage] = []

  package init(system: String? = nil) { self.system = system }

  package var messages: [ChatMessage] {
    (system.map { [ChatMessage(role: .system, content: $0)] } ?? []) + turns
  }

  /// Removes the oldest question and what was answered, unless it is the last question.
  ///
  /// - Returns: whether there was one to remove.
  package mutating func dropOldestTurn() -> Bool {
    guard let next = turns.indices.dropFirst().first(where: { turns[$0].role == .user }) else { return false }
    turns.removeSubrange(..<next)
    return true
  }

  /// The tokens of the prompt that asks for the next answer.
  ///
  /// - Throws: `SessionError.template` where the model's template refuses the conversation.
  package func prompt(_ model: Model) throws(SessionError) -> [Int32] {
    guard let template = model.template else { return plainPrompt(model) }
    return try PromptEncoder(model: model, template: template).encode(messages)
  }

  /// A base model gets the bare texts to continue, after all pictures and what they may show.
  private func plainPrompt(_ model: Model) -> [Int32] {
    let hints = turns.compactMap { $0.picture?.hint }
    let text = (hints + messages.map(\.content)).joined(separator: "\n")
    let words = model.tokenizer.encode(text, addBeginning: model.tokenizer.addsBeginning)
    return turns.compactMap(\.picture).flatMap(\.tokens) + words
  }

  /// The prompt, with as many of the oldest turns dropped as it takes to leave `room` tokens free.
  ///
  /// - Returns: the tokens, and how many turns were dropped.
  /// - Throws: `SessionError.promptTooLong` when even the last question alone does not fit.
  package mutating func fittingPrompt(
    _ model: Model, limit: Int, room: Int
  ) throws(SessionError) -> (tokens: [Int32], dropped: Int) {
    var dropped = 0
    while true {
      let tokens = try prompt(model)
      if tokens.isEmpty { throw .emptyPrompt }
      if tokens.count + room <= limit { return (tokens, dropped) }
      if dropOldestTurn() {
        dropped += 1
      } else {
        guard tokens.count < limit else { throw .promptTooLong(tokens: tokens.count, limit: limit) }
        return (tokens, dropped)
      }
    }
  }
}
