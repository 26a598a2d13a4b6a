import DuetRuntime
import Testing

@Suite struct SamplerTests {
  private let operations: Operations

  init() throws { operations = try Operations() }

  private func options(_ change: (inout SamplingOptions) -> Void) -> SamplingOptions {
    var options = SamplingOptions()
    (options.temperature, options.topK, options.topP, options.minP) = (1, 0, 1, 0)
    change(&options)
    return options
  }

  /// How often each token is chosen.
  private func counts(
    _ logits: [Float], _ options: SamplingOptions, draws: Int = 20_000, history: [Int32] = []
  ) -> [Int] {
    var sampler = Sampler(options)
    var counts = [Int](repeating: 0, count: logits.count)
    for _ in 0..<draws {
      // What lies beside the range must not matter.
      let buffer = FloatBuffer([1e9] + logits + [1e9])
      counts[Int(sampler.choose(buffer, 1..<logits.count + 1, history: history, operations))] += 1
    }
    return counts
  }

  private func chosen(_ logits: [Float], _ options: SamplingOptions, history: [Int32] = []) -> Set<Int> {
    Set(counts(logits, options, draws: 3_000, history: history).enumerated().filter { $1 > 0 }.map(\.offset))
  }

  private static let logits: [Float] = [0, 1, 2, 3, -1]

  @Test func `greedy takes the first of the largest`() {
    #expect(chosen([1, 5, 5, -2], SamplingOptions()) == [1])
    #expect(chosen([.nan, -3, -.infinity], SamplingOptions()) == [1])
  }

  @Test(arguments: [0.5, 1, 2] as [Float])
  func `tokens are drawn as often as their probability says`(_ temperature: Float) {
    let weights = Self.logits.map { Double(temperature == 0.5 ? $0 * 2 : $0 / temperature) }.map {
      exponential($0)
    }
    let total = weights.reduce(0, +)
    let found = counts(Self.logits, options { $0.temperature = temperature })
    for (weight, count) in zip(weights, found) {
      let p = weight / total
      // Five standard deviations.
      #expect(abs(Double(count) - 20_000 * p) < 5 * (20_000 * p * (1 - p)).squareRoot() + 1)
    }
  }

  private func exponential(_ x: Double) -> Double {
    (1...60).reversed().reduce(1) { 1 + x / Double($1) * $0 }
  }

  @Test func `top-k, top-p and min-p cut the unlikely`() {
    #expect(chosen(Self.logits, options { $0.topK = 1 }) == [3])
    #expect(chosen(Self.logits, options { $0.topK = 2 }) == [2, 3])
    #expect(chosen(Self.logits, options { $0.topK = 99 }) == [0, 1, 2, 3, 4])
    // Probabilities: 0.032, 0.086, 0.233, 0.634, 0.012.
    #expect(chosen(Self.logits, options { $0.topP = 0 }) == [3])
    #expect(chosen(Self.logits, options { $0.topP = 0.63 }) == [3])
    #expect(chosen(Self.logits, options { $0.topP = 0.86 }) == [2, 3])
    #expect(chosen(Self.logits, options { $0.topP = 0.9 }) == [1, 2, 3])
    #expect(chosen(Self.logits, options { $0.minP = 1 }) == [3])
    #expect(chosen(Self.logits, options { $0.minP = 0.36 }) == [2, 3])
    #expect(chosen(Self.logits, options { $0.minP = 0.1 }) == [1, 2, 3])
  }

  @Test func `equal logits are cut in the order of their tokens`() {
    #expect(chosen([2, 2, 2, 2], options { $0.topK = 2 }) == [0, 1])
  }

  @Test func `equal seeds draw alike, others do not`() {
    func draw(_ seed: UInt64) -> [Int32] {
      var sampler = Sampler(options { $0.seed = seed })
      let logits = FloatBuffer([Float](repeating: 0, count: 100))
      return (0..<50).map { _ in sampler.choose(logits, 0..<100, history: [], operations) }
    }
    #expect(draw(1) == draw(1) && draw(1) != draw(2))
  }

  @Test func `penalties lower what was seen`() {
    let logits: [Float] = [1, 2, -1, 0.5]
    #expect(
      chosen(
        logits,
        options {
          $0.temperature = 0; $0.repetitionPenalty = 4
        }, history: [1]) == [0])
    #expect(
      chosen(
        [-1, -1.5],
        options {
          $0.temperature = 0; $0.repetitionPenalty = 2
        }, history: [0]) == [1])
    #expect(
      chosen(
        logits,
        options {
          $0.temperature = 0; $0.presencePenalty = 0.9
        }, history: [1, 1]) == [1])
    #expect(
      chosen(
        logits,
        options {
          $0.temperature = 0; $0.frequencyPenalty = 0.9
        }, history: [1, 1]) == [0])
    let window = options {
      $0.temperature = 0; $0.presencePenalty = 5; $0.penaltyWindow = 2
    }
    #expect(
      chosen(logits, window, history: [1, 3, 3]) == [1] && chosen(logits, window, history: [3, 1]) == [0])
    #expect(chosen(logits, window, history: [-5, 4, .max]) == [1])
  }

  @Test func `logits that are no numbers are never drawn`() {
    let hot = options { $0.temperature = 100 }
    #expect(chosen([.nan, 1, -.infinity, 1, .nan], hot) == [1, 3])
    #expect(chosen([.nan, .nan], hot) == [0])
    #expect(chosen([-.infinity, -.infinity], hot) == [0])
    #expect(chosen([1, .infinity, 2], hot) == [1])
  }

  @Test func `options that make no sense are named`() {
    #expect(SamplingOptions().problem() == nil)
    #expect(
      "\(options { $0.temperature = -1 }.problem().map(\.description) ?? "")".contains("temperature is -1.0"))
    #expect(options { $0.topP = .nan }.problem() != nil && options { $0.minP = 1.1 }.problem() != nil)
    #expect(
      options { $0.topK = -1 }.problem() != nil && options { $0.repetitionPenalty = 0 }.problem() != nil)
  }
}
