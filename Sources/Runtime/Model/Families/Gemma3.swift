/// The Gemma 3 family (arXiv 2503.19786), text only.
///
/// Its files leave out what its code fixes: five layers with a window follow each other before one
/// that attends to everything, and layers with a window rotate with base 10,000. Norm weights are
/// stored with 1 added.
enum Gemma3 {
  static func config(_ file: GGUFFile) throws -> DecoderConfig {
    let fields = ConfigFields(file: file, prefix: "gemma3")
    try fields.refuseBiases()
    var config = try fields.config(.gelu, rotaryBase: 1_000_000, split: true)
    var local = config.rotary
    local.base = try fields.rotaryBase("rope.freq_base_swa", default: 10_000)
    local.scale = 1
    config.localRotary = local
    config.slidingWindow = try fields.required("attention.sliding_window", 1...1 << 24)
    config.slidingWindowPattern = try fields.optional("attention.sliding_window_pattern", 1...1_024) ?? 6
    config.attentionScale = attentionScale(config)
    config.embeddingScale = Float(config.embeddingLength).squareRoot()
    config.normalizesHeads = true
    config.normalizesResults = true
    return config
  }

  /// The 27B model scales by its width per head, every other one by the head size.
  private static func attentionScale(_ config: DecoderConfig) -> Float {
    let size = config.layerCount == 62 ? config.embeddingLength / config.headCount : config.headSize
    return 1 / Float(size).squareRoot()
  }
}
