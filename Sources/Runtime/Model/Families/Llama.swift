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
    return try fields.config(.silu, rotaryBase: 10_000, split: false)
  }
}
