import DuetRuntime

/// Two layers with a Gaussian error linear unit (its tanh form, arXiv 1606.08415) between them, from a picture's
/// features to vectors of the model (as in LLaVA 1.5, arXiv 2310.03744).
package final class PictureProjector: Sendable {
  let first: Parameter  // [hidden, features]
  let firstBias: Parameter
  let second: Parameter  // [width, hidden]
  let secondBias: Parameter
  private let kernels: TrainingKernels

  package var parameters: [Parameter] { [first, firstBias, second, secondBias] }

  /// Weights uniform within 1 / sqrt(columns), biases zero.
  init(_ options: ProjectorOptions, width: Int, kernels: TrainingKernels, random: inout RandomSource) {
    self.kernels = kernels
    func parameter(_ name: String, _ shape: [Int]) -> Parameter {
      Parameter(name: name, shape: shape, kernels: kernels)
    }
    first = parameter("mm.0.weight", [options.features, options.hidden])
    firstBias = parameter("mm.0.bias", [options.hidden])
    second = parameter("mm.2.weight", [options.hidden, width])
    secondBias = parameter("mm.2.bias", [width])
    for matrix in [first, second] {
      let bound = 1 / Float(matrix.shape[0]).squareRoot()
      for index in 0..<matrix.count { matrix.value[index] = (2 * random.unit() - 1) * bound }
    }
    for bias in [firstBias, secondBias] { kernels.clear(bias.value) }
  }

  /// What the backward pass needs of the forward pass.
  struct State {
    let features: [PackedBatch.Feature]
    let x: Block  // [features, feature width]
    let sums: Block  // [features, hidden], before the unit
    let out: Block  // [features, width]
  }

  /// The vectors of all features of a batch. O(features * parameters).
  func forward(_ features: [PackedBatch.Feature], _ operations: Operations, _ pool: ThreadPool) -> State {
    let columns = first.shape[0], hidden = first.shape[1]
    let x = Block.matrix(features.count, columns), sums = Block.matrix(features.count, hidden)
    let activated = Block.matrix(features.count, hidden), out = Block.matrix(features.count, second.shape[1])
    for (row, feature) in features.enumerated() {
      kernels.copy(feature.values, feature.start..<feature.start + columns, to: x.buffer, at: row * columns)
    }
    apply(first, firstBias, x, into: sums, pool)
    let ones = ones(hidden)
    for row in 0..<features.count {
      operations.gate(
        .gelu, sums.buffer, sums.range(row), up: ones, 0..<hidden, out: activated.buffer,
        at: activated.range(row).lowerBound)
    }
    apply(second, secondBias, activated, into: out, pool)
    return State(features: features, x: x, sums: sums, out: out)
  }

  private func apply(_ weight: Parameter, _ bias: Parameter, _ x: Block, into out: Block, _ pool: ThreadPool)
  {
    pool.multiply(x, by: weight.block, bTransposed: true, into: out)
    for row in 0..<out.rows {
      kernels.add(bias.value, 0..<bias.count, to: out.buffer, at: out.range(row).lowerBound)
    }
  }

  private func ones(_ count: Int) -> FloatBuffer {
    let ones = FloatBuffer(count: count)
    for index in 0..<count { ones[index] = 1 }
    return ones
  }

  /// Adds the gradients for `d`, [features, width], that of the vectors. Takes the place of the state's sums.
  func backward(_ state: State, _ d: Block, _ pool: ThreadPool) {
    let hidden = first.shape[1]
    let dHidden = Block.matrix(d.rows, hidden), activated = Block.matrix(d.rows, hidden)
    pool.multiply(d, by: second.block, into: dHidden)
    let up = FloatBuffer(count: hidden)
    for row in 0..<d.rows {
      for index in 0..<hidden { up[index] = 1 }
      kernels.gateBackward(
        .gelu, gate: state.sums.buffer, state.sums.range(row), up: up, 0..<hidden, d: dHidden.buffer,
        dHidden.range(row), inner: activated.buffer, at: activated.range(row).lowerBound)
    }
    accumulate(second, secondBias, activated, d, pool)
    accumulate(first, firstBias, state.x, state.sums, pool)
  }

  private func accumulate(_ weight: Parameter, _ bias: Parameter, _ x: Block, _ d: Block, _ pool: ThreadPool)
  {
    pool.multiply(d, aTransposed: true, by: x, into: weight.gradientBlock, beta: 1)
    for row in 0..<d.rows { kernels.add(d.buffer, d.range(row), to: bias.gradient, at: 0) }
  }
}
