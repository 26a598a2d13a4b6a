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

  static let tiers: [String] = ["generic", "avx2", "avx512"].filter { (name: String) in
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

  /// The convolutional encoder's file with further tensors and metadata, under a path of its own.
  private func extended(
    with added: [(TensorPlan, [Float])], _ metadata: [(key: String, value: GGUFValue)] = []
  ) throws -> String {
    let file = try GGUFFile(path: fixturePath("efficientnet.gguf"))
    let path = FileManager.default.temporaryDirectory.path + "/duet-\(UUID().uuidString).gguf"
    let writer = try GGUFWriter(
      path: path,
      metadata: file.metadata.keys.compactMap { key in file.metadata[key].map { (key, $0) } } + metadata,
      tensors: file.tensors.map { TensorPlan(name: $0.name, shape: $0.shape, type: $0.type) } + added.map(\.0)
    )
    for tensor in file.tensors { try writer.write(tensor.file.bytes(tensor.range)) }
    for (_, values) in added { try writer.write(values.span) }
    try writer.finish()
    return path
  }

  /// Square pictures of noise, named by a drawn classifier as a naive twin names them.
  @Test func classesAreNamedByTheMeanOfTheFeatures() throws {
    let bare = try VisionEncoder(path: fixturePath("efficientnet.gguf"))
    let names = ["dog", "ball", "dog", "sea", "ski", "lamp", "cup", "bus", "dog", "cat"], columns = bare.width
    var random = RandomSource(seed: 6)
    let weights = (0..<names.count * columns).map { _ in (2 * random.unit() - 1) / Float(columns).squareRoot()
    }
    let biases = names.map { _ in 2 * random.unit() }
    let path = try extended(
      with: [
        (TensorPlan(name: "v.classes.weight", shape: [columns, names.count], type: .f32), weights),
        (TensorPlan(name: "v.classes.bias", shape: [names.count], type: .f32), biases),
      ], [("duet.vision.classes", .array(GGUFArray(strings: names)))])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let encoder = try VisionEncoder(path: path), side = encoder.processor.side
    var seen: Set<[String]> = []
    for _ in 0..<6 {
      let pixels = (0..<side * side * 3).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let picture = Bitmap(width: side, height: side, pixels: pixels)
      let features = bare.encode(picture), tokens = features.count / columns
      var shares: [String: Double] = [:]
      for (row, name) in names.enumerated() {
        let score = (0..<columns).reduce(Double(biases[row])) { sum, column in
          let mean = (0..<tokens).reduce(0) { $0 + Double(features[$1 * columns + column]) } / Double(tokens)
          return sum + mean * Double(weights[row * columns + column])
        }
        shares[name, default: 0] += exp(score)
      }
      let total = shares.values.reduce(0, +)
      let expected = shares.filter { $0.value / total >= 0.03 }.sorted { $0.value > $1.value }.prefix(5).map(
        \.key)
      let found = encoder.embeddings(of: picture)
      #expect(found.things == expected && bare.embeddings(of: picture).things.isEmpty)
      #expect(found.hint == "It may show: \(expected.joined(separator: ", ")).")
      seen.insert(expected)
    }
    #expect(!seen.contains([]))
  }

  @Test func classesWithoutNamesAreRefused() throws {
    let columns = try VisionEncoder(path: fixturePath("efficientnet.gguf")).width
    func error(_ names: GGUFValue?) throws -> String {
      let plan = TensorPlan(name: "v.classes.weight", shape: [columns, 2], type: .f32)
      let path = try extended(
        with: [(plan, Array(repeating: 0, count: 2 * columns))],
        names.map { [(key: "duet.vision.classes", value: $0)] } ?? [])
      defer { try? FileManager.default.removeItem(atPath: path) }
      do { _ = try VisionEncoder(path: path) } catch { return error.description }
      return ""
    }
    func list(_ names: String...) -> GGUFValue { .array(GGUFArray(strings: names)) }
    for names in [nil, .string("dog"), list("dog", ""), list()] {
      #expect(try error(names).contains("duet.vision.classes"))
    }
    #expect(try error(list("dog")).contains("v.classes.weight"))
  }

  /// The encoder's file with two drawn layers behind it, which a naive twin applies to its features.
  @Test(arguments: tiers)
  func featuresGoThroughTheProjector(tier: String) throws {
    let recording = try JSONDecoder().decode(Recording.self, from: fixture("efficientnet.json"))
    let columns = try VisionEncoder(path: fixturePath("efficientnet.gguf")).width, hidden = 40, width = 36
    var random = RandomSource(seed: 5)
    let layers = [(hidden, columns), (width, hidden)].map { rows, columns in
      (0..<rows * columns).map { _ in (2 * random.unit() - 1) / Float(columns).squareRoot() }
    }
    let biases = [hidden, width].map { count in (0..<count).map { _ in random.unit() - 0.5 } }
    let path = try extended(with: [
      (TensorPlan(name: "mm.0.weight", shape: [columns, hidden], type: .f32), layers[0]),
      (TensorPlan(name: "mm.0.bias", shape: [hidden], type: .f32), biases[0]),
      (TensorPlan(name: "mm.2.weight", shape: [hidden, width], type: .f32), layers[1]),
      (TensorPlan(name: "mm.2.bias", shape: [width], type: .f32), biases[1]),
    ])
    defer { try? FileManager.default.removeItem(atPath: path) }

    let bare = try VisionEncoder(path: path, threads: 2, tier: tier, projects: false)
    let features = bare.encode(values: recording.values)
    let encoder = try VisionEncoder(path: path, threads: 2, tier: tier)
    let found = encoder.encode(values: recording.values)
    #expect(bare.width == columns && encoder.width == width && encoder.question == nil)
    for token in 0..<encoder.tokenCount {
      let x = features[token * columns..<(token + 1) * columns].map(Double.init)
      let inner = (0..<hidden).map { row in
        let sum = x.indices.reduce(Double(biases[0][row])) {
          $0 + x[$1] * Double(layers[0][row * columns + $1])
        }
        return 0.5 * sum * (1 + tanh((2 / Double.pi).squareRoot() * (sum + 0.044715 * sum * sum * sum)))
      }
      for row in 0..<width {
        let sum = inner.indices.reduce(Double(biases[1][row])) {
          $0 + inner[$1] * Double(layers[1][row * hidden + $1])
        }
        #expect(abs(sum - Double(found[token * width + row])) < 1e-4 * max(1, abs(sum)))
      }
    }
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
