import DuetRuntime

/// Turns the patches of a vision transformer into embeddings of the language model.
struct VisionProjector {
  private enum Kind {
    case mlp(first: LinearLayer, second: LinearLayer, hidden: Activations)
    case shuffled(LinearLayer)
    case averaged(norm: FloatBuffer, LinearLayer)
  }

  let tokenCount: Int
  let width: Int
  private let kind: Kind
  private let shape: TransformerShape
  private let joined: Activations
  private let out: FloatBuffer
  private static let widths = 32...65_536

  init(
    _ fields: VisionFields, _ source: VisionWeights, _ shape: TransformerShape
  ) throws(VisionError) {
    self.shape = shape
    let merged = shape.grid / shape.merge
    switch fields.projector {
    case .idefics3:
      let layer = try Self.layer(source, "mm.model.fc", columns: shape.width * shape.merge * shape.merge)
      (kind, width, tokenCount) = (.shuffled(layer), layer.rows, merged * merged)
      joined = Activations(capacity: tokenCount, width: layer.columns, panels: source.operations)
    case .gemma3:
      let layer = try Self.transposed(source, columns: shape.width)
      let norm = try source.vector("mm.soft_emb_norm.weight", shape.width)
      (kind, width, tokenCount) = (.averaged(norm: norm, layer), layer.rows, merged * merged)
      joined = Activations(capacity: tokenCount, width: layer.columns, panels: source.operations)
    case .mlp, .efficientNet:
      let first = try Self.layer(source, "mm.0", columns: shape.width)
      let second = try Self.layer(source, "mm.2", columns: first.rows)
      tokenCount = shape.grid * shape.grid
      try fields.checkRoom(tokenCount, first.rows)
      let hidden = Activations(capacity: tokenCount, width: first.rows, panels: source.operations)
      (kind, width) = (.mlp(first: first, second: second, hidden: hidden), second.rows)
      joined = Activations(capacity: tokenCount, width: shape.width, panels: source.operations)
    }
    try fields.checkRoom(tokenCount, width)
    out = FloatBuffer(count: tokenCount * width)
  }

  /// A layer whose rows the file decides.
  static func layer(
    _ source: VisionWeights, _ name: String, columns: Int
  ) throws(VisionError) -> LinearLayer {
    try source.layer(name, rows: rows(source, "\(name).weight"), columns: columns)
  }

  private static func rows(_ source: VisionWeights, _ name: String) throws(VisionError) -> Int {
    guard let tensor = source.file[name] else {
      throw .file(.missingTensor(path: source.file.path, tensor: name))
    }
    guard tensor.shape.count == 2, widths.contains(tensor.rows), widths.contains(tensor.columns) else {
      throw .file(
        .invalid(path: source.file.path, field: "tensor \(name)", problem: "has the shape \(tensor.shape)"))
    }
    return tensor.rows
  }

  /// Gemma's layer lies in the file by columns: [columns, rows].
  private static func transposed(_ source: VisionWeights, columns: Int) throws(VisionError) -> LinearLayer {
    let name = "mm.input_projection.weight"
    _ = try rows(source, name)
    let rows = source.file[name]?.columns ?? 0
    let values = source.floats(try source.matrix(source.tensor(name, [rows, columns])))
    let turned = FloatBuffer(count: values.count)
    for row in 0..<rows {
      for column in 0..<columns { turned[row * columns + column] = values[column * rows + row] }
    }
    return LinearLayer(turned, rows: rows, columns: columns)
  }

  /// The embeddings of the patches that begin at `first` of `stream`, [tokens, width].
  func apply(_ stream: FloatBuffer, from first: Int, _ run: LayerRunner) -> [Float] {
    switch kind {
    case .mlp(let one, let two, let hidden):
      join(stream, from: first)
      run.apply(one, joined, tokens: tokenCount, finish: .gelu, out: Pixels(hidden.values, stride: one.rows))
      run.apply(two, hidden, tokens: tokenCount, out: Pixels(out, stride: width))
    case .shuffled(let layer):
      join(stream, from: first)
      run.apply(layer, joined, tokens: tokenCount, out: Pixels(out, stride: width))
    case .averaged(let norm, let layer):
      average(stream)
      for token in 0..<tokenCount {
        let range = joined.range(token)
        run.operations.normalize(
          joined.values, range, weight: norm, epsilon: shape.epsilon, out: joined.values, at: range.lowerBound
        )
      }
      run.apply(layer, joined, tokens: tokenCount, out: Pixels(out, stride: width))
    }
    return out.array(0..<tokenCount * width)
  }

  /// The patches of each square of merge x merge side by side, row by row.
  private func join(_ stream: FloatBuffer, from first: Int) {
    let merge = joined.width / shape.width == 1 ? 1 : shape.merge
    let merged = shape.grid / merge, width = shape.width
    for token in 0..<tokenCount {
      for part in 0..<merge * merge {
        let row = token / merged * merge + part / merge, column = token % merged * merge + part % merge
        let from = first + (row * shape.grid + column) * width, at = token * joined.width + part * width
        for index in 0..<width { joined.values[at + index] = stream[from + index] }
      }
    }
  }

  /// The mean of each square of merge x merge patches.
  private func average(_ stream: FloatBuffer) {
    let merge = shape.merge, merged = shape.grid / merge, width = shape.width
    let share = 1 / Float(merge * merge)
    for token in 0..<tokenCount {
      let at = token * width
      for index in 0..<width { joined.values[at + index] = 0 }
      for part in 0..<merge * merge {
        let row = token / merged * merge + part / merge, column = token % merged * merge + part % merge
        let from = (row * shape.grid + column) * width
        for index in 0..<width { joined.values[at + index] += share * stream[from + index] }
      }
    }
  }
}
