import DuetRuntime

/// What happens during a training.
public enum TrainingEvent: Sendable {
  /// Some of a step's rows went through the model.
  case progress(tokens: Int, of: Int)
  /// A step of the optimiser was made.
  case step(TrainingStep)
  /// The held-out rows were measured, as `Trainer.loss(_:rows:)` does.
  case evaluation(step: Int, loss: Double, isBest: Bool)
  /// A checkpoint was written.
  case checkpoint(step: Int)
  /// No progress for as long as patience lasts.
  case stoppedEarly(step: Int)
}

/// What one step of the optimiser was like.
public struct TrainingStep: Sendable, Equatable {
  /// From 1.
  public let number: Int
  /// Steps of the run.
  public let total: Int
  /// Nats per token that counts, before the step; where captions are drawn, how well they agree with people's,
  /// negative.
  public let loss: Double
  /// The learning rate.
  public let rate: Double
  /// Of the gradient, before clipping.
  public let norm: Double
  /// Tokens of the run so far.
  public let tokens: Int
  /// Tokens of the whole run.
  public let totalTokens: Int
  /// Seconds of this step.
  public let seconds: Double
  /// Tokens of this step.
  public let stepTokens: Int
}

/// Runs a training: steps, measurements, checkpoints.
///
/// Everything random follows from the seed and the number of the step, so that a run that goes on
/// from a checkpoint makes the same numbers, bit for bit, as one that was never interrupted. Not for
/// use by two tasks at once.
public final class Trainer {
  /// How it runs.
  public let options: TrainingOptions
  /// Steps in all.
  public let steps: Int
  /// Tokens in all.
  public let totalTokens: Int
  /// Steps made.
  public private(set) var step = 0
  /// Tokens trained on.
  public private(set) var tokens = 0
  /// The lowest loss on held-out rows, as `loss(_:rows:)` gives it, and when it was measured.
  public private(set) var best: (loss: Double, step: Int)?
  package let trained: TrainableModel
  package let pass: TrainingPass
  let data: TrainingData
  let heldOut: TrainingData?
  private var order: ExampleOrder
  private let optimizer: AdamW
  private let schedule: LearningRate
  /// Draws captions to learn from; nil where those that are given are learnt.
  private let criticism: SelfCriticism?

  /// Prepares a run. Large models take their time: memory for all that is trained is cleared.
  ///
  /// - Throws: `TrainingError` where the base cannot be trained so, or an option makes no sense.
  public init(
    _ model: Model, data: TrainingData, heldOut: TrainingData? = nil, options: TrainingOptions
  ) throws(TrainingError) {
    self.options = options
    self.data = data
    self.heldOut = heldOut
    trained = try TrainableModel(
      model, method: options.method, threads: options.threads, sharesWeights: options.savesMemory,
      seed: options.seed)
    guard !trained.parameters.isEmpty else {
      throw .option(name: "--targets", problem: "names no matrix of this model; name others")
    }
    pass = TrainingPass(trained)
    if case .agreement(let draws) = options.objective {
      guard (data.examples + (heldOut?.examples ?? [])).allSatisfy({ $0.picture != nil }) else {
        throw .option(name: "--objective", problem: "cider is of captions; give pictures")
      }
      guard (2...Decoder.directTokens).contains(draws) else {
        throw .option(name: "--draws", problem: "is \(draws); give 2 to \(Decoder.directTokens)")
      }
      criticism = SelfCriticism(trained, data, draws: draws)
    } else {
      criticism = nil
    }
    order = ExampleOrder(count: data.groups.count, seed: options.seed, shuffles: options.shuffles)
    (steps, totalTokens) = Self.length(data, options, order)
    optimizer = AdamW(weightDecay: options.weightDecay, clip: options.clip)
    schedule = LearningRate(
      largest: options.learningRate, warmup: Int((options.warmup * Double(steps)).rounded()), steps: steps)
  }

  /// Steps and tokens of the whole run; of captions that are yet to be drawn, as many as if they were like those given.
  private static func length(
    _ data: TrainingData, _ options: TrainingOptions, _ order: ExampleOrder
  ) -> (steps: Int, tokens: Int) {
    var order = order
    let size = options.rowsPerStep
    let byEpochs = max(1, Int((options.epochs * Double(data.groups.count) / Double(size)).rounded(.up)))
    let limit = options.steps ?? (options.tokens == nil ? byEpochs : Int.max)
    var steps = 0, tokens = 0
    while steps < limit, tokens < options.tokens ?? Int.max {
      for index in order.examples(step: steps, size: size) {
        let group = data.examples[data.groups[index]], given = group.reduce(0) { $0 + $1.tokens.count - 1 }
        if case .agreement(let draws) = options.objective {
          tokens += given * draws / group.count
        } else {
          tokens += given
        }
      }
      steps += 1
    }
    return (steps, tokens)
  }

  /// Whether all steps are made, or patience is at its end.
  public var isFinished: Bool { step >= steps || isOutOfPatience }

  private var isOutOfPatience: Bool {
    guard options.patience > 0, let best, options.evaluationInterval > 0 else { return false }
    return step - best.step >= options.patience * options.evaluationInterval
  }

