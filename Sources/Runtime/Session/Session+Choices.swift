#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension Session {
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
    let model = engine.model, width = model.config.embeddingLength
    if let picture, picture.width != width {
      throw SessionError.pictureWidth(picture.width, model: width)
    }
    var conversation = Conversation(system: system)
    conversation.turns = turns + [ChatMessage(role: .user, content: question, picture: picture)]
    let prompt = try conversation.prompt(model), texts = answers.map { model.tokenizer.encode($0) }
    let needed = prompt.count + (texts.map(\.count).max() ?? 0)
    if prompt.isEmpty { throw SessionError.emptyPrompt }
    guard needed <= engine.contextLength else {
      throw SessionError.promptTooLong(tokens: needed, limit: engine.contextLength)
    }
    let sums = await engine.logLikelihoods(
      of: texts, after: prompt, pictures: conversation.turns.compactMap(\.picture), tuning)
    guard let largest = sums.max(), largest > -.infinity else { return sums.map { _ in 0 } }
    let shares = sums.map { exp($0 - largest) }, total = shares.reduce(0, +)
    return shares.map { $0 / total }
  }
}

extension Engine {
  /// The sum of the logarithms of the probabilities of each continuation's tokens, in nats.
  fileprivate func logLikelihoods(
    of continuations: [[Int32]], after prompt: [Int32], pictures: [InputEmbeddings], _ tuning: Tuning?
  ) -> [Double] {
    let sequence = sequence(tuning), last = prompt.count - 1
    sequence.pictures = pictures
    for start in stride(from: 0, to: last, by: options.batch) {
      step(sequence, prompt[start..<min(last, start + options.batch)], wantsLogits: false)
    }
    return continuations.map { tokens in
      if tokens.isEmpty { return -.infinity }
      sequence.truncate(last)
      var sum = 0.0
      let read = prompt[last...] + tokens.dropLast()
      for start in stride(from: 0, to: read.count, by: options.batch) {
        let part = Array(read).dropFirst(start).prefix(options.batch)
        withLogits(sequence, part) { row, logits in
          if start + row < tokens.count { sum += Self.logProbability(tokens[start + row], logits) }
        }
      }
      return sum
    }
  }

  private static func logProbability(_ token: Int32, _ logits: Span<Float>) -> Double {
    var largest = -Float.infinity
    for index in logits.indices { largest = max(largest, logits[index]) }
    var total = 0.0
    for index in logits.indices { total += exp(Double(logits[index] - largest)) }
    return Double(logits[Int(token)] - largest) - log(total)
  }
}
