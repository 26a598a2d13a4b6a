import DuetRuntime

/// Numbers that training changes, their gradient, and AdamW's two moments of it.
package final class Parameter: Sendable {
  /// As files name it, such as `blk.0.attn_q.weight.lora_a`.
  package let name: String
  /// Elements along each dimension, the contiguous one first (the file's order).
  package let shape: [Int]
  package let value: FloatBuffer
  package let gradient: FloatBuffer
  package let mean: FloatBuffer
  package let square: FloatBuffer
  /// Whether weight decay applies: to matrices, not to norms and biases.
  package let decays: Bool

  /// A parameter whose value is yet to be written; gradient and moments are zero.
  init(name: String, shape: [Int], kernels: TrainingKernels) {
    let count = shape.reduce(1, *)
    self.name = name
    self.shape = shape
    decays = shape.count > 1
    value = FloatBuffer(count: count)
    gradient = FloatBuffer(count: count)
    mean = FloatBuffer(count: count)
    square = FloatBuffer(count: count)
    for buffer in [gradient, mean, square] { kernels.clear(buffer) }
  }

  package var count: Int { value.count }
  /// The value as a matrix.
  var block: Block { matrix(value) }
  var gradientBlock: Block { matrix(gradient) }

  private func matrix(_ buffer: FloatBuffer) -> Block {
    Block(buffer, rows: count / shape[0], columns: shape[0])
  }
}

/// A vector of weights: a norm, or a bias.
struct WeightVector: Sendable {
  let values: FloatBuffer
  /// The same values, where they are trained.
  let parameter: Parameter?
}

/// The factors of LoRA (arXiv 2106.09685): W x + scale * B (A x).
package struct LowRankPair: Sendable {
  package let a: Parameter  // [rank, columns]
  package let b: Parameter  // [rows, rank]
  package let scale: Float

  var rank: Int { b.shape[0] }
}

/// A weight matrix that activations are multiplied by.
package final class Projection: Sendable {
  /// As files name it, without `.weight`.
  package let name: String
  let rows: Int
  let columns: Int
  /// Where the frozen weights lie.
  let source: Matrix
  let bias: WeightVector?
  package let lowRank: LowRankPair?
  /// The weights themselves, where they are trained.
  let parameter: Parameter?
  /// The weights in force, [rows, columns]: of the file, or trained, or with the low-rank change
  /// added. Layers may share it, see `TrainableModel.prepare`.
  let weight: FloatBuffer

  init(
    name: String, source: Matrix, bias: WeightVector?, lowRank: LowRankPair?, parameter: Parameter?,
    weight: FloatBuffer
  ) {
    self.name = name
    self.source = source
    rows = source.rows
    columns = source.columns
    self.bias = bias
    self.lowRank = lowRank
    self.parameter = parameter
    self.weight = parameter?.value ?? weight
  }

  var block: Block { Block(weight, rows: rows, columns: columns) }
}
