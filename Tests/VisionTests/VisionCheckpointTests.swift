import DuetQuantize
import DuetRuntime
import DuetVision
import Foundation
import Testing

/// The part of a published checkpoint that reads images, as an mmproj file. The checkpoints and what their encoders make
/// of a square are transformers' (tools/reference/record_vision.py).
@Suite struct VisionCheckpointTests {
  private struct Recording: Decodable {
    let values: [Float]
    let embeddings: [Float]
  }

  private func checkpoint(_ kind: String) -> String { fixturePath("checkpoints/\(kind)") }

  @Test(arguments: ["mlp", "idefics3", "gemma3"])
  func `a checkpoint becomes the file that was made from the same weights`(kind: String) throws {
    let made = try VisionCheckpoint(path: checkpoint(kind)).file
    let known = try GGUFFile(path: fixturePath("\(kind).gguf"))
    for key in known.metadata.keys where key != "general.name" {
      #expect(said(known, key) == said(made, key), "\(key)")
    }
    #expect(Set(known.tensors.map(\.name)) == Set(made.tensors.map(\.name)))
    for tensor in known.tensors {
      let other = try #require(made[tensor.name])
      #expect(other.shape == tensor.shape)
      #expect(other.file.bytes(other.range) == tensor.file.bytes(tensor.range), "\(tensor.name)")
    }
  }

  private func said(_ file: GGUFFile, _ key: String) -> String {
    if let number = try? file.metadata.number(key) { return "\(number)" }
    guard case .array(let values)? = file.metadata[key] else {
      return "\(String(describing: file.metadata[key]))"
    }
    return "\(values.floats())"
  }

  @Test(arguments: ["mlp", "idefics3", "gemma3"], [QuantizationScheme.f32, .f16, .q8_0])
  func `encodes as transformers does once quantized`(kind: String, scheme: QuantizationScheme) throws {
    let recording = try JSONDecoder().decode(Recording.self, from: fixture("\(kind).json"))
    let path = FileManager.default.temporaryDirectory.path + "/duet-\(UUID().uuidString).gguf"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let plan = try QuantizationPlan(VisionCheckpoint(path: checkpoint(kind)).file, scheme: scheme)
    _ = try plan.write(to: path, options: QuantizationOptions(), replaces: false) { _, _ in }
    let embeddings = try VisionEncoder(path: path).encode(values: recording.values)
    let least = scheme == .f32 ? 0.99999 : scheme == .f16 ? 0.9999 : 0.999
    #expect(cosine(embeddings, recording.embeddings) > least)
  }

  /// What is said of a checkpoint whose `config.json` says `new` for `old`.
  private func refusal(_ kind: String, _ old: String, _ new: String) throws -> String {
    let folder = FileManager.default.temporaryDirectory.appending(path: "duet-\(UUID().uuidString)")
    try FileManager.default.copyItem(at: URL(filePath: checkpoint(kind)), to: folder)
    defer { try? FileManager.default.removeItem(at: folder) }
    let config = folder.appending(path: "config.json")
    let text = try String(contentsOf: config, encoding: .utf8)
    #expect(text.contains(old), "nothing to replace")
    try text.replacingOccurrences(of: old, with: new).write(to: config, atomically: true, encoding: .utf8)
    do { _ = try VisionCheckpoint(path: folder.path) } catch { return error.description }
    return ""
  }

  @Test func `what it cannot be is said in a line`() throws {
    for (kind, old, new, said) in [
      ("mlp", "\"llava\"", "\"llama\"", "architecture llama"),
      ("mlp", "\"vision_config\"", "\"x\"", "vision_config"),
      ("mlp", "\"vision_feature_layer\": -2", "\"vision_feature_layer\": -1", "vision_feature_layer"),
      ("mlp", "\"default\"", "\"full\"", "vision_feature_select_strategy full"),
      ("mlp", "\"quick_gelu\"", "\"tanh\"", "hidden_act tanh"),
      ("idefics3", "\"scale_factor\": 2", "\"scale_factor\": -1", "scale_factor"),
      ("gemma3", "\"mm_tokens_per_image\": 4", "\"mm_tokens_per_image\": 5", "mm_tokens_per_image"),
      ("gemma3", "\"model_type\": \"gemma3\"", "\"model_type\": \"idefics3\"", "mm.model.fc.weight"),
    ] {
      let message = try refusal(kind, old, new)
      #expect(message.contains(said), "\(message)")
      #expect(!message.contains("\n"))
    }
    #expect(throws: CheckpointError.self) { try VisionCheckpoint(path: "/nowhere") }
  }

  /// Calls `body` with a copy of a checkpoint's folder.
  private func withCopy(_ kind: String, _ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "duet-\(UUID().uuidString)")
    try FileManager.default.copyItem(at: URL(filePath: checkpoint(kind)), to: folder)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
  }

  @Test(arguments: [("preprocessor_config.json", ""), ("processor_config.json", "{\"image_processor\": ")])
  func `the processor's file says how channels are scaled`(name: String, before: String) throws {
    try withCopy("idefics3") { folder in
      func write(_ mean: String) throws {
        let text =
          "\(before){\"image_mean\": \(mean), \"image_std\": [0.25, 0.5, 1], \"size\": {\"longest_edge\": 1536}}"
        try (text + (before.isEmpty ? "" : "}")).write(
          to: folder.appending(path: name), atomically: true, encoding: .utf8)
      }
      try write("[0.125, 0.5, 0.75]")
      let file = try VisionCheckpoint(path: folder.path).file
      #expect(said(file, "clip.vision.image_mean") == "[0.125, 0.5, 0.75]")
      #expect(said(file, "clip.vision.image_std") == "[0.25, 0.5, 1.0]")
      #expect(said(file, "clip.vision.preproc_image_size") == "1536.0")
      try write("[0.125, 0.5]")
      #expect(throws: CheckpointError.self) { try VisionCheckpoint(path: folder.path) }
    }
  }

  @Test(arguments: ["mlp", "idefics3", "gemma3"])
  func `damaged files are refused or read, and nothing traps`(kind: String) throws {
    try withCopy(kind) { folder in
      var state: UInt64 = 9
      func next(_ count: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % count
      }
      for name in ["config.json", "model.safetensors"] {
        let path = folder.appending(path: name), whole = try Data(contentsOf: path)
        // The header, where all that is read without a check of its own would be.
        let reach = min(whole.count, 8_192)
        for round in 0..<150 {
          var bytes = whole
          if round % 5 == 0 {
            bytes = bytes.prefix(next(whole.count))
          } else {
            for _ in 0...round % 4 { bytes[next(reach)] = UInt8(next(256)) }
          }
          try bytes.write(to: path)
          do {
            _ = try VisionCheckpoint(path: folder.path)
          } catch let error as CheckpointError { #expect(!error.description.contains("\n")) }
        }
        try whole.write(to: path)
      }
    }
  }
}
