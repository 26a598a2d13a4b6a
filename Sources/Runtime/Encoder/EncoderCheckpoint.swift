extension EncoderConfig {
  /// How checkpoints of BERT encoders become what GGUF has of them. The layers that only its training
  /// needs are left out.
  static let checkpoint = CheckpointFamily(
    architecture: architecture, classes: ["BertModel", "BertForMaskedLM", "BertForPreTraining"],
    tensors: [
      TensorRule("embeddings.word_embeddings", "token_embd"),
      TensorRule("embeddings.position_embeddings", "position_embd"),
      TensorRule("embeddings.token_type_embeddings", "token_types"),
      TensorRule("embeddings.LayerNorm", "token_embd_norm"),
    ],
    layers: [
      TensorRule("attention.self.query", "attn_q"),
      TensorRule("attention.self.key", "attn_k"),
      TensorRule("attention.self.value", "attn_v"),
      TensorRule("attention.output.dense", "attn_output"),
      TensorRule("attention.output.LayerNorm", "attn_output_norm"),
      TensorRule("intermediate.dense", "ffn_up"),
      TensorRule("output.dense", "ffn_down"),
      TensorRule("output.LayerNorm", "layer_output_norm"),
    ],
    ignored: ["pooler.", "bert.pooler.", "cls."], metadata: metadata)

  private static func metadata(
    _ config: CheckpointConfig, _ pairs: inout ArchitecturePairs
  ) throws(CheckpointError) {
    for (name, usual) in [("hidden_act", "gelu"), ("position_embedding_type", "absolute")] {
      guard let value = config.value(name)?.string, value != usual else { continue }
      throw .unsupported(path: config.path, feature: "\(name) \(value)")
    }
    let settings = try SentenceSettings(folder: config.folder)
    try pairs.setCommon(config)
    pairs.set("attention.causal", false)
    pairs.set("pooling_type", settings.pooling)
    // GGUF has no name for a limit below the number of positions.
    let positions = try config.integer("max_position_embeddings") ?? Int.max
    if let most = settings.maximumTokens, most < positions { pairs.set(longestText, most) }
  }

  /// The key of the most tokens that are read of a text, where positions go further.
  static let longestText = "max_sequence_length"
}

/// What sentence-transformers keeps beside a model: how the vectors of tokens become that of a text, and
/// how much of a text is read (sbert.net, "Creating Custom Models").
struct SentenceSettings {
  /// As `bert.pooling_type` numbers it; nil where nothing is said.
  let pooling: Int?
  /// The most tokens of a text, marks included; nil where nothing is said.
  let maximumTokens: Int?

  init(folder: String) throws(CheckpointError) {
    pooling = try Self.poolingFolder(folder).map { name throws(CheckpointError) in
      try Self.pooling("\(folder)/\(name)/config.json")
    }
    let stated = try Self.limit(folder + "/sentence_bert_config.json", "max_seq_length")
    let tokenizers = try Self.limit(folder + "/tokenizer_config.json", "model_max_length")
    maximumTokens = stated ?? tokenizers
  }

  /// Where `modules.json` puts the pooling, if there is one.
  private static func poolingFolder(_ folder: String) throws(CheckpointError) -> String? {
    let path = folder + "/modules.json"
    guard MappedFile.exists(path) else { return nil }
    var found: String?
    for module in try JSONDocument(path: path).root.elements {
      let kind = module["type"]?.string?.split(separator: ".").last ?? ""
      guard ["Transformer", "Pooling", "Normalize"].contains(kind) else {
        throw .unsupported(path: path, feature: "a module of the kind \(kind.prefix(64))")
      }
      guard kind == "Pooling", found == nil else { continue }
      guard let name = module["path"]?.string, !name.isEmpty, name != "..", !name.contains("/"),
        !name.contains("\0")
      else { throw .invalid(path: path, field: "path", problem: "names no folder of this folder") }
      found = name
    }
    return found
  }

  private static let modes = [
    (flag: "pooling_mode_mean_tokens", name: "mean", type: 1),
    (flag: "pooling_mode_cls_token", name: "cls", type: 2),
    (flag: "pooling_mode_lasttoken", name: "lasttoken", type: 3),
  ]

  private static func pooling(_ path: String) throws(CheckpointError) -> Int {
    let root = try JSONDocument(path: path).root
    let set = modes.filter { root[$0.flag]?.bool == true }
    let named = modes.filter { root["pooling_mode"]?.string == $0.name }
    guard let mode = set.first ?? named.first, set.count <= 1 else {
      throw .unsupported(path: path, feature: "pooling other than mean, cls or lasttoken")
    }
    return mode.type
  }

  /// A number of tokens, where the file states one that means something.
  private static func limit(_ path: String, _ name: String) throws(CheckpointError) -> Int? {
    guard MappedFile.exists(path), let value = try JSONDocument(path: path).root[name], !value.isNull else {
      return nil
    }
    guard let number = value.number, number >= 3 else {
      throw .invalid(path: path, field: name, problem: "is no number of tokens")
    }
    return number < Double(UInt32.max) ? Int(number) : nil
  }
}
