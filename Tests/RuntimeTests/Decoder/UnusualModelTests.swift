import DuetRuntime
import Testing

/// Models that are well-formed but like no other.
struct UnusualModelTests {
  /// A small file of very many heads: all weights are 0.
  private func manyHeads(_ count: Int) throws -> ModelWeights {
    var file = GGUFBuilder()
    file.set("general.architecture", .string("llama"))
    let fields = [
      "block_count": 1, "context_length": 64, "embedding_length": 32, "feed_forward_length": 32,
      "attention.head_count": count, "attention.head_count_kv": count, "attention.key_length": 2,
    ]
    for (name, value) in fields { file.set("llama.\(name)", .uint32(UInt32(value))) }
    file.set("llama.attention.layer_norm_rms_epsilon", .float32(1e-5))
    let matrices = [
      "token_embd": [32, 8], "blk.0.attn_q": [32, 2 * count], "blk.0.attn_k": [32, 2 * count],
      "blk.0.attn_v": [32, 2 * count], "blk.0.attn_output": [2 * count, 32], "blk.0.ffn_gate": [32, 32],
      "blk.0.ffn_up": [32, 32], "blk.0.ffn_down": [32, 32],
    ]
    for (name, shape) in matrices {
      let bytes = [UInt8](repeating: 0, count: TensorType.q4_0.rowBytes(shape[0]) * shape[1])
      file.tensors.append(.init(name: name + ".weight", shape: shape, type: 2, bytes: bytes))
    }
    for name in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"] {
      file.addFloats(name + ".weight", shape: [32], [Float](repeating: 1, count: 32))
    }
    return try ModelWeights(file: file.open(), operations: Operations())
  }

  @Test func `more heads than the pool shares out at once are no reason to trap`() throws {
    let weights = try manyHeads(65_536)
    let decoder = Decoder(weights, pool: ThreadPool(threadCount: 2), capacity: 32)
    let sequence = CachedSequence(layout: weights.cacheLayout(.f16), salt: 0)
    for count in [1, Decoder.directTokens, Decoder.directTokens + 1] {
      let tokens = [Int32](repeating: 1, count: count)
      #expect(decoder.forward([DecoderStep(sequence, tokens[...])]) == 1)
      #expect(decoder.logits.array(0..<8) == [Float](repeating: 0, count: 8))
    }
  }

  private func open(_ family: TinyModel.Family, _ change: (inout GGUFBuilder) -> Void) throws {
    var file = TinyModel(family).builder()
    change(&file)
    _ = try ModelWeights(file: file.open(), operations: Operations())
  }

  @Test(arguments: TinyModel.Family.allCases)
  func `biases, which would be left out, are refused`(_ family: TinyModel.Family) throws {
    let error = #expect(throws: ModelError.self) {
      try open(family) { $0.addFloats("blk.0.attn_norm.bias", shape: [64], [Float](repeating: 1, count: 64)) }
    }
    #expect("\(try #require(error))".contains("blk.0.attn_norm.bias"))
  }

  @Test func `fields out of range are refused by name`() throws {
    for (key, value) in [
      ("gemma3.rope.freq_base_swa", GGUFBuilder.Value.float32(-1)), ("gemma3.rope.freq_base", .float32(0)),
      ("gemma3.embedding_length", .uint32(1)),
    ] {
      let error = #expect(throws: ModelError.self) { try open(.gemma3) { $0.set(key, value) } }
      #expect("\(try #require(error))".contains(key))
    }
  }
}
