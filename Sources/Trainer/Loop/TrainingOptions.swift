/// What a training makes better.
public enum TrainingObjective: Sendable, Equatable {
  /// The likelihood of the responses that are given.
  case likelihood
  /// How well captions that the model draws agree with those that are given, by CIDEr-D; for pictures.
  ///
  /// - `draws`: captions of each picture in a step, 2 to 16.
  case agreement(draws: Int)
}

/// How a training runs.
public struct TrainingOptions: Sendable, Equatable {
  /// What is trained.
  public var method = TrainingMethod.lora(LoRAOptions())
  /// What is made better.
  public var objective = TrainingObjective.likelihood
  /// Steps of the optimiser; nil for what `tokens` or `epochs` make.
  public var steps: Int?
  /// Tokens to train on; nil for what `epochs` make.
  public var tokens: Int?
  /// Times that every row is seen.
  public var epochs = 1.0
  /// Rows of a step.
  public var rowsPerStep = 16
  /// Tokens that pass through the model at a time; memory grows with it.
  public var batchTokens = 1_024
  /// The largest learning rate.
  public var learningRate = 2e-4
  /// The share of steps in which the rate rises to its largest.
  public var warmup = 0.03
  /// Of matrices, by the step.
  public var weightDecay = 0.0
  /// The largest norm of the gradient; 0 for no limit.
  public var clip = 1.0
  /// Of order, first factors and dropout.
  public var seed: UInt64 = 1
  /// Whether rows are taken in a new order each time.
  public var shuffles = true
  /// Steps between measurements on held-out rows.
  public var evaluationInterval = 50
  /// Rows to measure on, the first of the file; 0 for all.
  public var evaluationRows = 200
  /// Measurements without progress after which training ends; 0 for never.
  public var patience = 0
  /// Steps between checkpoints; 0 for none.
  public var checkpointInterval = 20
  /// Threads that compute.
  public var threads = 1
  /// Whether only one layer's weights are held in single precision at a time.
  public var savesMemory = false

  /// LoRA of rank 16, once over the rows, 16 rows a step.
  public init() {}

  /// What a run must have in common with the one that it continues.
  var identity: [(name: String, value: String)] {
    let drawn = if case .agreement(let draws) = objective { " by \(draws) draws" } else { "" }
    return [
      ("the method", method.identity + drawn), ("--batch", "\(rowsPerStep)"),
      ("--batch-tokens", "\(batchTokens)"),
      ("--lr", "\(learningRate)"), ("--warmup", "\(warmup)"), ("--weight-decay", "\(weightDecay)"),
      ("--clip", "\(clip)"), ("--seed", "\(seed)"), ("--shuffle", "\(shuffles)"),
      ("--eval-every", "\(evaluationInterval)"), ("--eval-rows", "\(evaluationRows)"),
      ("--threads", "\(threads)"),
    ]
  }
}

/// The learning rate by step: a linear rise, then half a cosine down to 0.
struct LearningRate {
  let largest: Double
  let warmup: Int
  let steps: Int

  func rate(_ step: Int) -> Double {
    if step < warmup { return largest * Double(step + 1) / Double(warmup) }
    let share = Double(step - warmup) / Double(max(1, steps - warmup))
    return largest * 0.5 * (1 + cosine(Double.pi * share))
  }
}
