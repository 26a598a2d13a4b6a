import DuetRuntime
import Testing

@Suite(.serialized) struct SessionTests {
  private func options(_ maxTokens: Int, _ change: (inout GenerationOptions) -> Void = { _ in })
    -> GenerationOptions
  {
    var options = GenerationOptions()
    options.maxTokens = maxTokens
    change(&options)
    return options
  }

  private func events(
    _ session: Session, _ question: String, _ options: GenerationOptions
  ) async throws -> [GenerationEvent] {
    var events: [GenerationEvent] = []
    for try await event in session.events(replyingTo: question, options) { events.append(event) }
    return events
  }

  private func completion(
    _ session: Session, _ question: String, _ options: GenerationOptions
  ) async throws -> Completion {
    let events = try await events(session, question, options)
    return try finished(events)
  }

  private func finished(_ events: [GenerationEvent]) throws -> Completion {
    try #require(events.last.flatMap { if case .finished(let completion) = $0 { completion } else { nil } })
  }

  @Test func `an answer is as long as is allowed, and becomes part of the conversation`() async throws {
    let session = Session(try Engine(TinyChat()), system: "S")
    let events = try await events(session, "Hello", options(20))
    let completion = try finished(events)
    let text = events.reduce(into: "") { if case .text(let part) = $1 { $0 += part } }
    #expect(completion.reason == .maxTokens && completion.usage.completionTokens == 20)
    #expect(completion.text == text && text.utf8.count == 20)
    #expect(completion.usage.promptTokens > 20 && completion.usage.cachedTokens == 0)
    #expect(session.turns.map(\.content) == ["Hello", text] && session.system == "S")
  }

  @Test func `a second question is answered as by a session that reads all anew`() async throws {
    let first = Session(try Engine(TinyChat())), second = Session(try Engine(TinyChat()))
    _ = try await completion(first, "Hello", options(20))
    let turns = first.turns
    let next = try await completion(first, "And then?", options(20))
    #expect(next.usage.cachedTokens > 20)
    second.turns = turns
    let fresh = try await completion(second, "And then?", options(20))
    #expect(fresh.usage.cachedTokens == 0 && fresh.usage.promptTokens == next.usage.promptTokens)
    #expect(fresh.text == next.text)
  }

  @Test func `prompts longer than a batch are read in pieces`() async throws {
    let question = String(repeating: "word ", count: 30)
    let events = try await events(Session(try Engine(TinyChat(), batch: 16)), question, options(5))
    let steps = events.compactMap {
      if case .prefill(let done, let total) = $0 { [done, total] } else { nil }
    }
    #expect(steps.count >= 9 && steps.map { $0[0] } == steps.map { $0[0] }.sorted())
    let whole = try await completion(Session(try Engine(TinyChat(), batch: 400)), question, options(5))
    #expect(try finished(events).text == whole.text)
    let odd = try await completion(Session(try Engine(TinyChat(), batch: 0)), "Hello", options(3))
    #expect(odd.text.utf8.count == 3)
  }

  @Test func `the end of the turn ends the answer`() async throws {
    let session = Session(try Engine(TinyChat(endScale: 30)))
    let completion = try await completion(session, "Hello", options(400))
    #expect(completion.reason == .stop && !completion.text.contains("<|im_end|>"))
  }

  @Test func `a stop string ends the answer and is no part of it`() async throws {
    let engine = try Engine(TinyChat())
    let text = try await completion(Session(engine), "Hello", options(60) { $0.sampling.temperature = 2 })
      .text
    let stop = String(text.dropFirst(20).prefix(3))
    let stopped = try await completion(
      Session(engine), "Hello",
      options(60) {
        $0.sampling.temperature = 2
        $0.stops = [stop, "never said"]
      })
    #expect(stopped.reason == .stopString && !stopped.text.contains(stop))
    #expect(text.hasPrefix(stopped.text + stop))
  }

  @Test func `equal seeds give equal answers`() async throws {
    let engine = try Engine(TinyChat())
    func answer(_ seed: UInt64) async throws -> String {
      try await completion(
        Session(engine), "Hello",
        options(40) {
          $0.sampling.temperature = 3
          $0.sampling.seed = seed
        }
      ).text
    }
    let (one, again, other) = (try await answer(1), try await answer(1), try await answer(2))
    #expect(one == again && one != other)
  }

  @Test func `a session answers one question at a time`() async throws {
    let session = Session(try Engine(TinyChat(), contextLength: 50_000))
    let first = session.events(replyingTo: "Hello", options(100_000))
    while session.turns.isEmpty { await Task.yield() }
    await #expect(throws: SessionError.busy) { _ = try await events(session, "Me too", options(5)) }
    #expect(session.turns.count == 1)
    for try await event in first { if case .text = event { break } }
  }

