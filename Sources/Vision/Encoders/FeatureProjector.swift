import DuetRuntime

/// Two layers with a Gaussian error linear unit between them, which turn a convolutional encoder's features into
/// embeddings of the language model (as in LLaVA 1.5, arXiv 2310.03744): what `duet train --vision` makes.
struct FeatureProjector {
  let width: Int
  private let first: LinearLayer
  private let second: LinearLayer
  private let input: Activations
  private let hidden: Activations
  private let out: FloatBuffer

  /// Finds `mm.0` and `mm.2`; nil where the file has neither.
  init?(
    _ fields: VisionFields, _ weights: VisionWeights, tokens: Int, columns: Int
  ) throws(VisionError) {
    guard weights.has("mm.0.weight") || weights.has("mm.2.weight") else { return nil }
    first = try VisionProjector.layer(weights, "mm.0", columns: columns)
    second = try VisionProjector.layer(weights, "mm.2", columns: first.rows)
    width = second.rows
    try fields.checkRoom(tokens, first.rows)
    try fields.checkRoom(tokens, width)
    input = Activations(capacity: tokens, width: columns, panels: weights.operations)
    hidden = Activations(capacity: tokens, width: first.rows, panels: weights.operations)
    out = FloatBuffer(count: tokens * width)
  }

  /// The embeddings of `features`, [tokens, columns] to [tokens, width].
  func apply(_ features: FloatBuffer, _ run: LayerRunner) -> [Float] {
    for index in 0..<features.count { input.values[index] = features[index] }
    run.apply(
      first, input, tokens: input.capacity, finish: .geluTanh,
      out: Pixels(hidden.values, stride: hidden.width))
    run.apply(second, hidden, tokens: input.capacity, out: Pixels(out, stride: width))
    return out.array(0..<out.count)
  }
}
