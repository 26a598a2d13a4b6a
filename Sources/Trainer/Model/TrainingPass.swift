import DuetRuntime

/// Forward and backward through a decoder for packed batches, in single precision.
///
/// The same function as the runtime's decoder with `ActivationType.float32`, but for roundings.
/// Work is split by tokens, heads and columns in a fixed way: a given number of threads always gives
/// the same bits. Not for use by two tasks at once.
package final class TrainingPass {
  /// Queries whose scores are computed together.
  static let queryBlock = 64
  /// Tokens that one thread takes at a time in loops over single tokens.
  static let tokenPart = 32

  package let trained: TrainableModel
  let config: DecoderConfig
  let shape: LayerShape
  var saved: [SavedLayer] = []
  var scratch: TrainingScratch
  var angles: RotaryAngles
  var localAngles: RotaryAngles?
  private var capacity = 0
  private var rowCapacity = 0
  /// Where dropout draws from in this pass; nil for none, as in evaluation.
  var dropoutSeed: UInt64?
  /// Of the pictures of the present batch.
  private var pictures: PictureProjector.State?

  var pool: ThreadPool { trained.pool }
  var operations: Operations { trained.operations }
  var kernels: TrainingKernels { trained.kernels }

  /// Buffers grow with the batches.
  package init(_ trained: TrainableModel) {
    self.trained = trained
    config = trained.config
    shape = LayerShape(config)
    scratch = TrainingScratch(config, tokens: 0, longestRow: 0, rank: 0, drops: false, threads: 0)
    angles = RotaryAngles(config.rotary, positions: 0)
  }

  /// The loss of a batch, the sum of weight times negative log likelihood, in nats.
  package func loss(_ batch: PackedBatch) -> Double {
    dropoutSeed = nil
    forward(batch)
    return outputLoss(batch, gradientScale: nil).reduce(0) { $0 + $1.loss }
  }

  /// The negative log likelihood of each target, in nats.
  package func losses(_ batch: PackedBatch) -> [Double] {
    dropoutSeed = nil
    forward(batch)
    return outputLoss(batch, gradientScale: nil).map(\.nll)
  }

  /// Adds the gradient of `scale` times the loss to the parameters' gradients. Returns the loss.
  ///
  /// - Parameter dropoutSeed: what is dropped out, where the method drops anything.
  package func accumulate(_ batch: PackedBatch, scale: Double, dropoutSeed: UInt64 = 0) -> Double {
    self.dropoutSeed = trained.dropout > 0 ? dropoutSeed : nil
    forward(batch)
    let losses = outputLoss(batch, gradientScale: scale)
    for layer in trained.layers.indices.reversed() { backward(layer, batch) }
    embedBackward(batch)
    return losses.reduce(0) { $0 + $1.loss }
  }

  private func forward(_ batch: PackedBatch) {
    grow(batch)
    trained.prepare()
    embed(batch)
    for layer in trained.layers.indices { forward(layer, batch) }
  }

  private func grow(_ batch: PackedBatch) {
    let shared = batch.segments.count * batch.beginning * 2 * shape.keys
    defer { if scratch.shared.count < shared { scratch.shared = FloatBuffer(count: shared) } }
    let longest = max(rowCapacity, batch.longestRow)
    guard batch.tokens.count > capacity || longest > rowCapacity else { return }
    capacity = max(capacity, batch.tokens.count)
    // Before the new ones are made, or both would take memory at once.
    saved = []
    scratch = TrainingScratch(config, tokens: 0, longestRow: 0, rank: 0, drops: false, threads: 0)
    let rank = trained.layers.flatMap(\.projections).compactMap(\.lowRank?.rank).max() ?? 0
    scratch = TrainingScratch(
      config, tokens: capacity, longestRow: longest, rank: rank, drops: trained.dropout > 0,
      threads: pool.threadCount)
    saved = (0..<config.layerCount).map { _ in SavedLayer(config, tokens: capacity) }
    guard longest > rowCapacity else { return }
    rowCapacity = longest
    angles = RotaryAngles(config.rotary, positions: longest)
    localAngles = config.localRotary.map { RotaryAngles($0, positions: longest) }
  }

  /// Calls `body` for each token, shared out among the threads.
  func forEachToken(_ count: Int, _ body: (Int) -> Void) {
    pool.forEachPart(count, size: Self.tokenPart) { _, range in
      for token in range { body(token) }
    }
  }

  func range(_ token: Int) -> Range<Int> { token * shape.width..<(token + 1) * shape.width }

  private func embed(_ batch: PackedBatch) {
    let out = saved.first?.input ?? scratch.hidden
    placePictures(batch, into: out)
    forEachToken(batch.tokens.count) { [self] token in
      guard batch.tokens[token] >= 0 else { return }
      let row = row(batch.tokens[token]), range = range(token)
      if let parameter = trained.embeddingParameter {
        kernels.copy(
          parameter.value, row * shape.width..<(row + 1) * shape.width, to: out, at: range.lowerBound)
      } else {
        operations.dequantize(trained.embedding, row: row, out: out, at: range.lowerBound)
      }
      guard config.embeddingScale != 1 else { return }
      for index in range { out[index] *= config.embeddingScale }
    }
  }

  private func placePictures(_ batch: PackedBatch, into out: FloatBuffer) {
    pictures = nil
    let features = batch.features
    guard let projector = trained.projector, !features.isEmpty else { return }
    let state = projector.forward(features, operations, pool)
    for (row, feature) in features.enumerated() {
      kernels.copy(state.out.buffer, state.out.range(row), to: out, at: range(feature.position).lowerBound)
    }
    pictures = state
  }

  private func placePicturesBackward() {
    guard let projector = trained.projector, let state = pictures else { return }
    let d = Block.matrix(state.features.count, shape.width)
    for (row, feature) in state.features.enumerated() {
      kernels.copy(scratch.hidden, range(feature.position), to: d.buffer, at: d.range(row).lowerBound)
    }
    projector.backward(state, d, pool)
    pictures = nil
  }

  private func row(_ token: Int32) -> Int { min(max(0, Int(token)), config.vocabularySize - 1) }

  /// Token by token in order, for a token may occur often.
  private func embedBackward(_ batch: PackedBatch) {
    placePicturesBackward()
    guard let parameter = trained.embeddingParameter else { return }
    for (index, token) in batch.tokens.enumerated() {
      kernels.add(
        scratch.hidden, range(index), times: config.embeddingScale, to: parameter.gradient,
        at: row(token) * shape.width)
    }
  }
}
