/// The Gemma 2 family (arXiv 2408.00118): scores and logits are capped, every other layer attends to a
/// window.
enum Gemma2 {
  static func config(_ file: GGUFFile) throws -> DecoderConfig {
    let fields = ConfigFields(file: file, prefix: "gemma2")
    var config = try fields.config(.gelu, rotaryBase: 10_000, split: true)
    config.slidingWindow = try fields.slidingWindow() ?? 4_096
    config.slidingWindowPattern = 2
    config.attentionScale = try fields.attentionScale(widthPerHead: config.layerCount == 46, config)
    config.attentionSoftcap = try fields.softcap("attn_logit_softcapping", default: 50)
    config.finalSoftcap = try fields.softcap("final_logit_softcapping", default: 30)
    config.embeddingScale = Float(config.embeddingLength).squareRoot()
    config.normalizesResults = true
    return config
  }

  static let layers = [TensorRule].decoderLayers.with([
    TensorRule("post_attention_layernorm", "post_attention_norm"),
    TensorRule("pre_feedforward_layernorm", "ffn_norm"),
    TensorRule("post_feedforward_layernorm", "post_ffw_norm"),
  ])

  /// The output is the embedding, even where a checkpoint holds it twice.
  static let checkpoint = CheckpointFamily(
    architecture: "gemma2", classes: ["Gemma2ForCausalLM", "Gemma2Model"],
    tensors: [TensorRule].decoder.normsPlusOne,
    layers: layers.normsPlusOne, ignored: ["lm_head.weight"], metadata: metadata)

  private static func metadata(
    _ config: CheckpointConfig, _ pairs: inout ArchitecturePairs
  ) throws(CheckpointError) {
    pairs.set("context_length", try config.integer("max_position_embeddings"))
    pairs.set("embedding_length", try config.width)
    pairs.set("block_count", try config.required("num_hidden_layers", config.integer("num_hidden_layers")))
    pairs.set("feed_forward_length", try config.integer("intermediate_size"))
    pairs.set("attention.head_count", try config.headCount)
    pairs.set("attention.head_count_kv", try config.keyValueHeadCount)
    pairs.set("attention.layer_norm_rms_epsilon", try config.number("rms_norm_eps"))
    pairs.set("attention.key_length", try config.integer("head_dim"))
    pairs.set("attention.value_length", try config.integer("head_dim"))
    pairs.setFileType()
    pairs.set("attn_logit_softcapping", try config.number("attn_logit_softcapping") ?? 0)
    pairs.set("final_logit_softcapping", try config.number("final_logit_softcapping") ?? 0)
    pairs.set("attention.sliding_window", try config.integer("sliding_window", in: 1...1 << 24))
    try pairs.setUnusualScale(config, widthPerHeadLayers: 46)
    // Converters leave out a base that is not the family's own.
    if let base = try CheckpointRotary(config).base(), base != 10_000 { pairs.set("rope.freq_base", base) }
  }
}

extension ArchitecturePairs {
  /// The scale of scores, where it is none that readers of GGUF know by the shape of the model.
  mutating func setUnusualScale(_ config: CheckpointConfig, widthPerHeadLayers: Int) throws(CheckpointError) {
    guard let scalar = try config.number("query_pre_attn_scalar"), scalar > 0 else { return }
    let layers = try config.integer("num_hidden_layers")
    let known = try layers == widthPerHeadLayers ? config.width / config.headCount : config.headSize
    if scalar != Double(known) { set("attention.scale", 1 / scalar.squareRoot()) }
  }
}
