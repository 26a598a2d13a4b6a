/// Decides how many tokens to draft, so that drafting pays, and costs next to nothing where it does
/// not.
///
/// Times are counted in passes of one token. A draft of k tokens that are all refused costs what a
/// pass of k + 1 tokens takes longer; each accepted one saves a pass. The policy keeps an account:
/// every pass earns 2 % of itself, drafts add what they saved less what they cost, and no draft is
/// made that the account could not pay for if it were refused. Over an answer the loss so stays
/// below those 2 % and the account's first credit, half a pass.
package struct DraftPolicy: Sendable {
  /// What a pass earns.
  package static let allowance = 0.02
  private static let firstCredit = 0.5
  private static let mostCredit = 16.0
  /// A draft must promise at least this much more speed.
  private static let leastGain = 1.03

  /// How often drafts of one class came true: classes by the length of the match.
  private struct Record: Sendable {
    let expected: (hits: Double, misses: Double)
    var hits = 0.0
    var misses = 0.0

    var probability: Double {
      (hits + expected.hits) / (hits + misses + expected.hits + expected.misses)
    }

    /// Older drafts count less and less.
    mutating func add(_ accepted: Int, of drafted: Int) {
      hits = hits * 0.9 + Double(accepted)
      misses = misses * 0.9 + (accepted < drafted ? 1 : 0)
    }
  }

  private(set) var credit = Self.firstCredit
  private var records = [
    Record(expected: (1, 2)), Record(expected: (2, 1)), Record(expected: (6, 1)),
  ]

  package init() {}

  private static func kind(_ matchLength: Int) -> Int { matchLength < 4 ? 0 : matchLength < 8 ? 1 : 2 }

  /// How many of at most `most` tokens to draft after a match of `matchLength`.
  ///
  /// - Parameter cost: what so many more tokens in a pass take, in passes of one.
  package func length(matchLength: Int, most: Int, cost: (Int) -> Double) -> Int {
    let probability = records[Self.kind(matchLength)].probability
    var best = (length: 0, gain: Self.leastGain), tokens = 1.0, power = 1.0
    for length in stride(from: 1, through: most, by: 1) {
      power *= probability
      tokens += power
      let price = cost(length)
      guard price <= credit else { break }
      let gain = tokens / (1 + price)
      if gain > best.gain { best = (length, gain) }
    }
    return best.length
  }

  /// Enters a pass without a draft.
  package mutating func settle() { credit = min(Self.mostCredit, credit + Self.allowance) }

  /// Enters a pass with a draft that took `cost` passes more than one without.
  package mutating func settle(matchLength: Int, drafted: Int, accepted: Int, cost: Double) {
    records[Self.kind(matchLength)].add(accepted, of: drafted)
    credit = min(Self.mostCredit, credit + Self.allowance + Double(accepted) - cost)
  }
}

/// How long passes of several tokens take compared with those of one, as measured while running.
package struct PassTimes: Sendable {
  /// Seconds of a pass of one token; 0 where none was measured yet at this depth.
  private var one = 0.0
  /// By the number of further tokens: what they take, in passes of one.
  private var costs = [Double?](repeating: nil, count: Decoder.directTokens)
  /// What each further token is thought to take before any was measured.
  private static let guess = 0.25
  /// The weight of a new measurement.
  private static let weight = 0.2

  package init() {}

  /// Forgets how long a pass of one takes: the context is another now.
  package mutating func restart() { one = 0 }

  /// Whether a pass of one was measured.
  package var isReady: Bool { one > 0 }

  /// Enters a pass of `tokens`.
  ///
  /// - Returns: what it took beyond a pass of one, in such passes.
  @discardableResult
  package mutating func record(_ tokens: Int, seconds: Double) -> Double {
    guard tokens > 1 else {
      // Another process may hold a pass up: what is twice as long as usual counts little.
      let weight = seconds > 2 * one ? Self.weight / 8 : Self.weight
      one = one == 0 ? seconds : one + weight * (seconds - one)
      return 0
    }
    guard isReady, tokens <= costs.count else { return 0 }
    let cost = max(0, seconds / one - 1)
    let known = costs[tokens - 1] ?? self.cost(tokens - 1)
    costs[tokens - 1] = known + (cost > 2 * known + 1 ? Self.weight / 8 : Self.weight) * (cost - known)
    return cost
  }

  /// What `more` tokens beyond one take, in passes of one.
  package func cost(_ more: Int) -> Double {
    guard more > 0 else { return 0 }
    // The nearest that was measured, and a guess from there on.
    for distance in 0..<costs.count {
      for place in [more - distance, more + distance] where costs.indices.contains(place) {
        if place > 0, let known = costs[place] { return known * Double(more) / Double(place) }
      }
    }
    return Self.guess * Double(more)
  }
}
