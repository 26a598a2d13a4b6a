import DuetRuntime
import Foundation
import Testing

/// Answers that are read as if they had been given.
@Suite struct ReadingTests {
  private static let question = "Text: the sea is wide\n\nQuestion: what is wide?"

  @Test func `an answer's tokens have the probabilities of one whole pass`() async throws {
    let engine = try Engine(TinyChat(), batch: 16), model = engine.model
    // Longer than a batch, and than what is read at a time where attention is noted.
    let answer = "the sea, which is wider than any other that was ever seen"
    let prompts = PromptEncoder(model: model, template: try #require(model.template))
    let prompt = try prompts.encode([ChatMessage(role: .user, content: Self.question)])
    let tokens = model.tokenizer.encode(answer)
    let decoder = Decoder(model.core, pool: ThreadPool(threadCount: 1), capacity: 400)
    let sequence = CachedSequence(layout: model.core.cacheLayout(.f16), salt: 0)
    let rows = decoder.forward([DecoderStep(sequence, (prompt + tokens)[...], logits: .all)])
    let width = model.config.vocabularySize
    for texts in [[], ["the sea is wide"]] {
      let found = try await Session(engine).reading(of: answer, to: Self.question, watching: texts)
      #expect(found.logProbabilities.count == tokens.count)
      for (index, token) in tokens.enumerated() {
        let start = (rows - tokens.count - 1 + index) * width
        let logits = decoder.logits.array(start..<start + width).map(Double.init)
        let wanted = logits[Int(token)] - log(logits.reduce(0) { $0 + exp($1) })
        #expect(abs(found.logProbabilities[index] - wanted) < 2e-2)
      }
      #expect(found.attention.count == texts.count * model.config.layerCount)
    }
  }

  @Test func `what is watched gets the attention of its tokens`() async throws {
    let engine = try Engine(TinyChat()), session = Session(engine)
    let texts = [Self.question, "Text: the sea is wide", "\n\nQuestion: what is wide?", "lake"]
    let found = try await session.reading(of: "sea", to: Self.question, watching: texts)
    #expect(found.attention.count == engine.model.config.layerCount)
    for shares in found.attention {
      #expect(shares.count == 4 && shares[1] > 0 && shares[2] > 0 && shares[0] < 1 && shares[3] == 0)
      #expect(abs(shares[1] + shares[2] - shares[0]) < 1e-4)
    }
    #expect(session.turns.isEmpty)
  }

  @Test func `an answer without tokens has no probability, and one too long is refused`() async throws {
    let session = Session(try Engine(TinyChat(), contextLength: 64))
    #expect(try await session.reading(of: "", to: "?").logProbability == -.infinity)
    await #expect(throws: SessionError.self) {
      try await session.reading(of: String(repeating: "a", count: 64), to: "?")
    }
  }
}
