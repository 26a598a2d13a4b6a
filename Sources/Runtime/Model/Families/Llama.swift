#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The llama family (arXiv 2302.13971, 2407.21783) and Mistral (arXiv 2310.06825): SmolLM2, TinyLlama,
/// Llama 2 and 3 files.
///
/// GGUF files of this architecture store the rows of queries and keys permuted, so that rotated pairs
/// lie side by side; checkpoints do not.
enum Llama {
  static func config(_ file: GGUFFile) throws -> DecoderConfig {
    let fields = ConfigFields(file: file, prefix: "llama")
    guard try fields.optional("expert_count", 0...65_536) ?? 0 == 0 else {
      throw ModelError.unsupported(path: file.path, feature: "a mixture of experts")
    }
    let isPermuted = file["blk.0.attn_q.weight"]?.rowOrder ?? .asNamed == .asNamed
    var config = try fields.config(.silu, rotaryBase: 10_000, split: !isPermuted)
    if let window = try fields.slidingWindow() {
      config.slidingWindow = window
      config.slidingWindowPattern = 0
    }
    return config
  }

  static let checkpoint = CheckpointFamily(
    architecture: "llama", classes: ["LlamaForCausalLM", "MistralForCausalLM", "LlamaModel", "MistralModel"],
    layers: .decoderLayers.with([
      TensorRule("self_attn.q_proj", "attn_q", .interleaveQueries),
      TensorRule("self_attn.k_proj", "attn_k", .interleaveKeys),
    ]),
    metadata: metadata, made: frequencies)

  private static func metadata(
    _ config: CheckpointConfig, _ pairs: inout ArchitecturePairs
  ) throws(CheckpointError) {
    try pairs.setCommon(config)
    let isMistral = config.modelType == "mistral" || config.language?.name == "MistralForCausalLM"
    pairs.set("attention.key_length", try config.headSize)
    pairs.set("attention.value_length", try config.headSize)
    // Converters leave out Mistral's window, and so does their runtime.
    if isMistral {
      pairs.set("attention.sliding_window", try config.integer("sliding_window", in: 1...1 << 24))
    }
    pairs.set("vocab_size", try config.integer("vocab_size"))
    pairs.set("rope.dimension_count", try config.headSize)
  }

  /// Llama 3's scaling as factors of wavelengths (arXiv 2407.21783, section 3.4.3): long ones are
  /// stretched, short ones kept, those between blended.
  private static func frequencies(_ config: CheckpointConfig) throws(CheckpointError) -> [MadeTensor] {
    let rotary = CheckpointRotary(config)
    guard rotary.type == "llama3" else { return [] }
    let size = try config.headSize
    let base = try rotary.base() ?? 10_000, factor = try rotary.number("factor") ?? 8
    let low = try rotary.number("low_freq_factor") ?? 1, high = try rotary.number("high_freq_factor") ?? 4
    let context = Double(try rotary.originalContext() ?? 8_192)
    guard factor >= 1, low > 0, high > low, base > 0 else {
      throw config.invalid("rope_parameters", "states no valid scaling")
    }
    let factors = (0..<size / 2).map { pair -> Float in
      let wavelength = 2 * Double.pi * pow(base, 2 * Double(pair) / Double(size))
      if wavelength < context / high { return 1 }
      if wavelength > context / low { return Float(factor) }
      let blend = (context / wavelength - low) / (high - low)
      return Float(1 / ((1 - blend) / factor + blend))
    }
    return [MadeTensor(name: "rope_freqs.weight", values: factors)]
  }
}
