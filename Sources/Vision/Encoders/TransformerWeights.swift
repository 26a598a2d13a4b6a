import DuetRuntime

/// The weights of a vision transformer, named as llama.cpp does.
struct TransformerWeights {
  struct Norm {
    let weight: FloatBuffer
    let bias: FloatBuffer
  }

  /// One layer. The names in the file are `v.blk.N.` and those in parentheses.
  struct Layer {
    let attentionNorm: Norm  // (ln1)
    let query: LinearLayer  // (attn_q) [width, width]
    let key: LinearLayer  // (attn_k)
    let value: LinearLayer  // (attn_v)
    let output: LinearLayer  // (attn_out)
    let feedForwardNorm: Norm  // (ln2)
    let up: LinearLayer  // (ffn_up) [hidden, width]
    let down: LinearLayer  // (ffn_down) [width, hidden]
  }

  let patch: LinearLayer  // [width, 3 * patch * patch]
  let classToken: FloatBuffer?  // [width]
  let position: FloatBuffer  // [positions, width]
  let norm: Norm?
  let layers: [Layer]
  let resultNorm: Norm?

  init(_ source: VisionWeights, _ shape: TransformerShape) throws(VisionError) {
    let width = shape.width
    patch = try Self.patch(source, shape)
    classToken = source.has("v.class_embd") ? try source.vector("v.class_embd", width) : nil
    let positions = shape.grid * shape.grid + (classToken == nil ? 0 : 1)
    let tensor = try source.tensor("v.position_embd.weight", [width, positions])
    position = source.floats(try source.matrix(tensor))
    norm = source.has("v.pre_ln.weight") ? try Self.norm(source, "v.pre_ln", width) : nil
    resultNorm = source.has("v.post_ln.weight") ? try Self.norm(source, "v.post_ln", width) : nil
    var layers: [Layer] = []
    for index in 0..<shape.layers { layers.append(try Self.layer(index, source, shape)) }
    self.layers = layers
  }

  /// The file has [width, 3, patch, patch].
  private static func patch(_ source: VisionWeights, _ shape: TransformerShape) throws(VisionError)
    -> LinearLayer
  {
    let name = "v.patch_embd.weight", width = shape.width
    let tensor = try source.tensor(name, [shape.patch, shape.patch, 3, width])
    guard let flat = tensor.reshaped([3 * shape.patch * shape.patch, width]) else {
      throw .file(
        .wrongShape(
          path: source.file.path, tensor: name, shape: tensor.shape,
          expected: [3 * shape.patch * shape.patch, width]))
    }
    let bias = source.has("v.patch_embd.bias") ? try source.vector("v.patch_embd.bias", width) : nil
    return LinearLayer(try source.matrix(flat), bias: bias)
  }

  private static func norm(_ source: VisionWeights, _ name: String, _ width: Int) throws(VisionError) -> Norm
  {
    Norm(weight: try source.vector("\(name).weight", width), bias: try source.vector("\(name).bias", width))
  }

  private static func layer(
    _ index: Int, _ source: VisionWeights, _ shape: TransformerShape
  ) throws(VisionError) -> Layer {
    let name = "v.blk.\(index).", width = shape.width, hidden = shape.hidden
    // Early files call the two layers of the feed-forward network by each other's names.
    let swapped = hidden != width && source.file["\(name)ffn_down.weight"]?.shape == [width, hidden]
    let (up, down) = swapped ? ("ffn_down", "ffn_up") : ("ffn_up", "ffn_down")
    return Layer(
      attentionNorm: try norm(source, "\(name)ln1", width),
      query: try source.layer("\(name)attn_q", rows: width, columns: width),
      key: try source.layer("\(name)attn_k", rows: width, columns: width),
      value: try source.layer("\(name)attn_v", rows: width, columns: width),
      output: try source.layer("\(name)attn_out", rows: width, columns: width),
      feedForwardNorm: try norm(source, "\(name)ln2", width),
      up: try source.layer("\(name)\(up)", rows: hidden, columns: width),
      down: try source.layer("\(name)\(down)", rows: width, columns: hidden))
  }
}
