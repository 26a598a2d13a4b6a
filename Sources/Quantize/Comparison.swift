import DuetRuntime
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How one model's predictions of a text differ from a reference's.
public struct Comparison: Sendable {
  /// Where the model came from.
  public var path = ""
  /// Tokens that were predicted.
  public var tokens = 0
  /// exp of the mean negative log likelihood.
  public var perplexity = 0.0
  /// The mean of the differences of the tokens' negative log likelihoods from the reference's, and how
  /// far the true mean may lie from it, with 95 % confidence.
  public var difference = Interval()
  /// The mean of the Kullback-Leibler divergences from the reference, in nats.
  public var divergence = Interval()
  /// The divergence that 1 % of the tokens exceed.
  public var divergence99 = 0.0
  /// The share of tokens for which both hold the same one most likely.
  public var agreement = 0.0

  /// A mean, and half of the width of its 95 % interval.
  public struct Interval: Sendable, Equatable {
    /// The mean.
    public var mean = 0.0
    /// 1.96 standard errors.
    public var margin = 0.0

    init() {}

    init(_ values: [Double]) {
      let count = Double(max(1, values.count))
      mean = values.reduce(0, +) / count
      let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
      margin = 1.96 * (squares / max(1, count - 1) / count).squareRoot()
    }
  }
}

/// Compares models with a reference, token by token of a text.
public struct ModelComparison {
  /// Tokens of a window; windows follow each other without overlap.
  public var window = 512
  /// What weights are multiplied by.
  public var activations = ActivationType.float32
  /// Threads that compute; nil for one per core.
  public var threads: Int?

  /// Windows of 512 tokens in single precision.
  public init() {}

  /// Predicts every token but the first of each window with all models.
  ///
  /// - Parameters:
  ///   - reference: what the others are held against.
  ///   - others: models of the same vocabulary.
  ///   - tokens: the text.
  ///   - progress: called with the tokens done, counted once for each model, and in all.
  /// - Returns: the reference's perplexity, and how each of the others compares.
  /// - Throws: `ComparisonError`, or `CancellationError` when the task is cancelled.
  public func compare(
    _ reference: Model, _ others: [Model], tokens: [Int32],
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> (perplexity: Double, comparisons: [Comparison]) {
    for other in others where other.config.vocabularySize != reference.config.vocabularySize {
      throw ComparisonError.otherVocabulary(path: other.file.path, reference: reference.file.path)
    }
    let pool = ThreadPool(threadCount: threads ?? processorCount())
    let models = [reference] + others
    // Logits of all models are held at once: batches are small enough for some tens of megabytes each.
    let most = max(1, min(256, (32 << 20) / (4 * reference.config.vocabularySize)))
    // Of like sizes: a few tokens at the end of a window would cost as much as many.
    let parts = (window + most) / most, batch = (window + parts) / parts
    let readers = models.map {
      Reader(decoder: Decoder($0.core, pool: pool, capacity: batch, precision: activations), core: $0.core)
    }
    var scores = others.map { _ in Scores() }
    let beginning = reference.tokenizer.addsBeginning ? reference.tokenizer.beginningOfText : nil
    for start in stride(from: 0, to: tokens.count, by: window) {
      let piece = Array(tokens[start..<min(tokens.count, start + window)])
      let text = beginning.map { [$0] + piece } ?? piece
      try compare(readers, pool, text, batch: batch, &scores) { done in
        progress((start + min(done, piece.count)) * models.count, tokens.count * models.count)
      }
    }
    let total = scores.first?.reference ?? []
    return (
      exp(total.reduce(0, +) / Double(max(1, total.count))),
      zip(others, scores).map { $1.comparison(path: $0.file.path) }
    )
  }

  private struct Reader {
    let decoder: Decoder
    let core: ModelWeights
  }

  private func compare(
    _ readers: [Reader], _ pool: ThreadPool, _ text: [Int32], batch: Int, _ scores: inout [Scores],
    _ progress: (Int) -> Void
  ) throws {
    let sequences = readers.map { CachedSequence(layout: $0.core.cacheLayout(.f32), salt: 0) }
    for start in stride(from: 0, to: text.count, by: batch) {
      let piece = text[start..<min(text.count, start + batch)]
      for (reader, sequence) in zip(readers, sequences) {
        try Task.checkCancellation()
        _ = reader.decoder.forward([DecoderStep(sequence, piece, logits: .all)])
      }
      // The last token of the text has none to predict.
      let targets = text[(start + 1)..<min(text.count, start + piece.count + 1)]
      for index in scores.indices {
        scores[index].append(
          Self.score(readers[0], readers[index + 1], Array(targets), pool))
      }
      progress(start + piece.count)
    }
  }

  private static func score(_ a: Reader, _ b: Reader, _ targets: [Int32], _ pool: ThreadPool) -> [TokenScore]
  {
    let width = a.core.config.vocabularySize
    return TokenScore.all(targets.count, pool) { row in
      let range = row * width..<(row + 1) * width
      return a.decoder.logits.withSpan(range) { first in
        b.decoder.logits.withSpan(range) { second in
          TokenScore(first, second, target: Int(targets[row]))
        }
      }
    }
  }
}

/// What two models say about one token.
struct TokenScore {
  var reference = 0.0  // negative log likelihood
  var other = 0.0
  var divergence = 0.0
  var agrees = false

