/// The Gemma 3 family (arXiv 2503.19786), text only.
///
/// Its files leave out what its code fixes: five layers with a window follow each other before one
/// that attends to everything, and layers with a window rotate with base 10,000. Norm weights are
/// stored with 1 added.
enum Gemma3 {
  static func config(_ file: GGUFFile) throws -> DecoderConfig {
    let fields = ConfigFields(file: file, prefix: "gemma3")
    var config = try fields.config(.gelu, rotaryBase: 1_000_000, split: true)
    var local = config.rotary
    local.base = try fields.rotaryBase("rope.freq_base_swa", default: 10_000)
    local.scaling = .none
    config.localRotary = local
    config.slidingWindow = try fields.required("attention.sliding_window", 1...1 << 24)
    config.slidingWindowPattern = try fields.optional("attention.sliding_window_pattern", 1...1_024) ?? 6
    config.attentionScale = try fields.attentionScale(widthPerHead: config.layerCount == 62, config)
    config.finalSoftcap = try fields.softcap("final_logit_softcapping", default: 0)
    config.embeddingScale = Float(config.embeddingLength).squareRoot()
    config.normalizesHeads = true
    config.normalizesResults = true
    return config
  }

  static let checkpoint = CheckpointFamily(
    architecture: "gemma3",
    classes: ["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration", "Gemma3TextModel"],
    tensors: [TensorRule].decoder.normsPlusOne,
    layers: Gemma2.layers.with([
      TensorRule("self_attn.q_norm", "attn_q_norm"), TensorRule("self_attn.k_norm", "attn_k_norm"),
    ]).normsPlusOne,
    ignored: ["lm_head.weight", "language_model.lm_head.weight"], metadata: metadata)

  private static func metadata(
    _ config: CheckpointConfig, _ pairs: inout ArchitecturePairs
  ) throws(CheckpointError) {
    try pairs.setCommon(config)
    pairs.set("context_length", try config.integer("max_position_embeddings") ?? 131_072)
    pairs.set("attention.head_count", try config.integer("num_attention_heads") ?? 8)
    pairs.set("attention.layer_norm_rms_epsilon", try config.number("rms_norm_eps") ?? 1e-6)
    pairs.set("attention.key_length", try config.integer("head_dim") ?? 256)
    pairs.set("attention.value_length", try config.integer("head_dim") ?? 256)
    pairs.set("rope.freq_base", try CheckpointRotary(config).base() ?? 1_000_000)
    if let cap = try config.number("final_logit_softcapping"), cap != 0 {
      pairs.set("final_logit_softcapping", cap)
    }
    pairs.set("attention.sliding_window", try config.integer("sliding_window", in: 1...1 << 24))
    pairs.set("attention.head_count_kv", try config.integer("num_key_value_heads") ?? 4)
    try pairs.setUnusualScale(config, widthPerHeadLayers: 62)
    if let pattern = try config.integer("sliding_window_pattern", in: 1...1_024), pattern != 6 {
      pairs.set("attention.sliding_window_pattern", pattern)
    }
  }
}
