import DuetRuntime

/// A decoder whose weights, or low-rank changes to them, can be trained.
///
/// Frozen weights stay in the mapped file. What a product needs of them is written as single
/// precision beforehand, the low-rank change already added: of all layers once per step, or of one
/// layer at a time where memory is short.
package final class TrainableModel {
  package let model: Model
  package let method: TrainingMethod
  /// What training changes, in the order of the layers.
  package let parameters: [Parameter]
  /// Those of the decoder among them.
  let decoderParameters: [Parameter]
  let layers: [TrainableLayer]
  let embedding: Matrix
  let outputNorm: WeightVector
  let output: Matrix
  /// Embedding and output where they are trained; the same object where they are tied.
  let embeddingParameter: Parameter?
  let outputParameter: Parameter?
  /// What turns features of pictures into vectors, where it is trained.
  package let projector: PictureProjector?
  package let kernels: TrainingKernels
  let pool: ThreadPool
  private let sharesWeights: Bool
  private var isPrepared = false

  var config: DecoderConfig { model.config }
  var operations: Operations { model.core.operations }

  /// Finds the weights and makes the parameters.
  ///
  /// - Parameters:
  ///   - model: the base.
  ///   - method: what is trained.
  ///   - threads: that compute; a given number always gives the same results.
  ///   - sharesWeights: whether only one layer's weights are held at a time.
  ///   - seed: of the first factors.
  /// - Throws: `TrainingError.quantizedBase` for full training of quantized weights, or `.model`.
  package init(
    _ model: Model, method: TrainingMethod, threads: Int, sharesWeights: Bool = false, seed: UInt64 = 1
  ) throws(TrainingError) {
    if method.isFull { try Self.refuseQuantized(model) }
    self.model = model
    self.method = method
    let kernels = TrainingKernels(tier: model.kernels)
    self.kernels = kernels
    self.sharesWeights = sharesWeights && !method.isFull
    pool = ThreadPool(threadCount: threads)
    var builder = LayerBuilder(
      model: model, kernels: kernels, method: method, sharesWeights: self.sharesWeights, seed: seed)
    let config = model.config
    do {
      let hasOutput = model.file["output.weight"] != nil
      let rows = config.vocabularySize, columns = config.embeddingLength
      embedding = try builder.matrix("token_embd", rows: rows, columns: columns)
      output = hasOutput ? try builder.matrix("output", rows: rows, columns: columns) : embedding
      let trained = method.isFull ? builder.trained(embedding) : nil
      embeddingParameter = trained
      outputParameter = method.isFull && hasOutput ? builder.trained(output) : trained
      var layers: [TrainableLayer] = []
      for index in 0..<config.layerCount { layers.append(try builder.layer(index)) }
      self.layers = layers
      outputNorm = try builder.vector("output_norm.weight", config.embeddingLength)
    } catch {
      throw .model(error)
    }
    decoderParameters = builder.parameters
    if case .projector(let options) = method {
      projector = PictureProjector(
        options, width: model.config.embeddingLength, kernels: kernels, random: &builder.random)
    } else {
      projector = nil
    }
    parameters = decoderParameters + (projector?.parameters ?? [])
  }

  private static func refuseQuantized(_ model: Model) throws(TrainingError) {
    guard let tensor = model.file.tensors.first(where: { $0.type.isQuantized }) else { return }
    throw .quantizedBase(path: model.file.path, tensor: tensor.name, type: tensor.type.name)
  }

  /// Numbers that are trained.
  package var trainedCount: Int { parameters.reduce(0) { $0 + $1.count } }

  /// Whether the change goes through products of its own, because its inputs are dropped out.
  var dropout: Float {
    method.lora?.dropout ?? 0
  }

  /// To be called when parameters have changed.
  package func invalidate() { isPrepared = false }

  /// Writes the weights in force of all layers, unless they are.
  func prepare() {
    guard !sharesWeights, !isPrepared else { return }
    materialize(layers.flatMap(\.projections))
    isPrepared = true
  }

  /// Writes the weights in force of one layer where layers share their memory.
  func prepare(layer: Int) {
    if sharesWeights { materialize(layers[layer].projections) }
  }

  private func materialize(_ projections: [Projection]) {
    let size = 64
    let work = projections.filter { $0.parameter == nil }.flatMap { projection in
      stride(from: 0, to: projection.rows, by: size).map {
        (projection: projection, rows: $0..<min(projection.rows, $0 + size))
      }
    }
    pool.run(work.count) { index, _ in materialize(work[index].projection, work[index].rows) }
  }

  private func materialize(_ projection: Projection, _ rows: Range<Int>) {
    let columns = projection.columns
    for row in rows {
      operations.dequantize(projection.source, row: row, out: projection.weight, at: row * columns)
      guard let pair = projection.lowRank, dropout == 0 else { continue }
      for index in 0..<pair.rank {
        kernels.add(
          pair.a.value, index * columns..<(index + 1) * columns,
          times: pair.scale * pair.b.value[row * pair.rank + index], to: projection.weight, at: row * columns)
      }
    }
  }
}