  init() {}

  /// O(vocabulary).
  init(_ a: Span<Float>, _ b: Span<Float>, target: Int) {
    let topA = Self.largest(a), topB = Self.largest(b)
    let maxA = a[topA], maxB = b[topB]
    var sumA = 0.0, sumB = 0.0, cross = 0.0
    for index in a.indices {
      let weight = Double(exp(a[index] - maxA))
      sumA += weight
      sumB += Double(exp(b[index] - maxB))
      cross += weight * Double((a[index] - maxA) - (b[index] - maxB))
    }
    let logA = log(sumA), logB = log(sumB)
    reference = logA - Double(a[target] - maxA)
    other = logB - Double(b[target] - maxB)
    divergence = max(0, cross / sumA - logA + logB)
    agrees = topA == topB
  }

  /// The scores of `count` tokens, shared out among the threads.
  static func all(_ count: Int, _ pool: ThreadPool, _ score: (Int) -> TokenScore) -> [TokenScore] {
    let scores = Mutex(Array(repeating: TokenScore(), count: count))
    pool.run(count) { row, _ in
      let value = score(row)
      scores.withLock { $0[row] = value }
    }
    return scores.withLock { $0 }
  }

  private static func largest(_ values: Span<Float>) -> Int {
    var best = 0
    for index in values.indices where values[index] > values[best] { best = index }
    return best
  }
}

private struct Scores {
  var reference: [Double] = []
  var other: [Double] = []
  var divergence: [Double] = []
  var agreements = 0

  mutating func append(_ tokens: [TokenScore]) {
    for token in tokens {
      reference.append(token.reference)
      other.append(token.other)
      divergence.append(token.divergence)
      if token.agrees { agreements += 1 }
    }
  }

  func comparison(path: String) -> Comparison {
    var result = Comparison()
    result.path = path
    result.tokens = other.count
    result.perplexity = exp(other.reduce(0, +) / Double(max(1, other.count)))
    result.difference = .init(zip(other, reference).map { $0 - $1 })
    result.divergence = .init(divergence)
    let sorted = divergence.sorted()
    if !sorted.isEmpty { result.divergence99 = sorted[min(sorted.count - 1, sorted.count * 99 / 100)] }
    result.agreement = Double(agreements) / Double(max(1, other.count))
    return result
  }
}

/// Why models could not be compared.
public enum ComparisonError: Error, CustomStringConvertible {
  case otherVocabulary(path: String, reference: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .otherVocabulary(let path, let reference):
      "\(path) has another vocabulary than \(reference); compare files of the same model"
    }
  }
}
