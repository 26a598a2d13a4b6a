/// Reads the fields that families share from a file's metadata, each within its limits.
struct ConfigFields {
  let file: GGUFFile
  /// The architecture's name, with which its keys begin.
  let prefix: String

  /// Widths of vectors. Narrower ones than a block no model has, and a small file of them could ask
  /// for a hundred times its size in memory. The upper limit keeps every product of two within `Int`.
  static let widths = 32...1 << 20
  /// Rows of an embedding: some times what the largest vocabularies have. Tokens are `Int32`.
  private static let maximumVocabulary = 1 << 24

  func optional(_ name: String, _ range: ClosedRange<Int>) throws(GGUFError) -> Int? {
    try file.metadata.integer("\(prefix).\(name)", in: range)
  }

  func required(_ name: String, _ range: ClosedRange<Int>) throws(GGUFError) -> Int {
    try file.metadata.required("\(prefix).\(name)", try optional(name, range))
  }

  func number(_ name: String) throws(GGUFError) -> Double? {
    try file.metadata.number("\(prefix).\(name)")
  }

  func invalid(_ name: String, _ problem: String) -> GGUFError {
    .invalid(path: file.path, field: "\(prefix).\(name)", problem: problem)
  }

  /// What all families have, with scores scaled as in "Attention Is All You Need" (arXiv 1706.03762).
  func config(
    _ activation: DecoderConfig.Activation, rotaryBase: Double, split: Bool
  ) throws -> DecoderConfig {
    let shape = try attentionShape()
    return try DecoderConfig(
      architecture: prefix,
      layerCount: layerCount(),
      embeddingLength: shape.embeddingLength,
      feedForwardLength: required("feed_forward_length", Self.widths),
      headCount: shape.headCount,
      keyValueHeadCount: shape.keyValueHeadCount,
      headSize: shape.headSize,
      contextLength: contextLength(),
      vocabularySize: vocabularySize(embeddingLength: shape.embeddingLength),
      normEpsilon: normEpsilon(),
      activation: activation,
      rotary: rotary(headSize: shape.headSize, defaultBase: rotaryBase, split: split),
      attentionScale: 1 / Float(shape.headSize).squareRoot()
    )
  }

  /// A layer takes several tensors, so a file cannot have more layers than tensors.
  func layerCount() throws(GGUFError) -> Int {
    try required("block_count", 1...max(1, file.tensors.count))
  }

  func contextLength() throws(GGUFError) -> Int { try required("context_length", 1...1 << 28) }

  func normEpsilon() throws(GGUFError) -> Float {
    let name = "attention.layer_norm_rms_epsilon"
    let epsilon = try file.metadata.required("\(prefix).\(name)", try number(name))
    guard epsilon >= 0, epsilon < 1 else { throw invalid(name, "is \(epsilon), where 0 to 1 is allowed") }
    return Float(epsilon)
  }

  /// Rows of the embedding.
  func vocabularySize(embeddingLength: Int) throws(GGUFError) -> Int {
    let name = "token_embd.weight"
    guard let embedding = file[name] else { throw .missingTensor(path: file.path, tensor: name) }
    guard embedding.columns == embeddingLength, embedding.shape.count == 2 else {
      throw .wrongShape(
        path: file.path, tensor: name, shape: embedding.shape, expected: [embeddingLength, embedding.rows])
    }
    guard embedding.rows <= Self.maximumVocabulary else {
      throw .invalid(
        path: file.path, field: "tensor \(name)",
        problem: "has \(embedding.rows) rows, where at most \(Self.maximumVocabulary) are allowed")
    }
    return embedding.rows
  }

  struct AttentionShape {
    let embeddingLength: Int
    let headCount: Int
    let keyValueHeadCount: Int
    let headSize: Int
  }

  /// Some tools give these families biases, which the decoder does not add: leaving them out would
  /// make a model that only seems to work.
  func refuseBiases() throws(ModelError) {
    guard let bias = file.tensors.first(where: { $0.name.hasPrefix("blk.") && $0.name.hasSuffix(".bias") })
    else { return }
    throw .unsupported(path: file.path, feature: "biases such as \(bias.name)")
  }

  func attentionShape() throws(GGUFError) -> AttentionShape {
    let width = try required("embedding_length", Self.widths)
    let heads = try required("attention.head_count", 1...65_536)
    let keyValueHeads = try optional("attention.head_count_kv", 1...65_536) ?? heads
    guard heads % keyValueHeads == 0 else {
      throw invalid("attention.head_count_kv", "is \(keyValueHeads), which does not divide \(heads) heads")
    }
    let headSize = try optional("attention.key_length", 2...8_192) ?? width / heads
    guard headSize >= 2, headSize % 2 == 0 else {
      throw invalid(
        "attention.key_length", "makes heads of \(headSize) values, where an even number is needed")
    }
    guard try optional("attention.value_length", 2...8_192) ?? headSize == headSize else {
      throw invalid("attention.value_length", "differs from the length of keys, \(headSize)")
    }
    return AttentionShape(
      embeddingLength: width, headCount: heads, keyValueHeadCount: keyValueHeads, headSize: headSize)
  }

  func rotary(headSize: Int, defaultBase: Double, split: Bool) throws -> DecoderConfig.Rotary {
    let base = try rotaryBase("rope.freq_base", default: defaultBase)
    let dimensions = try optional("rope.dimension_count", 2...headSize) ?? headSize
    guard dimensions % 2 == 0 else {
      throw invalid("rope.dimension_count", "is \(dimensions), where an even number is needed")
    }
    return DecoderConfig.Rotary(base: base, scale: try rotaryScale(), dimensions: dimensions, split: split)
  }

  func rotaryBase(_ name: String, default value: Double) throws(GGUFError) -> Double {
    let base = try number(name) ?? value
    guard base > 0, base <= 1e12 else { throw invalid(name, "is \(base), where 0 to 1e12 is allowed") }
    return base
  }

  private func rotaryScale() throws -> Double {
    let type = try file.metadata.string("\(prefix).rope.scaling.type") ?? "none"
    guard ["none", "linear"].contains(type), file["rope_freqs.weight"] == nil else {
      throw ModelError.unsupported(path: file.path, feature: "rotary scaling of the type \(type)")
    }
    guard type == "linear" else { return 1 }
    let factor = try number("rope.scaling.factor") ?? 1
    guard factor > 0, factor <= 1e6 else { throw invalid("rope.scaling.factor", "is \(factor)") }
    return factor
  }
}
