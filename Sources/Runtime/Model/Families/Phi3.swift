#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The Phi 3 family (arXiv 2404.14219): queries, keys and values are one matrix, and so are the two
/// halves of the feed-forward part; long contexts are rotated by factors of their own
/// (LongRoPE, arXiv 2402.13753).
enum Phi3 {
  static func config(_ file: GGUFFile) throws -> DecoderConfig {
    let fields = ConfigFields(file: file, prefix: "phi3")
    var config = try fields.config(.silu, rotaryBase: 10_000, split: true)
    config.isFused = true
    // Phi 4 states a window of 0.
    if let window = try fields.slidingWindow() {
      config.slidingWindow = window
      config.slidingWindowPattern = 0
    }
    return config
  }

  static let checkpoint = CheckpointFamily(
    architecture: "phi3", classes: ["Phi3ForCausalLM", "Phi3Model"],
    layers: .decoderLayers.with([
      TensorRule("self_attn.qkv_proj", "attn_qkv"), TensorRule("mlp.gate_up_proj", "ffn_up"),
    ]),
    metadata: metadata, made: factors)

  private static func metadata(
    _ config: CheckpointConfig, _ pairs: inout ArchitecturePairs
  ) throws(CheckpointError) {
    let rotary = CheckpointRotary(config)
    let context = try config.required(
      "max_position_embeddings", config.integer("max_position_embeddings", in: 1...1 << 28))
    let original = try rotary.originalContext() ?? context
    if rotary.type == "longrope" {
      let scale = Double(context) / Double(original)
      let factor = scale > 1 ? (1 + log(scale) / log(Double(original))).squareRoot() : 1
      pairs.set("rope.scaling.attn_factor", try rotary.number("attention_factor") ?? factor)
    }
    pairs.set("context_length", context)
    pairs.set("rope.scaling.original_context_length", original)
    pairs.set("embedding_length", try config.width)
    pairs.set("feed_forward_length", try config.integer("intermediate_size"))
    pairs.set("block_count", try config.required("num_hidden_layers", config.integer("num_hidden_layers")))
    pairs.set("attention.head_count", try config.headCount)
    pairs.set("attention.head_count_kv", try config.keyValueHeadCount)
    pairs.set("attention.layer_norm_rms_epsilon", try config.number("rms_norm_eps"))
    pairs.set("rope.dimension_count", try rotatedSize(config))
    pairs.set("rope.freq_base", try rotary.base() ?? 10_000)
    pairs.setFileType()
    pairs.set("attention.sliding_window", try config.integer("sliding_window", in: 0...1 << 24) ?? 0)
  }

  private static func rotatedSize(_ config: CheckpointConfig) throws(CheckpointError) -> Int {
    let factor = try CheckpointRotary(config).partialFactor()
    return Int(factor * Double(try config.headSize))
  }

  private static func factors(_ config: CheckpointConfig) throws(CheckpointError) -> [MadeTensor] {
    let rotary = CheckpointRotary(config)
    let type = rotary.type ?? "default"
    guard type == "longrope" else {
      if type == "default" { return [] }
      throw .unsupported(path: config.path, feature: "rotary scaling of the type \(type)")
    }
    let pairs = try rotatedSize(config) / 2
    return try [("long_factor", "rope_factors_long"), ("short_factor", "rope_factors_short")].map {
      (field, name) throws(CheckpointError) in
      let values = try config.required("rope_parameters.\(field)", rotary.factors(field))
      guard values.count == pairs else {
        throw config.invalid(
          "rope_parameters.\(field)", "has \(values.count) factors, where \(pairs) are needed")
      }
      return MadeTensor(name: "\(name).weight", values: values)
    }
  }
}
