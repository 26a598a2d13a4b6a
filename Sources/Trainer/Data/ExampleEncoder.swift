import DuetRuntime

/// The tokens of one row and how much predicting each of them counts.
public struct TrainingExample: Sendable, Equatable {
  /// The row's.
  public let id: String
  /// The tokens, up to the last that counts.
  public let tokens: [Int32]
  /// For each token 1 where its prediction is trained, else 0.
  public let weights: [Float]
  /// The features that negative tokens stand for; nil where there are none.
  public let picture: InputEmbeddings?

  /// An example that is encoded already; as many weights as tokens.
  public init(id: String, tokens: [Int32], weights: [Float], picture: InputEmbeddings? = nil) {
    precondition(tokens.count == weights.count, "tokens and weights differ in number")
    self.id = id
    self.tokens = tokens
    self.weights = weights
    self.picture = picture
  }
}

/// Turns conversations into tokens with loss weights.
///
/// The text is what the model's chat template makes of the messages. It is cut where a response
/// starts and the pieces are encoded separately, so that the prompt is encoded as it is at inference,
/// where it ends there. A response counts up to and including the token that ends the turn.
struct ExampleEncoder {
  let model: Model
  private let prompts: PromptEncoder

  /// - Parameter source: a chat template to use instead of the model's.
  init(_ model: Model, template source: String?) throws(TrainingError) {
    self.model = model
    if let source {
      do { prompts = PromptEncoder(model: model, template: try ChatTemplate(source: source)) } catch {
        throw .option(name: "--template", problem: "cannot be used: \(error)")
      }
    } else {
      guard let template = model.template else { throw .noTemplate(path: model.file.path) }
      prompts = PromptEncoder(model: model, template: template)
    }
  }

  /// What is wrong with a template, for messages.
  struct Problem: Error {
    let text: String
  }

  /// O(length of the text) for each assistant turn.
  func example(_ chat: MarkedChat) throws(Problem) -> TrainingExample {
    let text = try render(chat.messages, asksForAnswer: false)
    let spans = try spans(chat.messages, text)
    var tokens: [Int32] = []
    var weights: [Float] = []
    for (index, start) in ([0] + spans.responses).enumerated() {
      let end = index < spans.responses.count ? spans.responses[index] : text.count
      let piece = Array(text[start..<end])
      let ids = model.tokenizer.encode(guarded: piece)
      if index > 0, !ids.contains(where: isEnd) {
        throw Problem(text: "ends a response with no end-of-turn token")
      }
      weights += self.weights(
        ids, answers: index > 0,
        counted: spans.counted.compactMap {
          bytes(of: $0, in: text, from: start)
        })
      tokens += ids
    }
    return example(chat.id, tokens, weights)
  }

  /// A question about a picture, of which the answer counts. O(text).
  func example(
    id: String, picture: InputEmbeddings, question: String, answer: String
  ) throws(Problem) -> TrainingExample {
    let message = ChatMessage(role: .user, content: question, picture: picture)
    let prompt: [Int32], asked: [UInt8], whole: [UInt8]
    do {
      prompt = try prompts.encode([message])
      asked = Array(try prompts.text([message], addGenerationPrompt: true).utf8)
      let messages = [message, ChatMessage(role: .assistant, content: answer)]
      whole = Array(try prompts.text(messages, addGenerationPrompt: false).utf8)
    } catch {
      throw Problem(text: "fails: \(error)")
    }
    guard whole.starts(with: asked) else { throw Problem(text: "rewrites what the assistant says") }
    let response = model.tokenizer.encode(guarded: Array(whole[asked.count...]))
    guard let end = response.firstIndex(where: isEnd) else {
      throw Problem(text: "ends a response with no end-of-turn token")
    }
    let weights = [Float](repeating: 0, count: prompt.count) + [Float](repeating: 1, count: end + 1)
    return TrainingExample(id: id, tokens: prompt + response[...end], weights: weights, picture: picture)
  }

