import DuetRuntime
import Foundation

/// A sound model of the llama family, some 70 kB: one layer of width 64, byte-level tokens, random
/// weights of many types. What it says is noise; that it loads and runs is the point.
enum SeedModel {
  private static let width = 64
  private static let headSize = 32
  private static let hidden = 256

  static func bytes() -> [UInt8] {
    var random = SplitMix64(state: 0x5EED)
    let tokens = vocabulary()
    var file = GGUFWriter()
    addArchitecture(to: &file, vocabulary: tokens.count)
    addTokenizer(to: &file, tokens: tokens)
    for (name, shape, type) in tensors(vocabulary: tokens.count) {
      let count = shape.reduce(1, *)
      let bytes = weights(count: count, type: type, using: &random)
      file.add(tensor: name, shape: shape, type: type, bytes: bytes)
    }
    return file.bytes
  }

  /// A sound adapter of the model: pairs of several types and ranks.
  static func adapterBytes() -> [UInt8] {
    var random = SplitMix64(state: 0xADA)
    var file = GGUFWriter()
    file.add("general.type", .string("adapter"))
    file.add("general.architecture", .string("llama"))
    file.add("general.name", .string("seed adapter"))
    file.add("adapter.type", .string("lora"))
    file.add("adapter.lora.alpha", .float32(16))
    let pairs: [(String, rows: Int, columns: Int, rank: Int, a: TensorType, b: TensorType)] = [
      ("attn_q", width, width, 4, .f32, .f32), ("attn_v", headSize, width, 8, .f16, .bf16),
      ("ffn_gate", hidden, width, 32, .q8_0, .q4_0), ("ffn_down", width, hidden, 3, .q4_K, .f16),
    ]
    for (name, rows, columns, rank, a, b) in pairs {
      for (half, shape, type) in [("a", [columns, rank], a), ("b", [rank, rows], b)] {
        let bytes = weights(count: shape[0] * shape[1], type: type, using: &random)
        file.add(tensor: "blk.0.\(name).weight.lora_\(half)", shape: shape, type: type, bytes: bytes)
      }
    }
    return file.bytes
  }

  /// The model, opened; its file is gone by then.
  static func open() throws -> Model {
    let path = FileManager.default.temporaryDirectory.path + "/duet-seed-\(UUID().uuidString).gguf"
    try Data(bytes()).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try Model(path: path)
  }

  private static func addArchitecture(to file: inout GGUFWriter, vocabulary: Int) {
    file.add("general.architecture", .string("llama"))
    file.add("general.name", .string("seed"))
    file.add("general.file_type", .uint32(7))
    file.add("llama.block_count", .uint32(1))
    file.add("llama.context_length", .uint32(512))
    file.add("llama.embedding_length", .uint32(UInt32(width)))
    file.add("llama.feed_forward_length", .uint32(UInt32(hidden)))
    file.add("llama.attention.head_count", .uint32(UInt32(width / headSize)))
    file.add("llama.attention.head_count_kv", .uint32(1))
    file.add("llama.attention.layer_norm_rms_epsilon", .float32(1e-5))
    file.add("llama.rope.freq_base", .float32(10_000))
    file.add("llama.rope.dimension_count", .uint32(UInt32(headSize)))
    file.add("llama.vocab_size", .uint32(UInt32(vocabulary)))
  }

  private static func addTokenizer(to file: inout GGUFWriter, tokens: [String]) {
    file.add("tokenizer.ggml.model", .string("gpt2"))
    file.add("tokenizer.ggml.pre", .string("smollm"))
    file.add("tokenizer.ggml.tokens", .strings(tokens))
    // Type 3 is a control token, 1 a normal one.
    file.add("tokenizer.ggml.token_type", .int32s(tokens.indices.map { $0 < controls.count ? 3 : 1 }))
    file.add("tokenizer.ggml.scores", .floats(tokens.indices.map { -Float($0) }))
    file.add("tokenizer.ggml.merges", .strings(["t h", "th e", "Ġ the", "a n", "i n"]))
    file.add("tokenizer.ggml.bos_token_id", .uint32(0))
    file.add("tokenizer.ggml.eos_token_id", .uint32(1))
    file.add("tokenizer.ggml.unknown_token_id", .uint32(0))
    file.add("tokenizer.ggml.add_bos_token", .bool(false))
    file.add(
      "tokenizer.chat_template",
      .string("{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>{% endfor %}"))
  }

  private static let controls = ["<|start|>", "<|end|>", "<|pad|>"]

  /// Control tokens, a character for every byte (GPT-2's alphabet), and the results of the merges.
  private static func vocabulary() -> [String] {
    var shifted: UInt32 = 256
    let bytes = (UInt8.min...UInt8.max).map { (byte: UInt8) -> String in
      let printable = (33...126).contains(byte) || (161...172).contains(byte) || byte >= 174
      defer { if !printable { shifted += 1 } }
      let scalar = printable ? Unicode.Scalar(byte) : Unicode.Scalar(shifted) ?? "?"
      return String(Character(scalar))
    }
    return controls + bytes + ["th", "the", "Ġthe", "an", "in"]
  }

  private static func tensors(vocabulary: Int) -> [(String, [Int], TensorType)] {
    [
      ("token_embd.weight", [width, vocabulary], .q8_0),
      ("blk.0.attn_norm.weight", [width], .f32),
      ("blk.0.attn_q.weight", [width, width], .q4_0),
      ("blk.0.attn_k.weight", [width, headSize], .q5_1),
      ("blk.0.attn_v.weight", [width, headSize], .f16),
      ("blk.0.attn_output.weight", [width, width], .q4_1),
      ("blk.0.ffn_norm.weight", [width], .f32),
      ("blk.0.ffn_gate.weight", [width, hidden], .iq4_nl),
      ("blk.0.ffn_up.weight", [width, hidden], .bf16),
      ("blk.0.ffn_down.weight", [hidden, width], .q4_K),
      ("output_norm.weight", [width], .f32),
    ]
  }

  /// Random values of small magnitude.
  static func weights(
    count: Int, type: TensorType, using random: inout SplitMix64
  ) -> [UInt8] {
    if type == .f32 {
      var bytes: [UInt8] = []
      for _ in 0..<count { bytes.appendInteger(Float.random(in: 0.5...1.5, using: &random).bitPattern) }
      return bytes
    }
    var bytes = (0..<type.rowBytes(count)).map { _ in UInt8.random(in: 0...255, using: &random) }
    for block in stride(from: 0, to: bytes.count, by: type.blockBytes) {
      for offset in scaleOffsets(of: type) { bytes[block + offset] = upperByte(of: type) }
    }
    return bytes
  }

  /// Where the upper bytes of a block's 16-bit floats lie.
  private static func scaleOffsets(of type: TensorType) -> [Int] {
    switch type {
    case .q4_1, .q5_1, .q4_K: [1, 3]
    default: [1]
    }
  }

  /// The upper byte of a number near 0.01 (half precision), or near 0.03 (bfloat16).
  private static func upperByte(of type: TensorType) -> UInt8 { type == .bf16 ? 0x3D : 0x21 }
}

/// The generator of Steele, Lea and Flood ("Fast splittable pseudorandom number generators", 2014).
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
