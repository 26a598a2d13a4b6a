/// The Qwen 2 and 2.5 family (arXiv 2407.10671): queries, keys and values have biases.
enum Qwen2 {
  static func config(_ file: GGUFFile) throws -> DecoderConfig {
    try ConfigFields(file: file, prefix: "qwen2").config(.silu, rotaryBase: 1_000_000, split: true)
  }

  static let checkpoint = CheckpointFamily(
    architecture: "qwen2", classes: ["Qwen2ForCausalLM", "Qwen2Model"], layers: .decoderLayers,
    metadata: metadata)

  static func metadata(_ config: CheckpointConfig, _ pairs: inout ArchitecturePairs) throws(CheckpointError) {
    guard !config.flag("use_sliding_window") else {
      throw .unsupported(path: config.path, feature: "a sliding window in some layers (use_sliding_window)")
    }
    try pairs.setCommon(config)
  }
}

/// The Qwen 3 family (arXiv 2505.09388), dense: heads of queries and keys are normalised.
enum Qwen3 {
  static func config(_ file: GGUFFile) throws -> DecoderConfig {
    var config = try ConfigFields(file: file, prefix: "qwen3").config(
      .silu, rotaryBase: 1_000_000, split: true)
    config.normalizesHeads = true
    return config
  }

  static let checkpoint = CheckpointFamily(
    architecture: "qwen3", classes: ["Qwen3ForCausalLM", "Qwen3Model"],
    layers: .decoderLayers.with([
      TensorRule("self_attn.q_norm", "attn_q_norm"), TensorRule("self_attn.k_norm", "attn_k_norm"),
    ]),
    metadata: Qwen2.metadata)
}
