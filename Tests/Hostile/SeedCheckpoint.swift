import Foundation

/// A sound checkpoint of one layer as its files' bytes.
struct SeedCheckpoint {
  struct File {
    /// The path within the folder.
    let name: String
    var bytes: [UInt8]
    /// How often it is changed beside the others.
    var weight = 1
  }

  var files: [File]

  var byteCount: Int { files.reduce(0) { $0 + $1.bytes.count } }

  /// The bytes of a file; of one that was not there, a new file.
  subscript(name: String) -> [UInt8] {
    get { files.first { $0.name == name }?.bytes ?? [] }
    set {
      files.removeAll { $0.name == name }
      files.append(File(name: name, bytes: newValue))
    }
  }

  /// The files one after the other, name and bytes each after its length.
  var packed: [UInt8] {
    var pack: [UInt8] = []
    for file in files {
      pack.appendText(file.name)
      pack.appendInteger(UInt64(file.bytes.count))
      pack += file.bytes
    }
    return pack
  }

  struct Unsound: Error {}

  /// Writes the files of a pack to a new folder.
  static func unpack(_ pack: Data, to folder: String) throws {
    var rest = pack[...]
    func next() throws -> Data {
      guard rest.count >= 8 else { throw Unsound() }
      let count = rest.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
      rest = rest.dropFirst(8)
      guard count >= 0, count <= rest.count else { throw Unsound() }
      defer { rest = rest.dropFirst(count) }
      return rest.prefix(count)
    }
    while !rest.isEmpty {
      let url = URL(filePath: "\(folder)/\(String(decoding: try next(), as: UTF8.self))")
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try next().write(to: url)
    }
  }

  private static let width = 64
  private static let hidden = 64

  /// Decoders: one of each way to tokenize, and of each way to name tensors.
  static var decoders: [SeedCheckpoint] {
    [
      make("LlamaForCausalLM", rotary: #"{"rope_type":"llama3","rope_theta":500.0,"factor":8.0}"#, byteLevel),
      make("Qwen2ForCausalLM", rotary: #"{"rope_type":"yarn","rope_theta":1e6,"factor":4.0}"#, byteLevel),
      make("Gemma2ForCausalLM", rotary: #"{"rope_type":"default","rope_theta":10000.0}"#, pieces),
      make(
        "Phi3ForCausalLM",
        rotary: """
          {"rope_type":"longrope","rope_theta":10000.0,"original_max_position_embeddings":64,
          "long_factor":\(factors),"short_factor":\(factors)}
          """, pieces),
    ]
  }

  private static let factors = "[\(Array(repeating: "1.5", count: 16).joined(separator: ","))]"

  private static func make(_ name: String, rotary: String, _ tokenizer: String) -> SeedCheckpoint {
    let config = """
      {"architectures":["\(name)"],"model_type":"llama","vocab_size":64,"hidden_size":\(width),
      "intermediate_size":\(hidden),"num_hidden_layers":1,"num_attention_heads":2,"num_key_value_heads":1,
      "head_dim":32,"max_position_embeddings":256,"rms_norm_eps":1e-5,"sliding_window":16,
      "query_pre_attn_scalar":32,"attn_logit_softcapping":50.0,"final_logit_softcapping":30.0,
      "rope_parameters":\(rotary),"bos_token_id":1}
      """
    let settings = """
      {"bos_token":"#","eos_token":{"content":"$"},"add_bos_token":true,"add_prefix_space":false,
      "chat_template":"{% for m in messages %}{{ m.content }}{% endfor %}"}
      """
    return SeedCheckpoint(files: [
      File(name: "config.json", bytes: Array(config.utf8), weight: 2),
      File(name: "tokenizer.json", bytes: Array(tokenizer.utf8), weight: 2),
      File(name: "tokenizer_config.json", bytes: Array(settings.utf8)),
      File(name: "model.safetensors", bytes: tensors(name), weight: 2),
    ])
  }

  /// 64 tokens: the signs from `!` on.
  private static var vocabulary: String {
    (0..<64).map { number in
      let sign = String(UnicodeScalar(UInt8(33 + number)))
      return "\"\(sign == "\"" || sign == "\\" ? "\\" : "")\(sign)\":\(number)"
    }.joined(separator: ",")
  }

  private static var byteLevel: String {
    """
    {"added_tokens":[{"id":2,"content":"#","special":true,"normalized":false},
    {"id":3,"content":"$","special":true,"normalized":false}],"normalizer":null,
    "pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},
    {"type":"ByteLevel","use_regex":true}]},
    "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"#","type_id":0}},
    {"Sequence":{"id":"A","type_id":0}}],"pair":[]},
    "model":{"type":"BPE","vocab":{\(vocabulary)},"merges":["A B",["C","D"]]}}
    """
  }

  private static var pieces: String {
    """
    {"added_tokens":[{"id":2,"content":"#","special":true}],
    "normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"}]},"pre_tokenizer":null,
    "model":{"type":"BPE","byte_fallback":true,"unk_token":"!","vocab":{\(vocabulary)},"merges":[["C","D"]]}}
    """
  }

  private static func tensors(_ family: String) -> [UInt8] {
    let isPhi = family.hasPrefix("Phi"), isGemma = family.hasPrefix("Gemma")
    var shapes: [(String, [Int])] = [
      ("model.embed_tokens", [64, width]), ("model.norm", [width]),
      ("model.layers.0.input_layernorm", [width]), ("model.layers.0.post_attention_layernorm", [width]),
      ("model.layers.0.self_attn.o_proj", [width, 64]), ("model.layers.0.mlp.down_proj", [width, hidden]),
    ]
    if isGemma {
      shapes.append(("model.layers.0.pre_feedforward_layernorm", [width]))
      shapes.append(("model.layers.0.post_feedforward_layernorm", [width]))
    }
    if isPhi {
      shapes.append(("model.layers.0.self_attn.qkv_proj", [128, width]))
      shapes.append(("model.layers.0.mlp.gate_up_proj", [2 * hidden, width]))
    } else {
      shapes.append(("model.layers.0.self_attn.q_proj", [64, width]))
      shapes.append(("model.layers.0.self_attn.k_proj", [32, width]))
      shapes.append(("model.layers.0.self_attn.v_proj", [32, width]))
      shapes.append(("model.layers.0.mlp.gate_proj", [hidden, width]))
      shapes.append(("model.layers.0.mlp.up_proj", [hidden, width]))
    }
    return safetensors(shapes.map { ($0 + ".weight", $1) })
  }

  /// A file of random values in bfloat16.
  static func safetensors(_ shapes: [(String, [Int])]) -> [UInt8] {
    var random = SplitMix64(state: 0x5EED)
    var entries: [String] = []
    var data: [UInt8] = []
    for (name, shape) in shapes {
      let start = data.count
      for _ in 0..<shape.reduce(1, *) {
        data.appendInteger(
          UInt16(truncatingIfNeeded: Float.random(in: -0.3...0.3, using: &random).bitPattern >> 16))
      }
      entries.append(
        "\"\(name)\":{\"dtype\":\"BF16\",\"shape\":\(shape),\"data_offsets\":[\(start),\(data.count)]}"
      )
    }
    let header = "{\(entries.joined(separator: ","))}"
    var bytes: [UInt8] = []
    bytes.appendInteger(UInt64(header.utf8.count))
    return bytes + Array(header.utf8) + data
  }
}