  @Test func `a cancelled answer leaves a session that can be used`() async throws {
    let session = Session(try Engine(TinyChat(), contextLength: 50_000))
    for round in 1...3 {
      for try await event in session.events(replyingTo: "Hello \(round)", options(100_000)) {
        if case .text = event { break }
      }
      let start = ContinuousClock.now
      while session.turns.count < 2 * round, ContinuousClock.now - start < .seconds(5) {
        try await Task.sleep(for: .milliseconds(2))
      }
      #expect(session.turns.count == 2 * round)
      #expect(ContinuousClock.now - start < .seconds(2))
    }
    #expect(try await completion(session, "Again", options(5)).usage.completionTokens == 5)
    #expect(
      session.turns.map(\.role) == [
        .user, .assistant, .user, .assistant, .user, .assistant, .user, .assistant,
      ])
  }

  @Test func `the oldest turns go when the context is full, and the caller is told`() async throws {
    let session = Session(try Engine(TinyChat(), contextLength: 200), system: "Keep")
    var told = 0
    for round in 0..<6 {
      let events = try await events(session, "Question number \(round)", options(30))
      for case .droppedTurns(let count) in events { told += count }
      let completion = try finished(events)
      #expect(completion.reason == .maxTokens && completion.usage.completionTokens == 30)
    }
    #expect(told > 0 && session.turns.count == 12 - 2 * told)
    #expect(session.system == "Keep" && session.turns.last?.role == .assistant)
  }

  @Test func `an answer goes on without the oldest turns, and ends where nothing can go`() async throws {
    let session = Session(try Engine(TinyChat(), contextLength: 160))
    _ = try await completion(session, "First", options(20))
    let events = try await events(session, "Second", options(1_000))
    let completion = try finished(events)
    #expect(events.contains(.droppedTurns(1)))
    #expect(completion.reason == .contextFull && completion.usage.completionTokens < 160)
    #expect(session.turns.first?.content == "Second")
  }

  @Test func `what is too long or makes no sense is an error, and the session stays usable`() async throws {
    let session = Session(try Engine(TinyChat(), contextLength: 100))
    let long = String(repeating: "x", count: 200)
    await #expect {
      _ = try await events(session, long, options(5))
    } throws: { error in
      guard case SessionError.promptTooLong(let tokens, let limit) = error else { return false }
      return tokens > 200 && limit == 100
    }
    await #expect(throws: SessionError.self) {
      _ = try await events(session, "Hello", options(5) { $0.sampling.temperature = -1 })
    }
    #expect(session.turns.isEmpty)
    #expect(try await completion(session, "Hello", options(5)).usage.completionTokens == 5)
  }

  @Test func `a conversation that is replaced during an answer stays replaced`() async throws {
    let session = Session(try Engine(TinyChat(), contextLength: 50_000), system: "Old")
    for try await event in session.events(replyingTo: "Hello", options(40)) {
      if case .text = event {
        session.reset()
        session.system = "New"
      }
    }
    #expect(session.turns.isEmpty && session.system == "New")
    let next = try await completion(session, "Again", options(5))
    #expect(session.turns.map(\.content) == ["Again", next.text])
  }

  @Test func `an answer of no tokens is empty`() async throws {
    let session = Session(try Engine(TinyChat()))
    for most in [0, -1, Int.min] {
      let completion = try await completion(session, "Hello", options(most))
      #expect(completion.reason == .maxTokens && completion.usage.completionTokens == 0)
      #expect(completion.text.isEmpty && completion.usage.promptTokens > 0)
    }
  }

  @Test func `contexts of any length give an answer or an error`() async throws {
    for length in 0...40 {
      let session = Session(try Engine(TinyChat(template: nil), contextLength: length))
      let question = String(repeating: "x", count: max(1, length - 1))
      if length < 2 {
        await #expect(throws: SessionError.promptTooLong(tokens: 1, limit: 1)) {
          _ = try await completion(session, question, options(5))
        }
      } else {
        let completion = try await completion(session, question, options(5))
        #expect(completion.reason == .contextFull && completion.usage.completionTokens == 1)
      }
    }
  }

  @Test func `replies stream the text alone`() async throws {
    let session = Session(try Engine(TinyChat()))
    var text = ""
    for try await part in session.reply(to: "Hello", options(12)) { text += part }
    #expect(text.utf8.count == 12 && session.turns.last?.content == text)
    session.reset()
    #expect(session.turns.isEmpty)
  }
}
