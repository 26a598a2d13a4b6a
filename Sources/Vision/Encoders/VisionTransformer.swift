import DuetRuntime

/// What tells one vision transformer from another.
struct TransformerShape {
  let side: Int
  let patch: Int
  let width: Int
  let hidden: Int
  let heads: Int
  /// Layers that are run: LLaVA takes what the last but one makes.
  let layers: Int
  let epsilon: Float
  let activation: LayerFinish
  /// Patches of a side that the projector joins into one embedding.
  let merge: Int

  /// Patches of a side.
  var grid: Int { side / patch }
  var headSize: Int { width / heads }

  init(_ fields: VisionFields) throws(VisionError) {
    side = try fields.side()
    patch = try fields.required("patch_size", 4...128)
    width = try fields.required("embedding_length", 32...8_192)
    hidden = try fields.required("feed_forward_length", 32...32_768)
    heads = try fields.required("attention.head_count", 1...256)
    epsilon = try fields.epsilon()
    let count = try fields.required("block_count", 1...256)
    layers = fields.projector == .mlp ? count - 1 : count
    activation =
      fields.flag("clip.use_silu") ? .silu : fields.flag("clip.use_gelu") ? .geluTanh : .quickGelu
    let standard = fields.projector == .gemma3 ? 4 : 1
    merge = try fields.optional("projector.scale_factor", 1...16) ?? standard
    let path = fields.file.path
    guard side % patch == 0, grid <= 128, width % heads == 0, grid % merge == 0 else {
      throw .file(
        .invalid(
          path: path, field: "clip.vision.image_size",
          problem: "is \(side), which \(patch) pixels a patch and \(merge) patches a token don't divide"))
    }
  }
}

/// A vision transformer (arXiv 2010.11929) with norms before attention and feed-forward, and the
/// projector behind it.
final class VisionTransformer: SquareEncoder {
  let tokenCount: Int
  let width: Int
  private let shape: TransformerShape
  private let weights: TransformerWeights
  private let projector: VisionProjector
  private let run: LayerRunner

  /// Patches and, where the model has one, a class token before them.
  private let positions: Int
  private let patches: Activations
  private let stream: FloatBuffer
  private let normed: Activations
  private let query: FloatBuffer
  private let key: FloatBuffer
  private let value: FloatBuffer
  private let valueTransposed: FloatBuffer
  private let attended: Activations
  private let hidden: Activations

  init(_ fields: VisionFields, _ run: LayerRunner) throws(VisionError) {
    self.run = run
    shape = try TransformerShape(fields)
    let source = VisionWeights(file: fields.file, operations: run.operations)
    weights = try TransformerWeights(source, shape)
    let patchCount = shape.grid * shape.grid
    try fields.checkRoom(patchCount + 1, max(shape.hidden, shape.width))
    projector = try VisionProjector(fields, source, shape)
    positions = patchCount + (weights.classToken == nil ? 0 : 1)
    patches = Activations(capacity: patchCount, width: weights.patch.columns, panels: run.operations)
    stream = FloatBuffer(count: positions * shape.width)
    normed = Activations(capacity: positions, width: shape.width, panels: run.operations)
    query = FloatBuffer(count: positions * shape.width)
    key = FloatBuffer(count: positions * shape.width)
    value = FloatBuffer(count: positions * shape.width)
    valueTransposed = FloatBuffer(count: positions * shape.width)
    attended = Activations(capacity: positions, width: shape.width, panels: run.operations)
    hidden = Activations(capacity: positions, width: shape.hidden, panels: run.operations)
    tokenCount = projector.tokenCount
    width = projector.width
  }

  func encode(_ values: [Float]) -> (embeddings: [Float], things: [String]) {
    embed(values)
    if let norm = weights.norm { apply(norm, out: stream) }
    for layer in weights.layers {
      attend(layer)
      feedForward(layer)
    }
    if let norm = weights.resultNorm { apply(norm, out: stream) }
    let first = weights.classToken == nil ? 0 : shape.width
    return (projector.apply(stream, from: first, run), [])
  }

  /// Patches as vectors, the class token before them, positions added.
  private func embed(_ values: [Float]) {
    let grid = shape.grid, patch = shape.patch, side = shape.side
    run.forEach(grid * grid) { [patches] index in
      let top = index / grid * patch, left = index % grid * patch
      var out = index * patches.width
      for channel in 0..<3 {
        for y in top..<top + patch {
          for x in left..<left + patch {
            patches.values[out] = values[(y * side + x) * 3 + channel]
            out += 1
          }
        }
      }
    }
    run.apply(weights.patch, patches, tokens: grid * grid, out: Pixels(query, stride: shape.width))
    let offset = weights.classToken == nil ? 0 : 1
    for position in 0..<positions {
      let source = position < offset ? weights.classToken ?? query : query
      let from = max(0, position - offset) * shape.width, at = position * shape.width
      for index in 0..<shape.width {
        stream[at + index] = source[from + index] + weights.position[at + index]
      }
    }
  }

  private func apply(_ norm: TransformerWeights.Norm, out: FloatBuffer) {
    let width = shape.width, epsilon = shape.epsilon
    run.forEach(positions) { [stream, operations = run.operations] position in
      operations.layerNorm(
        stream, position * width..<(position + 1) * width, weight: norm.weight, bias: norm.bias,
        epsilon: epsilon, out: out, at: position * width)
    }
  }

  private func attend(_ layer: TransformerWeights.Layer) {
    let width = shape.width, size = shape.headSize, heads = shape.heads, count = positions
    apply(layer.attentionNorm, out: normed.values)
    run.apply(layer.query, normed, tokens: count, out: Pixels(query, stride: width))
    run.apply(layer.key, normed, tokens: count, out: Pixels(key, stride: width))
    run.apply(layer.value, normed, tokens: count, out: Pixels(value, stride: width))
    run.forEach(width, size: 16) { [value, valueTransposed] index in
      for token in 0..<count { valueTransposed[index * count + token] = value[token * width + index] }
    }
    let queries = Operations.attentionQueries, parts = (count + queries - 1) / queries
    run.reserve(run.operations.attentionScratch(tokens: count, headSize: size))
    run.forEachWithScratch(heads * parts) {
      [query, key, valueTransposed, attended, operations = run.operations] in
      let start = $0 % parts * queries
      operations.attendFully(
        query: query, key: key, value: valueTransposed, tokens: count,
        queries: start..<min(count, start + queries), head: $0 / parts, headSize: size, heads: heads,
        scale: 1 / Float(size).squareRoot(), scratch: $1, out: attended.values)
    }
    run.add(layer.output, attended, tokens: count, to: stream, stride: width, spare: value)
  }

  private func feedForward(_ layer: TransformerWeights.Layer) {
    apply(layer.feedForwardNorm, out: normed.values)
    run.apply(
      layer.up, normed, tokens: positions, finish: shape.activation,
      out: Pixels(hidden.values, stride: shape.hidden))
    run.add(layer.down, hidden, tokens: positions, to: stream, stride: shape.width, spare: value)
  }
}

extension LayerRunner {
  /// `out[t, :] += layer * x[t, :] + bias`; `spare` holds the product meanwhile.
  func add(
    _ layer: LinearLayer, _ x: Activations, tokens: Int, to out: FloatBuffer, stride: Int, spare: FloatBuffer
  ) {
    apply(layer, x, tokens: tokens, out: Pixels(spare, stride: stride))
    forEach(tokens) { [operations] token in
      operations.add(spare, token * stride..<(token + 1) * stride, to: out, at: token * stride)
    }
  }
}
