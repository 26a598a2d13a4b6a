import DuetRuntime
import Testing

/// Answers are the same whether tokens are drafted or not.
@Suite(.serialized) struct DraftedSessionTests {
  private func answer(
    _ session: Session, _ question: String, _ drafting: Drafting,
    _ change: (inout GenerationOptions) -> Void = { _ in }
  ) async throws -> Completion {
    var options = GenerationOptions()
    options.maxTokens = 120
    options.stopsAtRepetition = false
    options.drafting = drafting
    change(&options)
    var completion: Completion?
    for try await case .finished(let end) in session.events(replyingTo: question, options) {
      completion = end
    }
    return try #require(completion)
  }

  private let question = "the cat sat on the mat; the cat sat on the hat; the cat ate the rat"

  @Test func `greedy answers are the same, over several turns`() async throws {
    let chat = TinyChat(endScale: 0.6, says: 0x61...0x68)
    let plain = Session(try Engine(chat)), drafted = Session(try Engine(chat))
    var accepted = 0, refused = 0
    for turn in 0..<6 {
      let expected = try await answer(plain, "\(turn) \(question)", .off)
      let found = try await answer(drafted, "\(turn) \(question)", turn % 2 == 0 ? .always : .adaptive)
      #expect(found.text == expected.text && found.reason == expected.reason)
      #expect(found.usage.completionTokens == expected.usage.completionTokens)
      #expect(found.usage.cachedTokens == expected.usage.cachedTokens)
      accepted += found.usage.acceptedTokens
      refused += found.usage.draftedTokens - found.usage.acceptedTokens
    }
    #expect(accepted > 20 && refused > 0)
  }

  /// The same random numbers meet the same logits: not only the distribution is the same.
  @Test(arguments: [Float(1), 0.2])
  func `sampled answers are the same, seed by seed`(_ temperature: Float) async throws {
    let chat = TinyChat(says: 0x61...0x64)
    let engine = try Engine(chat)
    var accepted = 0, refused = 0
    for seed in UInt64(0)..<25 {
      let change = { (options: inout GenerationOptions) in
        options.sampling.temperature = temperature
        options.sampling.topK = 0
        options.sampling.repetitionPenalty = seed % 2 == 0 ? 1 : 1.2
        options.sampling.seed = seed
      }
      let expected = try await answer(Session(engine), "abcabd", .off, change)
      let found = try await answer(Session(engine), "abcabd", .always, change)
      #expect(found.text == expected.text, "seed \(seed)")
      accepted += found.usage.acceptedTokens
      refused += found.usage.draftedTokens - found.usage.acceptedTokens
    }
    #expect(refused > 20 && (temperature == 1 || accepted > 20))
  }

  @Test func `drafts keep to the limits of answer and context`() async throws {
    let chat = TinyChat(says: 0x61...0x62)
    for most in [1, 2, 3, 17] {
      let completion = try await answer(Session(try Engine(chat)), question, .always) { $0.maxTokens = most }
      #expect(completion.usage.completionTokens == most)
    }
    for length in [180, 181, 190, 230] {
      let plain = Session(try Engine(chat, contextLength: length))
      let drafted = Session(try Engine(chat, contextLength: length))
      let expected = try await answer(plain, question, .off),
        found = try await answer(drafted, question, .always)
      #expect(found.text == expected.text && found.reason == expected.reason, "context of \(length)")
    }
  }

  @Test func `a stop string within a draft ends the answer there`() async throws {
    let chat = TinyChat(says: 0x61...0x64)
    let whole = try await answer(Session(try Engine(chat)), question, .off)
    let stop = String(whole.text.dropFirst(40).prefix(3))
    for drafting in [Drafting.off, .always] {
      let session = Session(try Engine(chat))
      let first = try await answer(session, question, drafting) { $0.stops = [stop] }
      #expect(first.reason == .stopString && whole.text.hasPrefix(first.text + stop))
      #expect(try await !answer(session, "more", drafting).text.isEmpty)
    }
  }
}
