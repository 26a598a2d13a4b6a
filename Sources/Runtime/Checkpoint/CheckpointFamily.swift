/// How the checkpoints of a family become what GGUF has of it: tensors by a table of names, metadata
/// and further tensors by its own code.
struct CheckpointFamily: Sendable {
  /// As GGUF names it; its keys begin so.
  let architecture: String
  /// The classes in `config.json` that it is read with.
  let classes: [String]
  /// Tensors outside of layers, without `model.`
  var tensors: [TensorRule] = .decoder
  /// Tensors of a layer, without `model.layers.N.`
  let layers: [TensorRule]
  /// What the names of tensors begin with that are left out.
  var ignored: [String] = []
  /// Adds the keys of the architecture.
  let metadata: @Sendable (CheckpointConfig, inout ArchitecturePairs) throws(CheckpointError) -> Void
  /// Tensors that the configuration holds.
  var made: @Sendable (CheckpointConfig) throws(CheckpointError) -> [MadeTensor] = { _ in [] }
}

/// What becomes of a tensor's values.
enum TensorChange: Sendable {
  case none
  /// Rows of the heads of queries, or of keys, lie as halves: see `RowOrder`.
  case interleaveQueries, interleaveKeys
  /// 1 is added: the family's norms multiply by 1 + w.
  case addOne
}

/// The names of a weight, and of its bias, in a checkpoint and in GGUF.
struct TensorRule: Sendable {
  let from: String
  let to: String
  var change = TensorChange.none

  init(_ from: String, _ to: String, _ change: TensorChange = .none) {
    self.from = from
    self.to = to
    self.change = change
  }
}

/// A vector that no file of the checkpoint holds.
struct MadeTensor: Sendable {
  let name: String
  let values: [Float]
}

extension [TensorRule] {
  /// Outside of a decoder's layers.
  static let decoder = [
    TensorRule("embed_tokens", "token_embd"),
    TensorRule("norm", "output_norm"),
    TensorRule("lm_head", "output"),
  ]

  /// The layers of the llama family and those that follow it.
  static let decoderLayers = [
    TensorRule("input_layernorm", "attn_norm"),
    TensorRule("self_attn.q_proj", "attn_q"),
    TensorRule("self_attn.k_proj", "attn_k"),
    TensorRule("self_attn.v_proj", "attn_v"),
    TensorRule("self_attn.o_proj", "attn_output"),
    TensorRule("post_attention_layernorm", "ffn_norm"),
    TensorRule("mlp.gate_proj", "ffn_gate"),
    TensorRule("mlp.up_proj", "ffn_up"),
    TensorRule("mlp.down_proj", "ffn_down"),
  ]

  /// The same rules with other ones added; of two for one name the last counts.
  func with(_ rules: [TensorRule]) -> [TensorRule] {
    filter { rule in !rules.contains { $0.from == rule.from } } + rules
  }

  /// The same rules with 1 added to every norm.
  var normsPlusOne: [TensorRule] {
    map { $0.from.hasSuffix("norm") ? TensorRule($0.from, $0.to, .addOne) : $0 }
  }
}

/// The keys of one architecture in the making.
struct ArchitecturePairs {
  let prefix: String
  /// What `general.file_type` says, and where its place is among the keys.
  let fileType: Int
  var pairs: MetadataPairs

  mutating func set(_ name: String, _ value: Int?) { pairs.set("\(prefix).\(name)", value) }
  mutating func set(_ name: String, _ value: Double?) { pairs.set("\(prefix).\(name)", value) }
  mutating func set(_ name: String, _ value: String?) { pairs.set("\(prefix).\(name)", value) }
  mutating func set(_ name: String, _ value: Bool?) { pairs.set("\(prefix).\(name)", value) }

  mutating func setFileType() { pairs.set("general.file_type", fileType) }

  /// The keys that all families have that say no other.
  mutating func setCommon(_ config: CheckpointConfig) throws(CheckpointError) {
    try setShape(config)
    try setRotaryScaling(CheckpointRotary(config))
    set("rope.freq_base", try CheckpointRotary(config).base())
    set("rope.freq_base_swa", try CheckpointRotary(config).localBase())
    set("attention.layer_norm_rms_epsilon", try config.number("rms_norm_eps"))
    set("attention.layer_norm_epsilon", try config.number("layer_norm_eps"))
    set("attention.key_length", try config.integer("head_dim"))
    set("attention.value_length", try config.integer("head_dim"))
    setFileType()
  }

  private mutating func setShape(_ config: CheckpointConfig) throws(CheckpointError) {
    set("block_count", try config.required("num_hidden_layers", config.integer("num_hidden_layers")))
    set("context_length", try config.integer("max_position_embeddings"))
    set("embedding_length", try config.width)
    set("feed_forward_length", try config.integer("intermediate_size"))
    set("attention.head_count", try config.headCount)
    set("attention.head_count_kv", try config.integer("num_key_value_heads"))
  }

  private mutating func setRotaryScaling(_ rotary: CheckpointRotary) throws(CheckpointError) {
    switch rotary.type {
    case "linear":
      set("rope.scaling.type", "linear")
      set("rope.scaling.factor", try rotary.number("factor"))
    case "yarn":
      set("rope.scaling.type", "yarn")
      set("rope.scaling.factor", try rotary.number("factor"))
      set("rope.scaling.original_context_length", try rotary.originalContext())
      set("rope.scaling.yarn_ext_factor", try rotary.number("extrapolation_factor"))
      set("rope.scaling.yarn_attn_factor", try rotary.number("attention_factor"))
      set("rope.scaling.yarn_beta_fast", try rotary.number("beta_fast"))
      set("rope.scaling.yarn_beta_slow", try rotary.number("beta_slow"))
    case "longrope": set("rope.scaling.type", "longrope")
    case nil, "default", "llama3": break
    case let type?:
      throw .unsupported(path: rotary.config.path, feature: "rotary scaling of the type \(type)")
    }
  }
}
