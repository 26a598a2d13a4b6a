import DuetRuntime

/// One layer's weights, as training sees them.
struct TrainableLayer: Sendable {
  let attentionNorm: WeightVector
  /// Queries, keys and values: three matrices, or one with the rows of all.
  let inputs: [Projection]
  let queryNorm: WeightVector?
  let keyNorm: WeightVector?
  let output: Projection
  let attentionResultNorm: WeightVector?
  let feedForwardNorm: WeightVector
  /// Gate and up: two matrices, or one with the rows of both.
  let gateUp: [Projection]
  let down: Projection
  let feedForwardResultNorm: WeightVector?

  var projections: [Projection] { inputs + [output] + gateUp + [down] }
}

/// Finds the weights of a model's file and makes the parameters that a method trains.
struct LayerBuilder {
  let file: GGUFFile
  let config: DecoderConfig
  let operations: Operations
  let kernels: TrainingKernels
  let method: TrainingMethod
  /// Weights of a layer that others may share, by the name within the layer; nil for each its own.
  var shared: [String: FloatBuffer]?
  /// Draws the first factors, in the order of the layers.
  var random: RandomSource
  private(set) var parameters: [Parameter] = []

  init(
    model: Model, kernels: TrainingKernels, method: TrainingMethod, sharesWeights: Bool, seed: UInt64
  ) {
    file = model.file
    config = model.config
    operations = model.core.operations
    self.kernels = kernels
    self.method = method
    shared = sharesWeights ? [:] : nil
    random = RandomSource(seed: seed)
  }

  mutating func layer(_ index: Int) throws(ModelError) -> TrainableLayer {
    let width = config.embeddingLength, hidden = config.feedForwardLength
    let queries = config.headCount * config.headSize, keys = config.keyValueHeadCount * config.headSize
    let fusedInput = file["blk.\(index).attn_qkv.weight"] != nil
    let fusedGate = file["blk.\(index).ffn_gate.weight"] == nil
    let inputs =
      fusedInput
      ? [("attn_qkv", queries + 2 * keys)] : [("attn_q", queries), ("attn_k", keys), ("attn_v", keys)]
    let gateUp = fusedGate ? [("ffn_up", 2 * hidden)] : [("ffn_gate", hidden), ("ffn_up", hidden)]
    let attentionNorm = try vector(index, "attn_norm", width)
    let inputProjections = try projections(index, inputs, columns: width)
    let queryNorm = config.normalizesHeads ? try vector(index, "attn_q_norm", config.headSize) : nil
    let keyNorm = config.normalizesHeads ? try vector(index, "attn_k_norm", config.headSize) : nil
    let output = try projection(index, "attn_output", rows: width, columns: queries)
    let resultNorm = config.normalizesResults ? try vector(index, "post_attention_norm", width) : nil
    let feedForwardNorm = try vector(index, "ffn_norm", width)
    let gateProjections = try projections(index, gateUp, columns: width)
    let down = try projection(index, "ffn_down", rows: width, columns: hidden)
    return TrainableLayer(
      attentionNorm: attentionNorm, inputs: inputProjections, queryNorm: queryNorm, keyNorm: keyNorm,
      output: output, attentionResultNorm: resultNorm, feedForwardNorm: feedForwardNorm,
      gateUp: gateProjections, down: down,
      feedForwardResultNorm: config.normalizesResults ? try vector(index, "post_ffw_norm", width) : nil)
  }

  private mutating func projections(
    _ layer: Int, _ parts: [(name: String, rows: Int)], columns: Int
  ) throws(ModelError) -> [Projection] {
    var all: [Projection] = []
    for part in parts { all.append(try projection(layer, part.name, rows: part.rows, columns: columns)) }
    return all
  }

  private mutating func projection(
    _ layer: Int, _ part: String, rows: Int, columns: Int
  ) throws(ModelError) -> Projection {
    let name = "blk.\(layer).\(part)"
    let source = try matrix(name, rows: rows, columns: columns)
    let isFull = method.isFull
    let bias = file["\(name).bias"] == nil ? nil : try vector("\(name).bias", rows)
    return Projection(
      name: name, source: source, bias: bias, lowRank: isFull ? nil : lowRank(part, source),
      parameter: isFull ? trained(source) : nil, weight: isFull ? FloatBuffer(count: 0) : weight(part, source)
    )
  }

  private mutating func weight(_ part: String, _ source: Matrix) -> FloatBuffer {
    if let known = shared?[part] { return known }
    let new = FloatBuffer(count: source.rows * source.columns)
    if shared != nil { shared?[part] = new }
    return new
  }

  func matrix(_ name: String, rows: Int, columns: Int) throws(ModelError) -> Matrix {
    do {
      return try Matrix(file.tensor("\(name).weight", shape: [columns, rows]))
    } catch {
      throw .file(error)
    }
  }

  private mutating func vector(
    _ layer: Int, _ part: String, _ count: Int
  ) throws(ModelError) -> WeightVector {
    try vector("blk.\(layer).\(part).weight", count)
  }

  /// A vector by its whole name.
  mutating func vector(_ name: String, _ count: Int) throws(ModelError) -> WeightVector {
    let matrix: Matrix
    do { matrix = try Matrix(file.tensor(name, shape: [count])) } catch { throw .file(error) }
    guard method.isFull else {
      let values = FloatBuffer(count: count)
      operations.dequantize(matrix, row: 0, out: values, at: 0)
      return WeightVector(values: values, parameter: nil)
    }
    let parameter = Parameter(name: name, shape: [count], kernels: kernels)
    operations.dequantize(matrix, row: 0, out: parameter.value, at: 0)
    parameters.append(parameter)
    return WeightVector(values: parameter.value, parameter: parameter)
  }

  /// A matrix of the file that is trained itself.
  mutating func trained(_ source: Matrix) -> Parameter {
    let parameter = Parameter(name: source.name, shape: [source.columns, source.rows], kernels: kernels)
    for row in 0..<source.rows {
      operations.dequantize(source, row: row, out: parameter.value, at: row * source.columns)
    }
    parameters.append(parameter)
    return parameter
  }

  /// A is uniform within 1 / sqrt(columns), B is zero: the model is unchanged at first.
  private mutating func lowRank(_ part: String, _ source: Matrix) -> LowRankPair? {
    guard let options = method.lora, options.adapts(part) else { return nil }
    let rank = options.rank, bound = 1 / Float(source.columns).squareRoot()
    let a = Parameter(
      name: "\(source.name).lora_a", shape: [source.columns, rank], kernels: kernels)
    let b = Parameter(name: "\(source.name).lora_b", shape: [rank, source.rows], kernels: kernels)
    for index in 0..<a.count { a.value[index] = (2 * random.unit() - 1) * bound }
    kernels.clear(b.value)
    parameters += [a, b]
    return LowRankPair(a: a, b: b, scale: options.alpha / Float(rank))
  }
}
