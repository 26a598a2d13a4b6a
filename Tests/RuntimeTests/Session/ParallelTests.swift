import DuetRuntime
import Testing

/// Sessions that answer at the same time on one engine.
@Suite(.serialized) struct ParallelTests {
  private func options(_ index: Int, maxTokens: Int = 60) -> GenerationOptions {
    var options = GenerationOptions()
    options.maxTokens = maxTokens + index
    options.stopsAtRepetition = false
    options.sampling.temperature = index % 2 == 0 ? 0 : 1
    options.sampling.seed = UInt64(index)
    return options
  }

  private func text(_ session: Session, _ question: String, _ options: GenerationOptions) async throws
    -> String
  {
    var text = ""
    for try await part in session.reply(to: question, options) { text += part }
    return text
  }

  /// Prompts of 20 to 200 tokens: some are read in one piece, others in several.
  private func question(_ index: Int) -> String {
    String(repeating: "Question \(index). ", count: 1 + 2 * index)
  }

  /// More sessions than one pass takes.
  @Test func `sessions of several tunings answer together as each does alone`() async throws {
    let chat = TinyChat(), engine = try Engine(chat)
    let first = try Tuning(chat.adapter(seed: 1).open(for: engine.model))
    let second = try Tuning(chat.adapter(seed: 2).open(for: engine.model), scale: 0.7)
    let tunings = (0..<20).map { [nil, first, second][$0 % 3] }
    var alone: [String] = []
    for index in 0..<20 {
      alone.append(
        try await text(Session(engine, tuning: tunings[index]), question(index % 8), options(index)))
    }
    let together = try await withThrowingTaskGroup(of: (Int, String).self) { group in
      for index in 0..<20 {
        let session = Session(engine, tuning: tunings[index])
        group.addTask { (index, try await text(session, question(index % 8), options(index))) }
      }
      return try await group.reduce(into: [Int: String]()) { $0[$1.0] = $1.1 }
    }
    for index in 0..<20 { #expect(together[index] == alone[index], "session \(index)") }
  }

  @Test func `one that joins while another answers waits for no end, and one that leaves holds nobody up`()
    async throws
  {
    let engine = try Engine(TinyChat(), contextLength: 4_000)
    let long = Session(engine), short = Session(engine)
    let task = Task { try await text(long, "Long", options(0, maxTokens: 1_500)) }
    // The first is at work; the second comes and goes meanwhile.
    try await Task.sleep(for: .milliseconds(20))
    let answer = try await text(short, question(7), options(1, maxTokens: 10))
    #expect(answer.utf8.count == 11)
    let gone = Task { try await text(Session(engine), question(5), options(2, maxTokens: 1_500)) }
    try await Task.sleep(for: .milliseconds(10))
    gone.cancel()
    _ = try? await gone.value
    #expect(try await task.value.utf8.count == 1_500)
    #expect(try await text(Session(engine), "After", options(3, maxTokens: 5)).utf8.count == 8)
  }

  @Test func `an error before the first pass leaves the others alone`() async throws {
    let engine = try Engine(TinyChat(), contextLength: 300)
    async let good = text(Session(engine), "Hello", options(0))
    await #expect(throws: SessionError.self) {
      _ = try await text(Session(engine), String(repeating: "x", count: 400), options(1))
    }
    #expect(try await good.utf8.count == 60)
  }
}
