import DuetRuntime
import Foundation
import Testing

/// What an independent implementation made of real models; recorded by
/// tools/reference/record_logits.py.
struct Golden: Decodable {
  struct Sequence: Decodable {
    let text: String
    let ids: [Int32]
    /// Of all tokens but the first, given those before.
    let negativeLogLikelihood: Double
    /// Of each position the likeliest tokens, [tokens][5].
    let topIds: [[Int]]
    let topLogProbabilities: [[Double]]
  }

  struct Continuation: Decodable {
    let text: String
    let ids: [Int32]
    let continuation: [Int32]
    /// By how much each token's logit leads the next best.
    let margins: [Double]
  }

  let sequences: [Sequence]
  let continuations: [Continuation]?

  init(_ name: String) throws {
    let url = try #require(Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: "json"))
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    self = try decoder.decode(Self.self, from: Data(contentsOf: url))
  }
}

enum GoldenModel: String, CaseIterable, CustomTestStringConvertible {
  case smolLM2 = "smollm2-135m-instruct"
  case gemma3 = "gemma-3-270m"

  var testDescription: String { rawValue }
  var file: String { self == .smolLM2 ? ModelFiles.smolLM2 : ModelFiles.gemma3 }
}

@Suite(
  .serialized, .enabled(if: ModelFiles.available(ModelFiles.smolLM2, ModelFiles.gemma3), ModelFiles.absent))
struct GoldenTests {
  /// How far log-probabilities may be from the recorded ones, and how far apart the two likeliest
  /// tokens must be to have to come in that order.
  struct Bounds {
    let activations: ActivationType
    let cache: CacheType
    let logProbability: Double
    let likelihood: Double
  }

  /// Rounding alone.
  static let exact = Bounds(activations: .float32, cache: .f32, logProbability: 1e-3, likelihood: 1e-4)
  /// As models are run: activations of 8 bits, a cache of half precision.
  static let fast = Bounds(activations: .int8, cache: .f16, logProbability: 1.25, likelihood: 0.01)

  private struct Runner {
    let model: Model
    let decoder: Decoder
    let cache: CacheType

    init(_ model: GoldenModel, _ bounds: Bounds) throws {
      self.model = try Model(path: ModelFiles.path(model.file))
      cache = bounds.cache
      decoder = Decoder(
        self.model.core, pool: ThreadPool(threadCount: 2), capacity: 64, precision: bounds.activations)
    }

    func sequence() -> CachedSequence { CachedSequence(layout: model.core.cacheLayout(cache), salt: 0) }

    /// Log-probabilities after each token, [tokens][vocabulary].
    func logProbabilities(_ tokens: [Int32]) -> [[Double]] {
      let width = model.config.vocabularySize
      return (0..<decoder.forward([DecoderStep(sequence(), tokens[...], logits: .all)])).map { row in
        let logits = decoder.logits.array(row * width..<(row + 1) * width).map(Double.init)
        let largest = logits.max() ?? 0
        let total = largest + log(logits.reduce(0) { $0 + exp($1 - largest) })
        return logits.map { $0 - total }
      }
    }

    /// The likeliest tokens that follow `tokens`.
    func greedy(_ tokens: [Int32], count: Int) -> [Int32] {
      let sequence = sequence(), width = model.config.vocabularySize
      var found: [Int32] = []
      var next = tokens[...]
      while found.count < count, decoder.forward([DecoderStep(sequence, next)]) == 1 {
        found.append(Int32(model.core.operations.argmax(decoder.logits, 0..<width)))
        next = found.suffix(1)
      }
      return found
    }
  }

  private func compare(_ model: GoldenModel, _ bounds: Bounds, texts: Int) throws {
    let runner = try Runner(model, bounds)
    var worst = 0.0, likelihood = 0.0, expectedLikelihood = 0.0
    for sequence in try Golden(model.rawValue).sequences.prefix(texts) {
      let rows = runner.logProbabilities(sequence.ids)
      try #require(rows.count == sequence.ids.count)
      for (position, row) in rows.enumerated() {
        let ids = sequence.topIds[position], expected = sequence.topLogProbabilities[position]
        let error = zip(ids, expected).map { abs(row[$0] - $1) }.max() ?? .infinity
        worst = max(worst, error)
        #expect(error < bounds.logProbability, "\(sequence.text.prefix(20)), position \(position)")
        if expected[0] - expected[1] > 2 * bounds.logProbability {
          #expect(
            row.firstIndex(of: row.max() ?? 0) == ids[0], "\(sequence.text.prefix(20)), position \(position)")
        }
      }
      likelihood += zip(rows, sequence.ids.dropFirst()).reduce(0) { $0 - $1.0[Int($1.1)] }
      expectedLikelihood += sequence.negativeLogLikelihood
    }
    // Of all texts: one of thirty tokens moves by 1 % for roundings.
    let ratio = likelihood / expectedLikelihood
    print("\(model.rawValue), \(bounds.activations.rawValue): worst \(worst), likelihood ratio \(ratio)")
    #expect(abs(ratio - 1) < bounds.likelihood)
  }

  @Test(arguments: GoldenModel.allCases)
  func `float activations give the recorded probabilities`(_ model: GoldenModel) throws {
    // One text: the float kernels are slow.
    try compare(model, Self.exact, texts: 1)
  }

  @Test(arguments: GoldenModel.allCases)
  func `int8 activations stay near the recorded probabilities`(_ model: GoldenModel) throws {
    try compare(model, Self.fast, texts: 3)
  }

  @Test(arguments: GoldenModel.allCases)
  func `texts are continued as recorded, up to the first near tie`(_ model: GoldenModel) throws {
    let runner = try Runner(model, Self.fast)
    for row in try Golden(model.rawValue).continuations ?? [] {
      let clear = row.margins.firstIndex { $0 < 0.7 } ?? row.margins.count
      #expect(runner.greedy(row.ids, count: clear) == Array(row.continuation[..<clear]), "\(row.text)")
    }
  }
}
