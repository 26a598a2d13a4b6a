/// How the next token is chosen from the logits.
///
/// Applied in this order: repetition penalties, temperature, top-k, top-p, min-p.
public struct SamplingOptions: Sendable, Equatable {
  /// Divides the logits; 0 takes the most likely token always.
  public var temperature: Float = 0
  /// Keeps this many of the most likely tokens; 0 keeps all.
  public var topK = 40
  /// Keeps the most likely tokens that together reach this probability (arXiv 1904.09751).
  public var topP: Float = 0.95
  /// Drops tokens less likely than this share of the most likely one (arXiv 2407.01082).
  public var minP: Float = 0.05
  /// Logits of tokens among the last `penaltyWindow` of the answer are divided by this where positive,
  /// else multiplied (arXiv 1909.05858); 1 for none. Tokens of the prompt are not penalised: an answer
  /// may quote it.
  public var repetitionPenalty: Float = 1
  /// Taken off the logit of a token for every time it was seen.
  public var frequencyPenalty: Float = 0
  /// Taken off the logit of a token that was seen at all.
  public var presencePenalty: Float = 0
  /// Tokens that the penalties look back on.
  public var penaltyWindow = 64
  /// Equal seeds give equal texts.
  public var seed: UInt64 = 0

  /// The most likely token, always.
  public init() {}

  /// Whether the choice is the largest logit, with no penalty before.
  var isPlainGreedy: Bool { temperature <= 0 && !hasPenalties }

  var hasPenalties: Bool {
    penaltyWindow > 0 && (repetitionPenalty != 1 || frequencyPenalty != 0 || presencePenalty != 0)
  }

  /// The first value that makes no sense, or nil.
  public func problem() -> SamplingError? {
    let checks: [(String, Float, ClosedRange<Float>)] = [
      ("temperature", temperature, 0...100), ("top-p", topP, 0...1), ("min-p", minP, 0...1),
      ("repetition penalty", repetitionPenalty, 0.01...100),
      ("frequency penalty", frequencyPenalty, -100...100),
      ("presence penalty", presencePenalty, -100...100),
    ]
    for (name, value, range) in checks where !range.contains(value) {
      return .outOfRange(name: name, value: value, range: range)
    }
    return topK < 0 ? .outOfRange(name: "top-k", value: Float(topK), range: 0...1e6) : nil
  }
}

/// An option of sampling that makes no sense.
public enum SamplingError: Error, Equatable, CustomStringConvertible {
  case outOfRange(name: String, value: Float, range: ClosedRange<Float>)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .outOfRange(let name, let value, let range):
      "the \(name) is \(value); give a value from \(range.lowerBound) to \(range.upperBound)"
    }
  }
}
