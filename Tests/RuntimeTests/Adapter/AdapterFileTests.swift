import DuetRuntime
import Testing

@Suite struct AdapterFileTests {
  private let tiny = TinyModel(.llama, vocabulary: 256)

  /// Opens the file after a change; its error.
  private func problem(_ change: (inout GGUFBuilder) -> Void) throws -> AdapterError? {
    let model = try tiny.open()
    var file = TinyAdapter(tiny).builder()
    change(&file)
    do {
      _ = try Adapter(file: try file.open(), for: model, isExact: false)
      return nil
    } catch let error as AdapterError {
      return error
    }
  }

  private func index(_ file: GGUFBuilder, _ name: String) throws -> Int {
    try #require(file.tensors.firstIndex { $0.name == name })
  }

  @Test func `a fitting adapter opens, and says what it is`() throws {
    #expect(try problem { _ in } == nil)
    #expect(try problem { $0.pairs.removeAll { $0.key == "adapter.lora.alpha" } } == nil)
    let adapter = try TinyAdapter(tiny, rank: 6).open(for: tiny.open())
    #expect(adapter.rank == 6 && adapter.alpha == 8 && adapter.matrixCount == 7 * tiny.layers)
  }

  @Test func `what is no adapter, or of another model, is refused by name`() throws {
    for (key, value) in [("general.type", "model"), ("adapter.type", "ia3")] {
      guard case .notAnAdapter? = try problem({ $0.set(key, .string(value)) }) else {
        Issue.record("\(key) \(value) was taken")
        continue
      }
    }
    let other = try problem { $0.set("general.architecture", .string("gemma3")) }
    guard case .otherArchitecture(_, adapter: "gemma3", model: "llama")? = other else {
      Issue.record("\(String(describing: other))")
      return
    }
    guard case .notAnAdapter? = try problem({ $0.tensors = [] }) else {
      Issue.record("an empty adapter was taken")
      return
    }
    guard
      case .file(.missing(_, key: "general.architecture"))? = try problem({
        $0.pairs.removeAll { $0.key == "general.architecture" }
      })
    else {
      Issue.record("an adapter of no architecture was taken")
      return
    }
  }

  @Test func `a tensor that does not fit is named with both shapes`() throws {
    let name = "blk.1.attn_k.weight"
    let wide = try problem { file in
      let index = try? index(file, name + ".lora_a")
      file.tensors[index ?? 0].shape = [32, 8]
    }
    #expect(
      wide
        == .wrongShape(
          path: path(wide), tensor: name + ".lora_a", shape: [32, 8], base: name, baseShape: [64, 64]))
    #expect("\(wide.map(String.init(describing:)) ?? "")".contains("[32, 8]"))
    let tall = try problem { file in
      let index = try? index(file, name + ".lora_b")
      file.tensors[index ?? 0].shape = [8, 32]
    }
    #expect(
      tall
        == .wrongShape(
          path: path(tall), tensor: name + ".lora_b", shape: [8, 32], base: name, baseShape: [64, 64]))
  }

  private func path(_ error: AdapterError?) -> String {
    if case .wrongShape(let path, _, _, _, _)? = error { return path }
    return ""
  }

  @Test func `halves without the other, of other ranks, unknown or broken are refused`() throws {
    let half = try problem { $0.tensors.removeAll { $0.name == "blk.0.ffn_up.weight.lora_b" } }
    guard case .missingHalf(_, tensor: "blk.0.ffn_up.weight.lora_b")? = half else {
      Issue.record("\(String(describing: half))")
      return
    }
    let ranks = try problem { file in
      let index = file.tensors.firstIndex { $0.name == "blk.2.ffn_up.weight.lora_a" } ?? 0
      file.tensors[index].shape = [64, 3]
    }
    guard case .rankMismatch(_, tensor: "blk.2.ffn_up.weight", a: [64, 3], b: [4, 96])? = ranks else {
      Issue.record("\(String(describing: ranks))")
      return
    }
    for name in ["output.weight.lora_a", "blk.3.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_c"] {
      let unknown = try problem { $0.addFloats(name, shape: [64, 4], [Float](repeating: 0, count: 256)) }
      guard case .unknownTensor(_, tensor: name)? = unknown else {
        Issue.record("\(String(describing: unknown))")
        continue
      }
    }
    for value in [Float.nan, .infinity, 1e30] {
      let broken = try problem { $0.tensors[5].bytes.replaceSubrange(8..<12, with: little(value.bitPattern)) }
      guard case .notFinite? = broken else {
        Issue.record("\(value) was taken")
        continue
      }
    }
    #expect(throws: AdapterError.scale(101)) {
      try Tuning(TinyAdapter(tiny).open(for: tiny.open()), scale: 101)
    }
  }

  @Test func `halves may be of any type of weights`() throws {
    let model = try tiny.open()
    var file = TinyAdapter(tiny, rank: 32).builder()
    for index in file.tensors.indices {
      let tensor = file.tensors[index]
      let count = tensor.shape.reduce(1, *)
      // Zeros: a block of any type whose bytes are zero stands for zeros.
      let type: TensorType = index % 2 == 0 ? .q8_0 : .f16
      file.tensors[index].type = type.rawValue
      file.tensors[index].bytes = [UInt8](repeating: 0, count: type.rowBytes(count))
    }
    let adapter = try Adapter(file: file.open(), for: model, isExact: false)
    #expect(adapter.matrixCount == 21)
  }
}
