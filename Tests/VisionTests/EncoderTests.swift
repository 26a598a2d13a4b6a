import DuetRuntime
import DuetVision
import Foundation
import Testing

/// Tiny vision transformers of each kind, as transformers computes them (tools/reference/record_vision.py).
struct EncoderTests {
  struct Recording: Decodable {
    let values: [Float]
    let embeddings: [Float]
  }

  static let tiers: [String] = ["generic", "avx2"].filter { (name: String) in
    (try? Operations(tier: name)) != nil
  }

  @Test(arguments: ["mlp", "idefics3", "gemma3"], tiers)
  func embedsAsTransformersDoes(kind: String, tier: String) throws {
    let recording = try JSONDecoder().decode(Recording.self, from: fixture("\(kind).json"))
    let encoder = try VisionEncoder(path: fixturePath("\(kind).gguf"), threads: 2, tier: tier)
    let embeddings = encoder.encode(values: recording.values)
    #expect(embeddings.count == encoder.tokenCount * encoder.width)
    #expect(cosine(embeddings, recording.embeddings) > 0.99999)
    let largest = recording.embeddings.map(abs).max() ?? 0
    let error = zip(embeddings, recording.embeddings).map { abs($0 - $1) }.max() ?? .infinity
    #expect(error < 1e-4 * largest + 1e-5)
  }

  @Test(arguments: tiers)
  func convolvesAsPyTorchDoes(tier: String) throws {
    let recording = try JSONDecoder().decode(Recording.self, from: fixture("efficientnet.json"))
    let encoder = try VisionEncoder(path: fixturePath("efficientnet.gguf"), threads: 2, tier: tier)
    let embeddings = encoder.encode(values: recording.values)
    let chosen = stride(from: 0, to: embeddings.count, by: 16).map { embeddings[$0] }
    #expect(cosine(chosen, recording.embeddings) > 0.99999)
    // A second picture is not affected by the first.
    #expect(encoder.encode(values: recording.values) == embeddings)
  }

  @Test func threadsDoNotChangeTheResult() throws {
    let recording = try JSONDecoder().decode(Recording.self, from: fixture("mlp.json"))
    let one = try VisionEncoder(path: fixturePath("mlp.gguf"), threads: 1).encode(values: recording.values)
    let two = try VisionEncoder(path: fixturePath("mlp.gguf"), threads: 2).encode(values: recording.values)
    #expect(one == two)
  }

  @Test func otherFilesAreRefusedByName() throws {
    #expect(throws: VisionError.self) { try VisionEncoder(path: fixturePath("png.png")) }
    #expect(throws: VisionError.self) { try VisionEncoder(path: fixturePath("missing.gguf")) }
  }
}
