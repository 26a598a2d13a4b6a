#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How well a model predicts a text.
public struct Perplexity: Sendable, Equatable {
  /// Tokens that were predicted.
  public var tokens = 0
  /// The sum of the negative logarithms of their probabilities.
  public var negativeLogLikelihood = 0.0

  /// exp of the mean negative log likelihood.
  public var perplexity: Double { exp(negativeLogLikelihood / Double(max(1, tokens))) }
}

extension Engine {
  /// Predicts every token of `tokens` but the first of each window from those before it in its
  /// window. Windows follow each other without overlap.
  ///
  /// - Parameters:
  ///   - tokens: the text.
  ///   - window: tokens of a window, `beginning` not counted.
  ///   - beginning: put before each window (and not predicted); nil for none.
  ///   - tuning: what adapts the model, which must be the engine's; nil for nothing.
  ///   - logits: called with the logits of every position, [vocabulary], in order.
  ///   - progress: called with the tokens done.
  /// - Throws: `CancellationError` when the task is cancelled, within a batch; what `logits` throws.
  public func perplexity(
    of tokens: [Int32], window: Int = 512, beginning: Int32? = nil, tuning: Tuning? = nil,
    logits: (@Sendable (Span<Float>) throws -> Void)? = nil,
    progress: @Sendable (_ done: Int) -> Void = { _ in }
  ) throws -> Perplexity {
    var result = Perplexity()
    for start in stride(from: 0, to: tokens.count, by: max(2, window)) {
      let piece = Array(tokens[start..<min(tokens.count, start + max(2, window))])
      let sequence = sequence(tuning)
      try score(beginning.map { [$0] + piece } ?? piece, sequence, &result, logits) { progress(start + $0) }
    }
    return result
  }

  private func score(
    _ tokens: [Int32], _ sequence: CachedSequence, _ result: inout Perplexity,
    _ logits: (@Sendable (Span<Float>) throws -> Void)?, _ progress: (Int) -> Void
  ) throws {
    // Logits are wide: batches are small enough that they stay below some tens of megabytes.
    let batch = max(1, min(self.batch, (64 << 20) / (4 * model.config.vocabularySize)))
    for start in stride(from: 0, to: tokens.count, by: batch) {
      try Task.checkCancellation()
      let piece = tokens[start..<min(tokens.count, start + batch)]
      try withLogits(sequence, piece) { row, span in
        try logits?(span)
        guard start + row + 1 < tokens.count else { return }
        result.negativeLogLikelihood -= Self.logProbability(span, tokens[start + row + 1])
        result.tokens += 1
      }
      progress(min(tokens.count, start + batch))
    }
  }

  /// The logarithm of the softmax probability of one token, in double precision. O(vocabulary).
  static func logProbability(_ logits: Span<Float>, _ token: Int32) -> Double {
    var largest = -Float.infinity
    for index in logits.indices where logits[index] > largest { largest = logits[index] }
    var total = 0.0
    for index in logits.indices { total += Double(exp(logits[index] - largest)) }
    guard token >= 0, Int(token) < logits.count else { return -.infinity }
    return Double(logits[Int(token)] - largest) - log(total)
  }
}