  /// Makes the steps that are left.
  ///
  /// - Parameters:
  ///   - checkpoint: writes one; called between steps.
  ///   - keep: called when what is trained is the best so far, or at the end where nothing is
  ///     measured.
  ///   - report: called with everything that happens.
  /// - Throws: `TrainingError.notFinite` with the parameters as they were before; `CancellationError`
  ///   once the task is cancelled, after a checkpoint; what the calls throw.
  public func run(
    checkpoint: (Trainer) throws -> Void, keep: (Trainer) throws -> Void,
    report: (TrainingEvent) throws -> Void
  ) throws {
    if heldOut != nil, step == 0, options.evaluationInterval > 0 { try evaluate(keep, report) }
    while !isFinished {
      do {
        try Task.checkCancellation()
        try report(.step(try makeStep(report)))
      } catch let error as CancellationError {
        // An interrupted step has changed nothing.
        try checkpoint(self)
        throw error
      }
      let isLast = step >= steps
      if heldOut != nil, options.evaluationInterval > 0, isLast || step % options.evaluationInterval == 0 {
        try evaluate(keep, report)
      }
      let isDue = options.checkpointInterval > 0 && step % options.checkpointInterval == 0
      if isDue || isLast || Task.isCancelled {
        try checkpoint(self)
        try report(.checkpoint(step: step))
      }
    }
    if step < steps { try report(.stoppedEarly(step: step)) }
    if heldOut == nil || options.evaluationInterval == 0 { try keep(self) }
  }

  private func makeStep(_ report: (TrainingEvent) throws -> Void) throws -> TrainingStep {
    let clock = ContinuousClock(), start = clock.now
    let groups = order.examples(step: step, size: options.rowsPerStep).map {
      Array(data.examples[data.groups[$0]])
    }
    let stepSeed = options.seed &+ UInt64(step) &* 0x1_0000_0001
    let drawn = try criticism?.draw(groups, seed: stepSeed)
    let batches = batches(drawn?.groups ?? groups)
    // Where all captions of a step are as good as each other, there are no batches, and the gradient is zero.
    let weight = max(batches.reduce(0) { $0 + $1.weight }, 1e-9)
    for parameter in trained.parameters { trained.kernels.clear(parameter.gradient) }
    var loss = 0.0, done = tokens
    for (index, batch) in batches.enumerated() {
      let seed = stepSeed &+ UInt64(index) &* 0x2545_F491_4F6C_DD1D
      loss += pass.accumulate(batch, scale: 1 / weight, dropoutSeed: seed)
      done += batch.rowTokens
      try report(.progress(tokens: done, of: totalTokens))
      try Task.checkCancellation()
    }
    let norm = optimizer.norm(trained.parameters, trained.kernels), rate = schedule.rate(step)
    guard loss.isFinite, norm.isFinite else {
      throw TrainingError.notFinite(step: step + 1)
    }
    optimizer.update(
      trained.parameters, norm: norm, rate: rate, step: step + 1, trained.kernels, trained.pool)
    trained.invalidate()
    step += 1
    let stepTokens = done - tokens
    tokens = done
    return TrainingStep(
      number: step, total: steps, loss: drawn.map { -$0.agreement } ?? loss / weight, rate: rate, norm: norm,
      tokens: tokens, totalTokens: totalTokens, seconds: (clock.now - start) / .seconds(1),
      stepTokens: stepTokens)
  }

  /// With dropout each row has a beginning of its own, for what is dropped differs.
  private func batches(_ groups: [[TrainingExample]]) -> [PackedBatch] {
    func batches(_ examples: [TrainingExample]) -> [PackedBatch] {
      PackedBatch.batches(
        examples, limit: options.batchTokens, sharesBeginning: trained.dropout == 0)
    }
    // Those about one picture are laid out by themselves, for they have nearly all in common.
    return batches(groups.filter { $0.count == 1 }.flatMap(\.self))
      + groups.filter { $0.count > 1 }.flatMap(batches)
  }

  private func evaluate(
    _ keep: (Trainer) throws -> Void, _ report: (TrainingEvent) throws -> Void
  ) throws {
    guard let heldOut else { return }
    let loss = try self.loss(heldOut, rows: options.evaluationRows)
    let isBest = loss < best?.loss ?? .infinity
    if isBest {
      best = (loss, step)
      try keep(self)
    }
    try report(.evaluation(step: step, loss: loss, isBest: isBest))
  }

  /// Nats per token that counts, over the first `rows` (or pictures) of some data; 0 for all. Where captions are drawn
  /// to learn from, how well the likeliest ones agree with people's, negative.
  ///
  /// - Throws: `CancellationError`; `TrainingError` where no captions can be drawn.
  /// - Complexity: O(tokens) columns of passes.
  public func loss(_ data: TrainingData, rows: Int = 0) throws -> Double {
    let groups = (rows > 0 ? data.groups.prefix(rows) : data.groups[...]).map { Array(data.examples[$0]) }
    if let criticism { return -(try criticism.measure(groups)) }
    var loss = 0.0, weight = 0.0
    for batch in batches(groups) {
      try Task.checkCancellation()
      loss += pass.loss(batch)
      weight += batch.weight
    }
    return loss / max(weight, 1)
  }

  /// Takes up the state of a run, as a checkpoint has it.
  func restore(step: Int, tokens: Int, best: (loss: Double, step: Int)?) {
    self.step = step
    self.tokens = tokens
    self.best = best
    trained.invalidate()
  }
}
