/// Writes a conversation by a model's chat template and encodes it. Names of control tokens in the
/// template become these tokens; in a message they stay text.
struct PromptEncoder {
  let model: Model
  let template: ChatTemplate

  func encode(_ messages: [ChatMessage]) throws(SessionError) -> [Int32] {
    let tokenizer = model.tokenizer
    var variables: [String: TemplateValue] = [:]
    if let token = tokenizer.beginningOfText { variables["bos_token"] = .string(tokenizer.text(of: token)) }
    if let token = tokenizer.endOfText { variables["eos_token"] = .string(tokenizer.text(of: token)) }
    let text: String
    do {
      text = try template.render(
        messages: messages.map(guarded), addGenerationPrompt: true, variables: variables)
    } catch {
      throw .template(error.description)
    }
    let tokens = tokenizer.encode(guarded: Array(text.utf8))
    // Templates of models that want a beginning token mostly write it themselves.
    guard tokenizer.addsBeginning, let beginning = tokenizer.beginningOfText, tokens.first != beginning else {
      return tokens
    }
    return [beginning] + tokens
  }

  private func guarded(_ message: ChatMessage) -> ChatMessage {
    var message = message
    message.content = model.tokenizer.guarded(message.content)
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
