/// A family of decoders: how its files say what it is, and how its checkpoints become such files.
struct Family: Sendable {
  /// As files name it.
  let architecture: String
  /// Reads the choices that make the decoder a model's.
  let config: @Sendable (GGUFFile) throws -> DecoderConfig
  /// How its checkpoints are read; nil where they are not.
  let checkpoint: CheckpointFamily?

  /// The families that can be run.
  static let all = [
    Family(architecture: "gemma2", config: Gemma2.config, checkpoint: Gemma2.checkpoint),
    Family(architecture: "gemma3", config: Gemma3.config, checkpoint: Gemma3.checkpoint),
    Family(architecture: "llama", config: Llama.config, checkpoint: Llama.checkpoint),
    Family(architecture: "phi3", config: Phi3.config, checkpoint: Phi3.checkpoint),
    Family(architecture: "qwen2", config: Qwen2.config, checkpoint: Qwen2.checkpoint),
    Family(architecture: "qwen3", config: Qwen3.config, checkpoint: Qwen3.checkpoint),
  ]
}
