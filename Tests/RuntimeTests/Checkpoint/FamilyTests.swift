import DuetRuntime
import Foundation
import Testing

/// Every family and rotary scaling against transformers: `tools/reference/record_families.py` recorded
/// the logits, with attention that is peaked, caps that bite, and sequences longer than two windows or
/// than twice the original context.
struct FamilyTests {
  /// The logits of the recorded positions, computed in single precision.
  private func logits(_ file: GGUFFile, _ family: FamilyCase) throws -> [[Float]] {
    let weights = try ModelWeights(file: file, operations: Operations(tier: "generic"))
    let decoder = Decoder(
      weights, pool: ThreadPool(threadCount: 1), capacity: family.tokens.count, precision: .float32,
      contextLength: family.tokens.count)
    let sequence = CachedSequence(layout: weights.cacheLayout(.f32), salt: 0)
    let rows = decoder.forward([DecoderStep(sequence, family.tokens[...], logits: .all)])
    #expect(rows == family.tokens.count)
    let width = weights.config.vocabularySize
    return family.positions.map { decoder.logits.array($0 * width..<($0 + 1) * width) }
  }

  /// The largest difference, relative to the root mean square of the recorded logits.
  private func error(_ logits: [[Float]], _ family: FamilyCase) -> Double {
    let expected = family.logits.joined().map(Double.init), found = logits.joined().map(Double.init)
    let scale = (expected.reduce(0) { $0 + $1 * $1 } / Double(expected.count)).squareRoot()
    return zip(expected, found).reduce(0) { max($0, abs($1.0 - $1.1)) } / scale
  }

  private func folder(
    _ family: FamilyCase, _ change: (inout [String: Any]) -> Void = { _ in }
  ) throws -> CheckpointFolder {
    try CheckpointFolder(family.files(change))
  }

  @Test(arguments: FamilyCase.names)
  func `a checkpoint's logits equal transformers'`(_ name: String) throws {
    let family = try FamilyCase.read(name)
    let folder = try folder(family)
    let error = error(try logits(Model.file(path: folder.path), family), family)
    #expect(error <= 1e-4, "relative error \(error)")
  }

  @Test(arguments: FamilyCase.names)
  func `the same checkpoint as a GGUF file has the same logits`(_ name: String) throws {
    let family = try FamilyCase.read(name)
    let folder = try folder(family)
    let path = folder.path + "/model.gguf"
    try write(Checkpoint(path: folder.path), to: path)
    let error = error(try logits(GGUFFile(path: path), family), family)
    #expect(error <= 1e-4, "relative error \(error)")
  }

  /// Class, what stands before the names of the decoder's tensors and of the last matrix, and a tensor of the eyes.
  @Test(arguments: [
    ("LlavaForConditionalGeneration", "language_model.model.", "language_model.", "vision_tower.x.weight"),
    (
      "LlavaForConditionalGeneration", "model.language_model.", "",
      "model.multi_modal_projector.linear_1.bias"
    ),
    ("Idefics3ForConditionalGeneration", "model.text_model.", "", "model.connector.proj.weight"),
    ("SmolVLMForConditionalGeneration", "model.text_model.", "", "model.vision_model.encoder.x.weight"),
  ])
  func `the language model of one that sees is the same as alone`(
    _ names: (seeing: String, decoder: String, outer: String, eye: String)
  ) throws {
    let family = try FamilyCase.read("llama")
    var text = family.config, files = try family.files()
    text["architectures"] = nil
    // As large as the library takes it to be where nothing is said.
    for key in ["rms_norm_eps", "rope_parameters"] { text[key] = nil }
    files["config.json"] = try JSONSerialization.data(
      withJSONObject: ["architectures": [names.seeing], "model_type": "seeing", "text_config": text])
    let tensors = family.tensors.map { tensor in
      let name =
        tensor.name.hasPrefix("model.")
        ? names.decoder + tensor.name.dropFirst(6) : names.outer + tensor.name
      return (name, tensor.shape, tensor.values)
    }
    files["model.safetensors"] = Safetensors.file(tensors + [(names.eye, [2], [1, 2])])
    let folder = try CheckpointFolder(files)
    let error = error(try logits(Model.file(path: folder.path), family), family)
    #expect(error <= 1e-4, "relative error \(error)")
  }

