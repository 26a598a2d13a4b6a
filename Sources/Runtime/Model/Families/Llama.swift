/// The llama family (arXiv 2302.13971, 2407.21783): SmolLM2, TinyLlama, Llama 2 and 3 files.
///
/// Files of this architecture store the rows of queries and keys permuted, so that rotated pairs
/// lie side by side.
enum Llama {
  static func config(_ file: GGUFFile) throws -> DecoderConfig {
    let fields = ConfigFields(file: file, prefix: "llama")
    try fields.refuseBiases()
    guard try fields.optional("expert_count", 0...65_536) ?? 0 == 0 else {
      throw ModelError.unsupported(path: file.path, feature: "a mixture of experts")
    }
    let shape = try fields.attentionShape()
    return try DecoderConfig(
      architecture: "llama",
      layerCount: fields.layerCount(),
      embeddingLength: shape.embeddingLength,
      feedForwardLength: fields.required("feed_forward_length", ConfigFields.widths),
      headCount: shape.headCount,
      keyValueHeadCount: shape.keyValueHeadCount,
      headSize: shape.headSize,
      contextLength: fields.contextLength(),
      vocabularySize: fields.vocabularySize(embeddingLength: shape.embeddingLength),
      normEpsilon: fields.normEpsilon(),
      activation: .silu,
      rotary: fields.rotary(headSize: shape.headSize, defaultBase: 10_000, split: false),
      attentionScale: 1 / Float(shape.headSize).squareRoot()
    )
  }
}
