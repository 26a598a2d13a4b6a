import DuetRuntime
import Foundation
import Testing

/// Made models of a few layers with random weights, as files and as numbers.
struct TinyModel {
  enum Family: String, CaseIterable, CustomTestStringConvertible {
    case llama, gemma3
    var testDescription: String { rawValue }
  }

  struct Tensor {
    /// Elements along each dimension, the contiguous one first.
    let shape: [Int]
    let values: [Float]
  }

  let family: Family
  let layers: Int
  let width = 64
  let hidden = 96
  let heads = 4
  let keyValueHeads = 2
  let headSize = 32
  let window = 40
  var vocabulary = 64
  let epsilon: Float = 1e-5
  /// The base of the rotary embedding, of layers without a window in Gemma.
  var base = 10_000.0
  /// By name, without `.weight`.
  private(set) var tensors: [String: Tensor] = [:]
  private let quantized: TensorType?

  /// Queries and keys are scaled so that attention is peaked. `quantized` is the type of matrices,
  /// `Q8_0` or `Q4_0`; F32 where nil.
  init(_ family: Family, quantized: TensorType? = nil, vocabulary: Int = 64, seed: UInt64 = 7) {
    self.family = family
    self.quantized = quantized
    self.vocabulary = vocabulary
    layers = family == .llama ? 3 : 7
    var random = SplitMix(seed: seed)
    func add(_ name: String, _ shape: [Int], _ scale: Float, around middle: Float = 0) {
      let values = randomFloats(shape.reduce(1, *), in: -scale...scale, &random).map { $0 + middle }
      tensors[name] = Tensor(shape: shape, values: values)
    }
    add("token_embd", [width, vocabulary], 1)
    add("output_norm", [width], 0.3, around: 1)
    for layer in 0..<layers {
      let name = { (part: String) in "blk.\(layer).\(part)" }
      add(name("attn_norm"), [width], 0.3, around: 1)
      add(name("attn_q"), [width, heads * headSize], 0.45)
      add(name("attn_k"), [width, keyValueHeads * headSize], 0.45)
      add(name("attn_v"), [width, keyValueHeads * headSize], 0.2)
      add(name("attn_output"), [heads * headSize, width], 0.2)
      add(name("ffn_norm"), [width], 0.3, around: 1)
      add(name("ffn_gate"), [width, hidden], 0.2)
      add(name("ffn_up"), [width, hidden], 0.2)
      add(name("ffn_down"), [hidden, width], 0.2)
      guard family == .gemma3 else { continue }
      add(name("attn_q_norm"), [headSize], 0.5, around: 1.6)
      add(name("attn_k_norm"), [headSize], 0.5, around: 1.6)
      add(name("post_attention_norm"), [width], 0.3, around: 0.6)
      add(name("post_ffw_norm"), [width], 0.3, around: 0.6)
    }
    if family == .llama { add("output", [width, vocabulary], 0.3) }
  }

  /// Makes the model say a token more often, or never where `factor` is 0.
  mutating func scaleLogit(of token: Int, by factor: Float) {
    guard let output = tensors["output"] else { return }
    var values = output.values
    for index in token * width..<(token + 1) * width { values[index] *= factor }
    tensors["output"] = Tensor(shape: output.shape, values: values)
  }

  /// Adds `change` to the values of a tensor.
  mutating func add(_ change: [Float], to name: String) {
    guard let tensor = tensors[name] else { return }
    tensors[name] = Tensor(shape: tensor.shape, values: zip(tensor.values, change).map { $0 + $1 })
  }

  /// The file; `builder` may bring a tokenizer.
  func builder(_ builder: GGUFBuilder = GGUFBuilder()) -> GGUFBuilder {
    var file = builder
    let name = family.rawValue
    file.set("general.architecture", .string(name))
    file.set("\(name).block_count", .uint32(UInt32(layers)))
    file.set("\(name).context_length", .uint32(2_048))
    file.set("\(name).embedding_length", .uint32(UInt32(width)))
    file.set("\(name).feed_forward_length", .uint32(UInt32(hidden)))
    file.set("\(name).attention.head_count", .uint32(UInt32(heads)))
    file.set("\(name).attention.head_count_kv", .uint32(UInt32(keyValueHeads)))
    file.set("\(name).attention.key_length", .uint32(UInt32(headSize)))
    file.set("\(name).attention.value_length", .uint32(UInt32(headSize)))
    file.set("\(name).attention.layer_norm_rms_epsilon", .float32(epsilon))
    file.set("\(name).rope.freq_base", .float32(Float(base)))
    if family == .gemma3 { file.set("gemma3.attention.sliding_window", .uint32(UInt32(window))) }
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) { add(name, tensor, to: &file) }
    return file
  }

  private func add(_ name: String, _ tensor: Tensor, to file: inout GGUFBuilder) {
    guard let quantized, tensor.shape.count == 2 else {
      file.addFloats(name + ".weight", shape: tensor.shape, tensor.values)
      return
    }
    let blocks = stride(from: 0, to: tensor.values.count, by: 32).flatMap { start in
      Self.block(Array(tensor.values[start..<start + 32]), quantized)
    }
    file.tensors.append(
      GGUFBuilder.Tensor(name: name + ".weight", shape: tensor.shape, type: quantized.rawValue, bytes: blocks)
    )
  }

  /// A block of Q8_0 or Q4_0, which near enough holds `values`.
  static func block(_ values: [Float], _ type: TensorType) -> [UInt8] {
    let largest = values.map(abs).max() ?? 0
    let steps: Float = type == .q8_0 ? 127 : 7
    let scale = Float16(largest / steps)
    let q = values.map { Int(max(-steps, min(steps, ($0 / max(Float(scale), 1e-20)).rounded()))) }
    let head = little(scale.bitPattern)
    if type == .q8_0 { return head + q.map { UInt8(bitPattern: Int8($0)) } }
    return head + (0..<16).map { UInt8(q[$0] + 8) | UInt8(q[$0 + 16] + 8) << 4 }
  }

  func weights(_ kernels: String? = nil) throws -> ModelWeights {
    try ModelWeights(file: builder().open(), operations: Operations(tier: kernels))
  }

  /// Some text of this vocabulary.
  func tokens(_ count: Int, seed: UInt64 = 1) -> [Int32] {
    var random = SplitMix(seed: seed)
    return (0..<count).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &random) }
  }
}