  @Test func `an error names the language model that one that sees has`() throws {
    var files = try FamilyCase.read("llama").files()
    files["config.json"] = Data(
      #"{"architectures":["LlavaForConditionalGeneration"],"text_config":{"model_type":"gemma2"}}"#.utf8)
    let folder = try CheckpointFolder(files)
    let error = #expect(throws: CheckpointError.self) { try Checkpoint(path: folder.path) }
    #expect("\(try #require(error))".contains("LlavaForConditionalGeneration over gemma2"))
  }

  /// transformers 5.24: what `LlamaConfig`, `MistralConfig` and `Qwen2Config` say of themselves.
  @Test(arguments: [
    ("llama", "llama", [4_096, 32, 11_008, 32, nil, 2_048]),
    ("mistral", "llama", [4_096, 32, 14_336, 32, 8, 131_072]),
    ("qwen2", "qwen2", [4_096, 32, 22_016, 32, nil, 32_768]),
  ])
  func `what the language model of LLaVA leaves out is as its library takes it`(
    _ type: String, _ architecture: String, _ expected: [Int?]
  ) throws {
    var files = try FamilyCase.read("llama").files()
    files["config.json"] = Data(
      #"{"architectures":["LlavaForConditionalGeneration"],"text_config":{"model_type":"\#(type)"}}"#.utf8)
    let folder = try CheckpointFolder(files)
    let metadata = try Checkpoint(path: folder.path).file.metadata
    let fields = [
      "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
      "attention.head_count_kv",
      "context_length",
    ]
    #expect(try fields.map { try metadata.integer("\(architecture).\($0)") } == expected)
    #expect(try metadata.number("\(architecture).attention.layer_norm_rms_epsilon").map(Float.init) == 1e-6)
    #expect(try metadata.number("\(architecture).rope.freq_base").map(Float.init) == 10_000)
  }

  /// Every tensor as F32, its rows in GGUF's order.
  private func write(_ checkpoint: Checkpoint, to path: String) throws {
    let file = checkpoint.file, operations = try Operations()
    let plans = file.tensors.map { TensorPlan(name: $0.name, shape: $0.shape, type: .f32) }
    let pairs = file.metadata.keys.compactMap { key in file.metadata[key].map { (key: key, value: $0) } }
    let writer = try GGUFWriter(path: path, metadata: pairs, tensors: plans)
    for tensor in file.tensors {
      let values = FloatBuffer(count: tensor.elementCount)
      try operations.floats(of: tensor, rows: 0..<tensor.rows, out: values)
      try values.withSpan(0..<values.count) { try writer.write($0) }
    }
    try writer.finish()
  }

  @Test(arguments: FamilyCase.names)
  func `a rotary base changed by a tenth is noticed`(_ name: String) throws {
    let family = try FamilyCase.read(name)
    let folder = try folder(family) { config in
      var rotary = config["rope_parameters"] as? [String: Any] ?? [:]
      for (key, value) in rotary {
        guard var part = value as? [String: Any], let base = part["rope_theta"] as? Double else { continue }
        part["rope_theta"] = base * 1.1
        rotary[key] = part
      }
      if let base = rotary["rope_theta"] as? Double { rotary["rope_theta"] = base * 1.1 }
      config["rope_parameters"] = rotary
    }
    #expect(error(try logits(Model.file(path: folder.path), family), family) > 1e-2)
  }

  @Test func `an unknown architecture is refused by name, with those that are known`() throws {
    let family = try FamilyCase.read("llama")
    let folder = try folder(family) { $0["architectures"] = ["MambaForCausalLM"] }
    let error = #expect(throws: ModelError.self) { try Model(path: folder.path) }
    let text = "\(try #require(error))"
    #expect(text.contains("MambaForCausalLM") && text.contains("Qwen2ForCausalLM"))
  }

  @Test func `a folder opens as a model that encodes and answers`() async throws {
    let folder = try folder(FamilyCase.read("qwen2"))
    let model = try Model(path: folder.path)
    #expect(model.tokenizer.encode("ABC") == [32, 33, 34])
    #expect(model.config.architecture == "qwen2")
  }
}
