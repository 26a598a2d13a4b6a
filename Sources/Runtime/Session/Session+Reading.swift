#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How a model takes an answer that is given to it.
public struct AnswerReading: Sendable, Equatable {
  /// The logarithm of the probability of each of the answer's tokens, in nats.
  public var logProbabilities: [Double] = []
  /// [layers][texts] The share of a layer's attention that each watched text gets where the answer's tokens are
  /// predicted, 0 to 1: the mean over heads and tokens; 0 for a text that the prompt does not hold. Empty where
  /// nothing was watched.
  public var attention: [[Float]] = []

  /// The logarithm of the whole answer's probability, in nats; minus infinity for one without tokens.
  public var logProbability: Double {
    logProbabilities.isEmpty ? -.infinity : logProbabilities.reduce(0, +)
  }
}

extension Session {
  /// Reads an answer as if it had been given to a question. The conversation stays as it is.
  ///
  /// - Parameters:
  ///   - answer: what may be answered.
  ///   - question: what is asked.
  ///   - texts: parts of the question whose shares of the attention are measured.
  /// - Throws: `SessionError`, as an answer does.
  /// - Complexity: O(prompt + answer); with texts O(answer · prompt) more.
  public func reading(
    of answer: String, to question: String, watching texts: [String] = []
  ) async throws -> AnswerReading {
    let prompt = try PreparedPrompt(self, question)
    let tokens = engine.model.tokenizer.encode(answer)
    try prompt.check(answers: [tokens], engine)
    let watched = texts.isEmpty ? nil : prompt.positions(of: texts, engine.model)
    return await engine.readings(of: [tokens], after: prompt, watching: watched, tuning)[0]
  }

  /// How likely each of some answers is to a question, beside the others: they add up to 1. The conversation
  /// stays as it is.
  ///
  /// - Parameters:
  ///   - answers: what may be answered, such as "Yes" and "No".
  ///   - question: what is asked.
  ///   - picture: what it is about; nil for words alone.
  /// - Returns: a probability for each answer, by the product of its tokens' probabilities; 0 for one without
  ///   tokens.
  /// - Throws: `SessionError`, as an answer does.
  /// - Complexity: O(prompt + answers).
  public func probabilities(
    of answers: [String], to question: String, about picture: InputEmbeddings? = nil
  ) async throws -> [Double] {
    let prompt = try PreparedPrompt(self, question, about: picture)
    let texts = answers.map { engine.model.tokenizer.encode($0) }
    try prompt.check(answers: texts, engine)
    let sums = await engine.readings(of: texts, after: prompt, watching: nil, tuning).map(\.logProbability)
    guard let largest = sums.max(), largest > -.infinity else { return sums.map { _ in 0 } }
    let shares = sums.map { exp($0 - largest) }, total = shares.reduce(0, +)
    return shares.map { $0 / total }
  }
}

/// What a model reads before an answer.
private struct PreparedPrompt {
  let tokens: [Int32]
  let pictures: [InputEmbeddings]

  /// The conversation so far with one more question.
  init(_ session: Session, _ question: String, about picture: InputEmbeddings? = nil) throws(SessionError) {
    let model = session.engine.model, width = model.config.embeddingLength
    if let picture, picture.width != width { throw .pictureWidth(picture.width, model: width) }
    var conversation = Conversation(system: session.system)
    conversation.turns = session.turns + [ChatMessage(role: .user, content: question, picture: picture)]
    tokens = try conversation.prompt(model)
    pictures = conversation.turns.compactMap(\.picture)
  }

  /// Where texts stand, for every layer. O(prompt · texts).
  func positions(of texts: [String], _ model: Model) -> WatchedPositions {
    let text = PromptText(tokens, model.tokenizer)
    return WatchedPositions(texts.map { text.tokens(of: $0) }, layers: 0..<model.config.layerCount)
  }

  func check(answers: [[Int32]], _ engine: Engine) throws(SessionError) {
    let needed = tokens.count + (answers.map(\.count).max() ?? 0)
    if tokens.isEmpty { throw .emptyPrompt }
    guard needed <= engine.contextLength else {
      throw .promptTooLong(tokens: needed, limit: engine.contextLength)
    }
  }
}

extension Engine {
  /// What is made of each continuation of a prompt.
  fileprivate func readings(
    of continuations: [[Int32]], after prompt: PreparedPrompt, watching: WatchedPositions?, _ tuning: Tuning?
  ) -> [AnswerReading] {
    let sequence = sequence(tuning), last = prompt.tokens.count - 1
    sequence.pictures = prompt.pictures
    for start in stride(from: 0, to: last, by: batch) {
      step(sequence, prompt.tokens[start..<min(last, start + batch)], wantsLogits: false)
    }
    sequence.watched = watching
    return continuations.map { tokens in
      sequence.truncate(last)
      return tokens.isEmpty ? AnswerReading() : reading(of: tokens, after: prompt.tokens[last], sequence)
    }
  }

  /// Attention is noted of every token of as many as are multiplied one by one, so that many are read at a time.
  private func reading(of tokens: [Int32], after first: Int32, _ sequence: CachedSequence) -> AnswerReading {
    let read = [first] + tokens.dropLast()
    let size = sequence.watched == nil ? batch : min(batch, Decoder.directTokens)
    var result = AnswerReading()
    for start in stride(from: 0, to: read.count, by: size) {
      withLogits(sequence, read[start..<min(read.count, start + size)]) { row, logits in
        result.logProbabilities.append(Self.logProbability(tokens[start + row], logits))
      }
      for shares in decoder.attentionShares.compactMap(\.?.layers) {
        if result.attention.isEmpty { result.attention = shares.map { $0.map { _ in 0 } } }
        for layer in shares.indices {
          for text in shares[layer].indices {
            result.attention[layer][text] += shares[layer][text] / Float(tokens.count)
          }
        }
      }
    }
    return result
  }

  private static func logProbability(_ token: Int32, _ logits: Span<Float>) -> Double {
    var largest = -Float.infinity
    for index in logits.indices { largest = max(largest, logits[index]) }
    var total = 0.0
    for index in logits.indices { total += exp(Double(logits[index] - largest)) }
    return Double(logits[Int(token)] - largest) - log(total)
  }
}
