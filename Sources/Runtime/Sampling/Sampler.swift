#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Chooses tokens from logits, one text's worth: it remembers its random state.
package struct Sampler: Sendable {
  package let options: SamplingOptions
  private var random: RandomSource

  package init(_ options: SamplingOptions) {
    self.options = options
    random = RandomSource(seed: options.seed)
  }

  /// A token that may be chosen. Weights are relative to the most likely one.
  private struct Candidate {
    let token: Int32
    let logit: Float
    var weight: Float = 0
  }

  /// Below the largest logit by more than this, tokens are as good as impossible: a vocabulary of
  /// them together is less likely than 1e-5.
  private static let negligible: Float = 25

  /// The next token after `history`, given logits in `range`. Logits that are not numbers count as
  /// impossible; if all are, token 0 is chosen.
  ///
  /// - Complexity: O(vocabulary), and O(k log k) for the k tokens that are at all likely.
  package mutating func choose(
    _ logits: FloatBuffer, _ range: Range<Int>, history: some BidirectionalCollection<Int32>,
    _ operations: Operations
  ) -> Int32 {
    if options.isPlainGreedy { return Int32(operations.argmax(logits, range)) }
    if options.hasPenalties { penalize(logits, range, history.suffix(options.penaltyWindow)) }
    if options.temperature <= 0 { return Int32(operations.argmax(logits, range)) }
    return draw(candidates(logits, range, operations))
  }

  private func penalize(_ logits: FloatBuffer, _ range: Range<Int>, _ recent: some Sequence<Int32>) {
    var counts: [Int32: Int] = [:]
    for token in recent { counts[token, default: 0] += 1 }
    for (token, count) in counts where token >= 0 && Int(token) < range.count {
      var logit = logits[range.lowerBound + Int(token)]
      logit = logit > 0 ? logit / options.repetitionPenalty : logit * options.repetitionPenalty
      logit -= Float(count) * options.frequencyPenalty + options.presencePenalty
      logits[range.lowerBound + Int(token)] = logit
    }
  }

  /// The likely tokens, most likely first, cut by top-k, top-p and min-p.
  private func candidates(
    _ logits: FloatBuffer, _ range: Range<Int>, _ operations: Operations
  ) -> [Candidate] {
    let best = operations.argmax(logits, range)
    let largest = logits[range.lowerBound + best]
    guard largest.isFinite else { return [Candidate(token: Int32(best), logit: largest, weight: 1)] }
    // Where the tail counts towards nothing, what min-p drops need not be sorted.
    let depth =
      options.topP < 1 || options.minP <= 0 ? Self.negligible : min(Self.negligible, -log(options.minP))
    let floor = largest - depth * options.temperature
    var found: [Candidate] = []
    logits.withSpan(range) { span in
      for index in 0..<span.count where span[index] >= floor {
        found.append(Candidate(token: Int32(index), logit: span[index]))
      }
    }
    // Equal logits keep the order of their tokens, so that the choice is the same everywhere.
    found.sort { ($0.logit, $1.token) > ($1.logit, $0.token) }
    if options.topK > 0 { found.removeLast(max(0, found.count - options.topK)) }
    for index in found.indices {
      found[index].weight = exp((found[index].logit - largest) / options.temperature)
    }
    cut(&found)
    return found.isEmpty ? [Candidate(token: Int32(best), logit: largest, weight: 1)] : found
  }

  private func cut(_ candidates: inout [Candidate]) {
    if options.topP < 1 {
      let goal = options.topP * candidates.reduce(0) { $0 + $1.weight }
      var total: Float = 0
      let kept = candidates.firstIndex { candidate in
        total += candidate.weight
        return total >= goal
      }
      if let kept { candidates.removeLast(candidates.count - kept - 1) }
    }
    candidates.removeAll { $0.weight < options.minP }
  }

  private mutating func draw(_ candidates: [Candidate]) -> Int32 {
    var left = random.unit() * candidates.reduce(0) { $0 + $1.weight }
    for candidate in candidates {
      left -= candidate.weight
      if left < 0 { return candidate.token }
    }
    return candidates[candidates.count - 1].token
  }
}