  private func render(_ messages: [MarkedChat.Message], asksForAnswer: Bool) throws(Problem) -> [UInt8] {
    do {
      let text = try prompts.text(messages.map(\.message), addGenerationPrompt: asksForAnswer)
      return Array(text.utf8)
    } catch {
      throw Problem(text: "fails: \(error)")
    }
  }

  private func guarded(_ text: String) -> [UInt8] { Array(model.tokenizer.guarded(text).utf8) }

  /// Where responses start in the text, and which other bytes of it count.
  private func spans(
    _ messages: [MarkedChat.Message], _ text: [UInt8]
  ) throws(Problem) -> (responses: [Int], counted: [Range<Int>]) {
    var responses: [Int] = []
    var counted: [Range<Int>] = []
    var position = 0
    for (index, message) in messages.enumerated() {
      let content = guarded(message.message.content)
      if message.message.role == .assistant {
        let prompt = try render(Array(messages[..<index]), asksForAnswer: true)
        position = max(position, zip(text, prompt).prefix { $0 == $1 }.count)
      }
      guard let found = find(content, in: text, from: position) else {
        throw Problem(text: "rewrites what the \(message.message.role.rawValue) says")
      }
      if message.message.role == .assistant { responses.append(found + count(message.lead, in: content)) }
      if let part = message.counted {
        let start = found + count(part.before, in: content)
        counted.append(start..<found + count(part.before + part.text, in: content))
      }
      position = found + content.count
    }
    return (responses, counted)
  }

  /// Guarded bytes of the start of a guarded content, found by its length without guards: where text
  /// goes on, other characters have guards than at its end. O(n).
  private func count(_ start: String, in content: [UInt8]) -> Int {
    let mark = GuardedText.mark, escape = GuardedText.escape
    var position = 0, left = start.utf8.count
    while position < content.count {
      let rest = content[position...]
      if rest.first == mark.first, rest.starts(with: mark) {
        position += mark.count
      } else if left <= 0 {
        break
      } else if rest.first == escape.first, rest.starts(with: escape + escape) {
        position += 2 * escape.count
        left -= escape.count
      } else {
        position += 1
        left -= 1
      }
    }
    return position
  }

  private func find(_ part: [UInt8], in text: [UInt8], from start: Int) -> Int? {
    guard let first = part.first else { return start }
    guard start + part.count <= text.count else { return nil }
    for index in start...text.count - part.count
    where text[index] == first && text[index..<index + part.count].elementsEqual(part) { return index }
    return nil
  }

  private func isEnd(_ token: Int32) -> Bool {
    model.tokenizer.isSpecial(token) && model.tokenizer.endsGeneration.contains(token)
  }

  /// A range of the guarded text as bytes of the piece that starts at `start`, without guards.
  private func bytes(of range: Range<Int>, in text: [UInt8], from start: Int) -> Range<Int>? {
    guard range.upperBound > start else { return nil }
    func count(_ end: Int) -> Int { GuardedText(Array(text[start..<max(start, end)])).bytes.count }
    return count(range.lowerBound)..<count(range.upperBound)
  }

  private func weights(_ tokens: [Int32], answers: Bool, counted: [Range<Int>]) -> [Float] {
    var isAnswering = answers
    var position = 0
    return tokens.map { token in
      let end = position + model.tokenizer.bytes(of: token, special: true).count
      let isCounted = counted.contains { position < $0.upperBound && end > $0.lowerBound }
      let weight: Float = isAnswering || isCounted ? 1 : 0
      if isEnd(token) { isAnswering = false }
      position = end
      return weight
    }
  }

  private func example(_ id: String, _ ids: [Int32], _ counted: [Float]) -> TrainingExample {
    let tokens = prompts.begin(ids)
    var weights = [Float](repeating: 0, count: tokens.count - ids.count) + counted
    let last = weights.lastIndex { $0 != 0 } ?? -1
    if last >= 0 { weights[0] = 0 }
    return TrainingExample(
      id: id, tokens: Array(tokens[..<(last + 1)]), weights: Array(weights[..<(last + 1)]))
  }
}
