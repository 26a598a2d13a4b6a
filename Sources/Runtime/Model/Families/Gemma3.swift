/// The Gemma 3 family (arXiv 2503.19786), text only.
///
/// Its files leave out what its code fixes: five layers with a window follow each other before one
/// that attends to everything, and layers with a window rotate with base 10,000. Norm weights are
/// stored with 1 added.
enum Gemma3 {
  static func config(_ file: GGUFFile) throws -> DecoderConfig {
    let fields = ConfigFields(file: file, prefix: "gemma3")
    try fields.refuseBiases()
    let shape = try fields.attentionShape()
    let rotary = try fields.rotary(headSize: shape.headSize, defaultBase: 1_000_000, split: true)
    var local = rotary
    local.base = try fields.rotaryBase("rope.freq_base_swa", default: 10_000)
    local.scale = 1
    return try DecoderConfig(
      architecture: "gemma3",
      layerCount: fields.layerCount(),
      embeddingLength: shape.embeddingLength,
      feedForwardLength: fields.required("feed_forward_length", ConfigFields.widths),
      headCount: shape.headCount,
      keyValueHeadCount: shape.keyValueHeadCount,
      headSize: shape.headSize,
      contextLength: fields.contextLength(),
      vocabularySize: fields.vocabularySize(embeddingLength: shape.embeddingLength),
      normEpsilon: fields.normEpsilon(),
      activation: .gelu,
      rotary: rotary,
      localRotary: local,
      slidingWindow: fields.required("attention.sliding_window", 1...1 << 24),
      slidingWindowPattern: fields.optional("attention.sliding_window_pattern", 1...1_024) ?? 6,
      attentionScale: attentionScale(fields, shape),
      embeddingScale: Float(shape.embeddingLength).squareRoot(),
      normalizesHeads: true,
      normalizesResults: true
    )
  }

  /// The 27B model scales by its width per head, every other one by the head size.
  private static func attentionScale(
    _ fields: ConfigFields, _ shape: ConfigFields.AttentionShape
  ) throws -> Float {
    let size = try fields.layerCount() == 62 ? shape.embeddingLength / shape.headCount : shape.headSize
    return 1 / Float(size).squareRoot()
  }
}
