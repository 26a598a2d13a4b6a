/// Writes a conversation by a model's chat template and encodes it.
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
      text = try template.render(messages: messages, addGenerationPrompt: true, variables: variables)
    } catch {
      throw .template(error.description)
    }
    let tokens = tokenizer.encode(text, parseSpecial: true)
    // Templates of models that want a beginning token mostly write it themselves.
    guard tokenizer.addsBeginning, let beginning = tokenizer.beginningOfText, tokens.first != beginning else {
      return tokens
    }
    return [beginning] + tokens
  }
}
