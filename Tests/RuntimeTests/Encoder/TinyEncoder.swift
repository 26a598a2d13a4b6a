import DuetRuntime
import Foundation

/// A made encoder of two layers with random weights, as a file and as numbers in double precision.
struct TinyEncoder {
  let width = 64
  let hidden = 96
  let heads = 2
  let layers = 2
  let context = 320
  let words = ["cat", "dog", "sat", "ran", "mat"]
  let epsilon: Float = 1e-12
  let firstPooling: Bool
  /// By name; the contiguous dimension first.
  private(set) var tensors: [String: (shape: [Int], values: [Float])] = [:]

  private var tokens: [String] { ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + words.map { "▁" + $0 } }

  init(firstPooling: Bool = false) {
    self.firstPooling = firstPooling
    var random = SplitMix(seed: 11)
    func add(_ name: String, _ shape: [Int], _ scale: Float, around middle: Float = 0) {
      tensors[name] = (
        shape, randomFloats(shape.reduce(1, *), in: -scale...scale, &random).map { $0 + middle }
      )
    }
    func linear(_ name: String, _ rows: Int, _ columns: Int, _ scale: Float) {
      add(name + ".weight", [columns, rows], scale)
      add(name + ".bias", [rows], 0.3)
    }
    func norm(_ name: String) {
      add(name + ".weight", [width], 0.3, around: 1)
      add(name + ".bias", [width], 0.3)
    }
    add("token_embd.weight", [width, tokens.count], 1)
    add("position_embd.weight", [width, context], 0.6)
    add("token_types.weight", [width, 2], 0.5)
    norm("token_embd_norm")
    for layer in 0..<layers {
      let prefix = "blk.\(layer)."
      // Large enough that attention is peaked.
      for name in ["attn_q", "attn_k"] { linear(prefix + name, width, width, 0.4) }
      for name in ["attn_v", "attn_output"] { linear(prefix + name, width, width, 0.2) }
      linear(prefix + "ffn_up", hidden, width, 0.2)
      linear(prefix + "ffn_down", width, hidden, 0.2)
      norm(prefix + "attn_output_norm")
      norm(prefix + "layer_output_norm")
    }
  }

  func open() throws -> GGUFFile { try builder().open() }

  func builder() -> GGUFBuilder {
    var file = GGUFBuilder()
    file.set("general.architecture", .string("bert"))
    for (name, value) in [
      ("block_count", layers), ("context_length", context), ("embedding_length", width),
      ("feed_forward_length", hidden), ("attention.head_count", heads),
      ("pooling_type", firstPooling ? 2 : 1),
    ] { file.set("bert.\(name)", .uint32(UInt32(value))) }
    file.set("bert.attention.layer_norm_epsilon", .float32(epsilon))
    file.set("tokenizer.ggml.model", .string("bert"))
    file.set("tokenizer.ggml.tokens", .strings(tokens))
    file.set("tokenizer.ggml.token_type", .int32s(tokens.indices.map { $0 < 4 ? 3 : 1 }))
    for (name, id) in [("unknown", 1), ("cls", 2), ("seperator", 3)] {
      file.set("tokenizer.ggml.\(name)_token_id", .uint32(UInt32(id)))
    }
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
      file.addFloats(name, shape: tensor.shape, tensor.values)
    }
    return file
  }

  // MARK: The same by its definition

  /// The vector of a text of some of `words`.
  func vector(_ text: [Int]) -> [Double] {
    var x = ([2] + text.map { $0 + 4 } + [3]).enumerated().map { position, token in
      norm(
        "token_embd_norm",
        (0..<width).map { i in
          value("token_embd.weight", token * width + i) + value("position_embd.weight", position * width + i)
            + value("token_types.weight", i)
        })
    }
    for layer in 0..<layers { x = apply("blk.\(layer).", x) }
    let count = firstPooling ? 1 : x.count
    let sums = (0..<width).map { i in x.prefix(count).reduce(0) { $0 + $1[i] } }
    let length = sums.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return sums.map { $0 / length }
  }

  private func value(_ name: String, _ index: Int) -> Double { Double(tensors[name]?.values[index] ?? .nan) }

  private func linear(_ name: String, _ x: [Double]) -> [Double] {
    let weight = tensors[name + ".weight"]?.values ?? [], bias = tensors[name + ".bias"]?.values ?? []
    return bias.indices.map { row in
      x.indices.reduce(Double(bias[row])) { $0 + Double(weight[row * x.count + $1]) * x[$1] }
    }
  }

  private func norm(_ name: String, _ x: [Double]) -> [Double] {
    let mean = x.reduce(0, +) / Double(x.count)
    let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)
    return x.indices.map { i in
      (x[i] - mean) / (variance + Double(epsilon)).squareRoot() * value(name + ".weight", i)
        + value(name + ".bias", i)
    }
  }

  private func apply(_ prefix: String, _ x: [[Double]]) -> [[Double]] {
    let query = x.map { linear(prefix + "attn_q", $0) }, key = x.map { linear(prefix + "attn_k", $0) }
    let value = x.map { linear(prefix + "attn_v", $0) }
    return x.indices.map { token in
      let attended = (0..<heads).flatMap { attend(query[token], key, value, head: $0) }
      let a = norm(prefix + "attn_output_norm", sum(x[token], linear(prefix + "attn_output", attended)))
      let inner = linear(prefix + "ffn_up", a).map { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) }
      return norm(prefix + "layer_output_norm", sum(a, linear(prefix + "ffn_down", inner)))
    }
  }

  private func attend(_ query: [Double], _ keys: [[Double]], _ values: [[Double]], head: Int) -> [Double] {
    let size = width / heads, range = head * size..<(head + 1) * size
    let scores = keys.map { key in range.reduce(0) { $0 + query[$1] * key[$1] } / Double(size).squareRoot() }
    let largest = scores.max() ?? 0
    let weights = scores.map { exp($0 - largest) }, total = weights.reduce(0, +)
    return range.map { i in zip(weights, values).reduce(0) { $0 + $1.0 * $1.1[i] } / total }
  }

  private func sum(_ x: [Double], _ y: [Double]) -> [Double] { zip(x, y).map(+) }
}
