import Foundation

/// The decoder in double precision with whole matrices: no cache, no batches, no kernels.
struct NaiveDecoder {
  let model: TinyModel

  private typealias Vectors = [[Double]]
  private var isGemma: Bool { model.family == .gemma3 }

  private func weights(_ name: String) -> [Double] {
    (model.tensors[name]?.values ?? []).map(Double.init)
  }

  /// x: [tokens, columns] -> [tokens, rows]
  private func multiply(_ name: String, _ x: Vectors) -> Vectors {
    let matrix = weights(name)
    return x.map { x in
      stride(from: 0, to: matrix.count, by: x.count).map { start in
        x.indices.reduce(0) { $0 + matrix[start + $1] * x[$1] }
      }
    }
  }

  private func normalize(_ name: String, _ x: [Double]) -> [Double] {
    let weight = weights(name)
    let mean = x.reduce(0) { $0 + $1 * $1 } / Double(x.count)
    let factor = 1 / (mean + Double(model.epsilon)).squareRoot()
    return x.indices.map { x[$0] * factor * weight[$0] }
  }

  private func add(_ x: Vectors, _ y: Vectors) -> Vectors {
    zip(x, y).map { zip($0, $1).map { $0 + $1 } }
  }

  private func heads(_ x: [Double]) -> Vectors {
    stride(from: 0, to: x.count, by: model.headSize).map { Array(x[$0..<$0 + model.headSize]) }
  }

  private func rotate(_ x: [Double], _ position: Int, base: Double) -> [Double] {
    var out = x
    for pair in 0..<x.count / 2 {
      let angle = Double(position) * pow(base, -2 * Double(pair) / Double(x.count))
      let (i, j) = isGemma ? (pair, pair + x.count / 2) : (2 * pair, 2 * pair + 1)
      out[i] = x[i] * cos(angle) - x[j] * sin(angle)
      out[j] = x[i] * sin(angle) + x[j] * cos(angle)
    }
    return out
  }

  private func isLocal(_ layer: Int) -> Bool { isGemma && layer % 6 != 5 }

  /// Rotated heads of all tokens, [tokens][heads][head size].
  private func placed(_ part: String, _ x: Vectors, _ layer: Int) -> [Vectors] {
    let base = isLocal(layer) ? 10_000 : model.base
    return multiply("blk.\(layer).attn_\(part)", x).enumerated().map { position, row in
      heads(row).map { head in
        let normed = isGemma ? normalize("blk.\(layer).attn_\(part)_norm", head) : head
        return rotate(normed, position, base: base)
      }
    }
  }

  private func attention(_ x: Vectors, _ layer: Int) -> Vectors {
    let queries = placed("q", x, layer), keys = placed("k", x, layer)
    let values = multiply("blk.\(layer).attn_v", x).map(heads)
    let group = model.heads / model.keyValueHeads
    let mixed = queries.indices.map { token -> [Double] in
      let first = isLocal(layer) ? max(0, token - model.window + 1) : 0
      return queries[token].enumerated().flatMap { head, query -> [Double] in
        let scores = (first...token).map { other in
          zip(query, keys[other][head / group]).reduce(0) { $0 + $1.0 * $1.1 }
            / Double(model.headSize).squareRoot()
        }
        let largest = scores.max() ?? 0
        let exponentials = scores.map { exp($0 - largest) }
        let total = exponentials.reduce(0, +)
        return (0..<model.headSize).map { index in
          zip(first...token, exponentials).reduce(0) { $0 + values[$1.0][head / group][index] * $1.1 } / total
        }
      }
    }
    return multiply("blk.\(layer).attn_output", mixed)
  }

  private func activate(_ x: Double) -> Double {
    guard isGemma else { return x / (1 + exp(-x)) }
    return 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
  }

  private func feedForward(_ x: Vectors, _ layer: Int) -> Vectors {
    let gate = multiply("blk.\(layer).ffn_gate", x), up = multiply("blk.\(layer).ffn_up", x)
    return multiply("blk.\(layer).ffn_down", zip(gate, up).map { zip($0, $1).map { activate($0) * $1 } })
  }

  /// The logits after each of `tokens`.
  func logits(_ tokens: [Int32]) -> [[Double]] {
    let embedding = weights("token_embd"), width = model.width
    let scale = isGemma ? Double(width).squareRoot() : 1
    var x = tokens.map { token in embedding[Int(token) * width..<(Int(token) + 1) * width].map { $0 * scale }
    }
    for layer in 0..<model.layers {
      let name = "blk.\(layer)."
      var result = attention(x.map { normalize(name + "attn_norm", $0) }, layer)
      if isGemma { result = result.map { normalize(name + "post_attention_norm", $0) } }
      x = add(x, result)
      result = feedForward(x.map { normalize(name + "ffn_norm", $0) }, layer)
      if isGemma { result = result.map { normalize(name + "post_ffw_norm", $0) } }
      x = add(x, result)
    }
    return multiply(isGemma ? "token_embd" : "output", x.map { normalize("output_norm", $0) })
  }
}
