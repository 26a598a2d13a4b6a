import DuetRuntime
import Foundation

/// A made adapter of a made model: random factors for every matrix that can be adapted.
struct TinyAdapter {
  static let parts = [
    "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down",
  ]

  let model: TinyModel
  let rank: Int
  var alpha: Float = 8
  /// By the matrix's name: A as [rank, columns], B as [rows, rank].
  private(set) var factors: [String: (a: [Float], b: [Float])] = [:]

  /// `parts` are the matrices of each layer that are adapted.
  init(_ model: TinyModel, rank: Int = 4, parts: [String] = Self.parts, seed: UInt64 = 11) {
    self.model = model
    self.rank = rank
    var random = SplitMix(seed: seed)
    for layer in 0..<model.layers {
      for part in parts {
        let name = "blk.\(layer).\(part)"
        guard let shape = model.tensors[name]?.shape else { continue }
        factors[name] = (
          randomFloats(rank * shape[0], in: -0.2...0.2, &random),
          randomFloats(rank * shape[1], in: -0.2...0.2, &random)
        )
      }
    }
  }

  /// The model with the adapter worked into its weights.
  func merged(scale: Float = 1) -> TinyModel {
    var model = model
    let factor = scale * alpha / Float(rank)
    for (name, pair) in factors {
      let columns = pair.a.count / rank, rows = pair.b.count / rank
      var change = [Float](repeating: 0, count: rows * columns)
      for row in 0..<rows {
        for j in 0..<rank {
          let b = factor * pair.b[row * rank + j]
          for column in 0..<columns { change[row * columns + column] += b * pair.a[j * columns + column] }
        }
      }
      model.add(change, to: name)
    }
    return model
  }

  private static func blocks(_ values: [Float], _ type: TensorType) -> [UInt8] {
    stride(from: 0, to: values.count, by: 32).flatMap { TinyModel.block(Array(values[$0..<$0 + 32]), type) }
  }

  /// The adapter with the first factors that Q8_0 holds of its own.
  func rounded() -> TinyAdapter {
    var adapter = self
    for (name, pair) in factors {
      let bytes = Self.blocks(pair.a, .q8_0)
      adapter.factors[name]?.a = stride(from: 0, to: bytes.count, by: 34).flatMap { start in
        let scale = Float16(bitPattern: UInt16(bytes[start]) | UInt16(bytes[start + 1]) << 8)
        return (2..<34).map { Float(scale) * Float(Int8(bitPattern: bytes[start + $0])) }
      }
    }
    return adapter
  }

  /// `first` is the type of lora_a: single precision or Q8_0.
  func builder(first: TensorType = .f32) -> GGUFBuilder {
    var file = GGUFBuilder()
    file.set("general.type", .string("adapter"))
    file.set("general.architecture", .string(model.family.rawValue))
    file.set("adapter.type", .string("lora"))
    file.set("adapter.lora.alpha", .float32(alpha))
    for (name, pair) in factors.sorted(by: { $0.key < $1.key }) {
      let shape = [pair.a.count / rank, rank], stored = "\(name).weight.lora_a"
      if first == .f32 {
        file.addFloats(stored, shape: shape, pair.a)
      } else {
        file.tensors.append(
          GGUFBuilder.Tensor(
            name: stored, shape: shape, type: first.rawValue, bytes: Self.blocks(pair.a, first)))
      }
      file.addFloats("\(name).weight.lora_b", shape: [rank, pair.b.count / rank], pair.b)
    }
    return file
  }

  /// Opens the adapter for `model`, which must have been made of the same made model.
  func open(for model: Model, first: TensorType = .f32, isExact: Bool = false) throws -> Adapter {
    try Adapter(file: builder(first: first).open(), for: model, isExact: isExact)
  }
}

extension TinyModel {
  /// The model with a vocabulary of bytes, as an app opens it.
  func open() throws -> Model {
    let path = FileManager.default.temporaryDirectory.path + "/duet-\(UUID().uuidString).gguf"
    try Data(builder(TinyVocabulary.byteLevel().builder).bytes()).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try Model(path: path)
  }
}
