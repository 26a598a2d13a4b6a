import DuetRuntime

/// The loss of one target.
struct TargetLoss {
  /// -log p, in nats.
  let nll: Double
  /// Times its weight.
  let loss: Double
}

extension TrainingPass {
  /// Bytes that logits may take at a time.
  private static let logitBytes = 64 << 20
  /// Rows of the vocabulary that are dequantized at a time, for each thread.
  private static let panelRows = 512

  /// The loss of every target; with `gradientScale` also the gradient of the last layer's result, in
  /// its place. The vocabulary is multiplied by the positions of targets only.
  func outputLoss(_ batch: PackedBatch, gradientScale: Double?) -> [TargetLoss] {
    let most = max(1, min(512, Self.logitBytes / (4 * config.vocabularySize)))
    var losses: [TargetLoss] = []
    // The gradient takes the place of the hidden states, which each part reads before it writes.
    let states = gather(batch)
    if gradientScale != nil {
      kernels.clear(scratch.hidden, 0..<batch.places.count * shape.width)
    }
    for start in stride(from: 0, to: batch.targets.count, by: most) {
      let part = start..<min(batch.targets.count, start + most)
      losses += outputLoss(
        batch.targets[part], states.rows(part), gradientScale: gradientScale)
    }
    return losses
  }

  /// The last layer's results where targets are predicted, [targets, embedding].
  private func gather(_ batch: PackedBatch) -> Block {
    let states = Block.matrix(batch.targets.count, shape.width)
    for (index, target) in batch.targets.enumerated() {
      kernels.copy(scratch.hidden, range(target.place), to: states.buffer, at: index * shape.width)
    }
    return states
  }

  private func outputLoss(
    _ targets: ArraySlice<PackedBatch.Target>, _ states: Block, gradientScale: Double?
  ) -> [TargetLoss] {
    let normed = Block.matrix(states.rows, shape.width)
    let logits = Block.matrix(states.rows, config.vocabularySize)
    for row in 0..<states.rows {
      operations.normalize(
        states.buffer, states.range(row), weight: trained.outputNorm.values, epsilon: config.normEpsilon,
        out: normed.buffer, at: normed.range(row).lowerBound)
    }
    forEachPanel { rows, weights in
      MatrixProduct.multiply(normed, by: weights, bTransposed: true, into: logits.columns(rows))
    }
    let nlls = SharedDoubles(count: states.rows)
    pool.run(states.rows) { [self] row, _ in
      let target = targets[targets.startIndex + row]
      nlls[row] = kernels.crossEntropy(
        logits.buffer, logits.range(row), target: Int(target.token),
        weight: Float(Double(target.weight) * (gradientScale ?? 0)), softcap: config.finalSoftcap)
    }
    if gradientScale != nil { outputBackward(targets, states, normed, logits) }
    return targets.enumerated().map { row, target in
      TargetLoss(nll: nlls[row], loss: nlls[row] * Double(target.weight))
    }
  }

  /// Calls `body` with rows of the vocabulary and their weights, shared out among the threads.
  private func forEachPanel(_ body: (_ rows: Range<Int>, _ weights: Block) -> Void) {
    let width = shape.width
    let panels = (0..<pool.threadCount).map { _ in
      FloatBuffer(count: trained.outputParameter == nil ? Self.panelRows * width : 0)
    }
    let count = (config.vocabularySize + Self.panelRows - 1) / Self.panelRows
    pool.run(count) { [self] index, worker in
      let rows = index * Self.panelRows..<min(config.vocabularySize, (index + 1) * Self.panelRows)
      if let parameter = trained.outputParameter { return body(rows, parameter.block.rows(rows)) }
      dequantize(rows, into: panels[worker])
      body(rows, Block(panels[worker], rows: rows.count, columns: width))
    }
  }

  private func dequantize(_ rows: Range<Int>, into panel: FloatBuffer) {
    for (index, row) in rows.enumerated() {
      operations.dequantize(trained.output, row: row, out: panel, at: index * shape.width)
    }
  }

  private func outputBackward(
    _ targets: ArraySlice<PackedBatch.Target>, _ states: Block, _ normed: Block, _ dLogits: Block
  ) {
    if let parameter = trained.outputParameter {
      pool.multiply(dLogits, aTransposed: true, by: normed, into: parameter.gradientBlock, beta: 1)
    }
    let d = vocabularyGradient(dLogits)
    for (row, target) in targets.enumerated() {
      kernels.normalizeBackward(
        states.buffer, states.range(row), weight: trained.outputNorm.values, dy: d.buffer, d.range(row),
        epsilon: config.normEpsilon, dx: scratch.hidden, at: range(target.place).lowerBound,
        dweight: trained.outputNorm.parameter.map { ($0.gradient, 0) })
    }
  }

  /// dLogits times the vocabulary, [targets, embedding]: a sum over panels, each of which all threads
  /// dequantize together and then multiply by columns of their own.
  private func vocabularyGradient(_ dLogits: Block) -> Block {
    let out = Block.matrix(dLogits.rows, shape.width)
    kernels.clear(out.buffer)
    if let parameter = trained.outputParameter {
      pool.multiply(dLogits, by: parameter.block, into: out)
      return out
    }
    let size = 8 * Self.panelRows
    let panel = FloatBuffer(count: size * shape.width)
    for start in stride(from: 0, to: config.vocabularySize, by: size) {
      let rows = start..<min(config.vocabularySize, start + size)
      pool.forEachPart(rows.count, size: 64) { [self] _, part in
        for index in part {
          operations.dequantize(
            trained.output, row: start + index, out: panel, at: index * shape.width)
        }
      }
      pool.multiply(
        dLogits.columns(rows), by: Block(panel, rows: rows.count, columns: shape.width), into: out, beta: 1)
    }
    return out
  }
}

/// Numbers in double precision that several threads write, each its own.
final class SharedDoubles: @unchecked Sendable {
  private let storage: FloatBuffer

  init(count: Int) { storage = FloatBuffer(count: 2 * count) }

  subscript(index: Int) -> Double {
    get {
      let low = storage[2 * index].bitPattern, high = storage[2 * index + 1].bitPattern
      return Double(bitPattern: UInt64(high) << 32 | UInt64(low))
    }
    set {
      storage[2 * index] = Float(bitPattern: UInt32(truncatingIfNeeded: newValue.bitPattern))
      storage[2 * index + 1] = Float(bitPattern: UInt32(truncatingIfNeeded: newValue.bitPattern >> 32))
    }
  }
}
