/// Writes a conversation by a model's chat template and encodes it. Names of control tokens in the
/// template become these tokens; in a message they stay text.
package struct PromptEncoder {
  let model: Model
  let template: ChatTemplate

  package init(model: Model, template: ChatTemplate) {
    self.model = model
    self.template = template
  }

  /// The tokens of the prompt that asks for the next message of the assistant.
  package func encode(_ messages: [ChatMessage]) throws(SessionError) -> [Int32] {
    let text = Array(try text(messages, addGenerationPrompt: true).utf8)
    let pictures = messages.compactMap(\.picture)
    guard !pictures.isEmpty else { return begin(model.tokenizer.encode(guarded: text)) }
    let parts = GuardedText.partsAroundPictures(text)
    guard parts.count == pictures.count + 1 else { throw .template("it leaves out or repeats a picture") }
    var tokens: [Int32] = []
    for (index, part) in parts.enumerated() {
      tokens += model.tokenizer.encode(guarded: Array(part))
      if index < pictures.count { tokens += pictures[index].tokens }
    }
    return begin(tokens)
  }

  /// The conversation as the template writes it, guarded (see `GuardedText`); a picture stands on a line of its
  /// own before the text of its message, and what it may show on the next.
  package func text(_ messages: [ChatMessage], addGenerationPrompt: Bool) throws(SessionError) -> String {
    let tokenizer = model.tokenizer
    var variables: [String: TemplateValue] = [:]
    if let token = tokenizer.beginningOfText { variables["bos_token"] = .string(tokenizer.text(of: token)) }
    if let token = tokenizer.endOfText { variables["eos_token"] = .string(tokenizer.text(of: token)) }
    do {
      return try template.render(
        messages: messages.map(guarded), addGenerationPrompt: addGenerationPrompt, variables: variables)
    } catch {
      throw .template(error.description)
    }
  }

  /// `tokens` after the beginning token, where the model wants one and they have none: templates of
  /// such models mostly write it themselves.
  package func begin(_ tokens: [Int32]) -> [Int32] {
    let tokenizer = model.tokenizer
    guard tokenizer.addsBeginning, let beginning = tokenizer.beginningOfText, tokens.first != beginning else {
      return tokens
    }
    return [beginning] + tokens
  }

  private func guarded(_ message: ChatMessage) -> ChatMessage {
    var message = message
    message.content = model.tokenizer.guarded(message.content)
    if let picture = message.picture {
      let hint = picture.hint.map { model.tokenizer.guarded($0) + "\n" } ?? ""
      message.content = String(decoding: GuardedText.picture, as: UTF8.self) + "\n" + hint + message.content
    }
    for index in message.fields.entries.indices {
      message.fields.entries[index].value = guarded(message.fields.entries[index].value)
    }
    return message
  }

  private func guarded(_ value: TemplateValue, depth: Int = 0) -> TemplateValue {
    // The template refuses what nests deeper.
    guard depth <= TemplateLimits.valueDepth else { return value }
    switch value {
    case .string(let text): return .string(model.tokenizer.guarded(text))
    case .list(let elements): return .list(elements.map { guarded($0, depth: depth + 1) })
    case .dictionary(let dictionary):
      let entries = dictionary.entries.map { entry in
        TemplateDictionary.Entry(
          key: model.tokenizer.guarded(entry.key), value: guarded(entry.value, depth: depth + 1))
      }
      return .dictionary(TemplateDictionary(entries))
    default: return value
    }
  }
}
