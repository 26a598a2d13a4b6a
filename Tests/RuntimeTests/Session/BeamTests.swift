import DuetRuntime
import Foundation
import Testing

/// Answers of which several continuations were followed.
@Suite struct BeamTests {
  private static let question = "What is wide?"

  private func completion(_ engine: Engine, _ options: GenerationOptions) async throws -> Completion {
    var found: Completion?
    for try await case .finished(let ended) in Session(engine).events(
      replyingTo: Self.question, options)
    {
      found = ended
    }
    return try #require(found)
  }

  private func options(_ beams: Int, _ maxTokens: Int) -> GenerationOptions {
    var options = GenerationOptions()
    options.beams = beams
    options.maxTokens = maxTokens
    return options
  }

  /// The same search without a cache that is shared: every continuation is read from its beginning.
  private struct Naive {
    let model: Model
    let prompt: [Int32]
    let width: Int

    func logProbabilities(after answer: [Int32]) -> [Double] {
      let decoder = Decoder(model.core, pool: ThreadPool(threadCount: 1), capacity: 256)
      let sequence = CachedSequence(layout: model.core.cacheLayout(.f16), salt: 0)
      _ = decoder.forward([DecoderStep(sequence, prompt[...])])
      for token in answer { _ = decoder.forward([DecoderStep(sequence, [token])]) }
      let logits = decoder.logits.array(0..<model.config.vocabularySize).map(Double.init)
      let total = log(logits.reduce(0) { $0 + exp($1) })
      return logits.map { $0 - total }
    }

    func answer(_ maxTokens: Int) -> [Int32] {
      var open: [(tokens: [Int32], sum: Double)] = [([], 0)]
      var ended: [(tokens: [Int32], score: Double)] = []
      while let best = open.map({ $0.sum / Double(max(1, $0.tokens.count)) }).max() {
        if ended.count >= width, (ended.map(\.score).min() ?? 0) >= best { break }
        var all: [(tokens: [Int32], token: Int32, sum: Double)] = []
        for beam in open {
          for (token, value) in logProbabilities(after: beam.tokens).enumerated() {
            all.append((beam.tokens, Int32(token), beam.sum + value))
          }
        }
        all.sort { $0.sum > $1.sum }
        open = []
        for (rank, next) in all.enumerated() where open.count < width {
          let isEnd = model.tokenizer.endsGeneration.contains(next.token)
          let tokens = isEnd ? next.tokens : next.tokens + [next.token]
          if isEnd || tokens.count >= maxTokens {
            if rank < width { ended.append((tokens, next.sum / Double(next.tokens.count + 1))) }
          } else {
            open.append((tokens, next.sum))
          }
        }
        ended.sort { $0.score > $1.score }
        ended.removeLast(max(0, ended.count - width))
      }
      return ended.first?.tokens ?? []
    }
  }

  @Test(arguments: [(2, Float(0)), (3, 2), (4, 4), (5, 20)])
  func `the answer is that of a search that shares no cache`(_ width: Int, _ endScale: Float) async throws {
    let engine = try Engine(TinyChat(endScale: endScale), batch: 256), model = engine.model
    let prompts = PromptEncoder(model: model, template: try #require(model.template))
    let prompt = try prompts.encode([ChatMessage(role: .user, content: Self.question)])
    let naive = Naive(model: model, prompt: prompt, width: width).answer(9)
    let found = try await completion(engine, options(width, 9))
    #expect(found.usage.completionTokens == naive.count)
    #expect(found.text == String(decoding: naive.flatMap { model.tokenizer.bytes(of: $0) }, as: UTF8.self))
    #expect(found.reason == (naive.count == 9 ? .maxTokens : .stop))
  }

  @Test func `an answer of several beams is at least as likely as the greedy one`() async throws {
    let engine = try Engine(TinyChat())
    var scores: [Double] = []
    for beams in [1, 4, 16] {
      let text = try await completion(engine, options(beams, 8)).text
      scores.append(try await Session(engine).reading(of: text, to: Self.question).logProbability)
    }
    #expect(scores[1] >= scores[0] - 0.05 && scores[2] >= scores[0] - 0.05)
  }

  @Test func `each token of the answer has its attention, and a stop string ends it`() async throws {
    let engine = try Engine(TinyChat())
    var options = options(3, 12)
    options.watchedTexts = ["wide"]
    let found = try await completion(engine, options)
    #expect(found.attention.count == 12 && found.attention.allSatisfy { $0.shares.count == 1 })
    options.stops = [String(found.text.dropFirst(4).prefix(2))]
    let stopped = try await completion(engine, options)
    #expect(options.stops.allSatisfy { !stopped.text.contains($0) })
  }

  @Test func `a full context ends the search`() async throws {
    let engine = try Engine(TinyChat(), contextLength: 96, batch: 256)
    let found = try await completion(engine, options(3, 400))
    #expect(found.reason == .contextFull && !found.text.isEmpty)
    #expect(found.usage.promptTokens + found.usage.completionTokens <= 96)
  }

  @Test func `a fork and its origin go on without each other`() throws {
    let model = try TinyChat().open()
    let decoder = Decoder(model.core, pool: ThreadPool(threadCount: 1), capacity: 128)
    let prompt = (0..<70).map { Int32($0 % 40) }
    func logits(_ sequence: CachedSequence, _ token: Int32) -> [Float] {
      _ = decoder.forward([DecoderStep(sequence, [token])])
      return decoder.logits.array(0..<model.config.vocabularySize)
    }
    func fresh() -> CachedSequence {
      let sequence = CachedSequence(layout: model.core.cacheLayout(.f16), salt: 0)
      _ = decoder.forward([DecoderStep(sequence, prompt[...])])
      return sequence
    }
    let origin = fresh(), fork = origin.fork(), other = fresh(), third = fresh()
    #expect(fork.count == prompt.count && fork !== origin)
    #expect(logits(origin, 5) == logits(other, 5))
    #expect(logits(fork, 9) == logits(third, 9))
    #expect(logits(origin, 7) == logits(other, 7))
    #expect(logits(fork, 7) == logits(third, 7))
  }
}
