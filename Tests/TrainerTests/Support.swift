import DuetRuntime
import DuetTrainer
import Foundation
import Testing

/// The recorded models, rows and figures.
enum Fixtures {
  static func path(_ name: String) -> String {
    (Bundle.module.resourcePath ?? "") + "/Fixtures/" + name
  }

  static func lines(_ name: String) throws -> [Data] {
    try Data(contentsOf: URL(filePath: path(name))).split(separator: 0x0a).map { Data($0) }
  }

  /// The real models, where `DUET_MODELS` or the set-up has them.
  static func model(_ name: String) -> String {
    let environment = ProcessInfo.processInfo.environment
    if let folder = environment["DUET_MODELS"], !folder.isEmpty { return "\(folder)/\(name)" }
    let data = environment["XDG_DATA_HOME"].flatMap { $0.isEmpty ? nil : $0 }
    return (data ?? (environment["HOME"] ?? "") + "/.local/share") + "/duet/models/" + name
  }

  static let smolLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
  static let gemma3 = "gemma-3-270m-q4_k_m.gguf"
  static let haveModels =
    [smolLM2, gemma3].allSatisfy {
      FileManager.default.fileExists(atPath: model($0))
    } || !(ProcessInfo.processInfo.environment["CI"] ?? "").isEmpty
}

/// A folder that goes away with the test.
final class TemporaryFolder {
  let path = FileManager.default.temporaryDirectory.path + "/duet-trainer-\(UUID().uuidString)"

  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }
}

/// A family's tiny model and what PyTorch made of it, see tools/reference.
struct TinyRecord: Decodable {
  struct Row: Decodable {
    let ids: [Int32]
    let weights: [Float]
  }
  struct Gradient: Decodable {
    let name: String
    let norm: Double
    /// Pairs of an index in the file's order and the value there.
    let entries: [[Double]]
  }
  struct Run: Decodable {
    let lr: Double
    let warmup: Int
    let steps: Int
    let weightDecay: Double
    let clip: Double
    let rank: Int?
    let alpha: Float?
    let losses: [Double]
    let gradients: [Gradient]
  }
  let rows: [Row]
  let full: Run
  let lora: Run

  static let families = ["llama", "gemma3", "qwen2", "qwen3", "gemma2", "phi3"].filter {
    DecoderConfig.knownArchitectures.contains($0)
  }

  init(_ family: String) throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("tiny/\(family).json")))
    self = try decoder.decode(Self.self, from: data)
  }

  var examples: [TrainingExample] {
    rows.enumerated().map { TrainingExample(id: "\($0)", tokens: $1.ids, weights: $1.weights) }
  }

  /// All rows in one batch.
  var packed: PackedBatch { PackedBatch(examples) }

  func method(isFull: Bool) -> TrainingMethod {
    guard !isFull else { return .full }
    var options = LoRAOptions()
    options.rank = lora.rank ?? 4
    options.alpha = lora.alpha ?? 8
    return .lora(options)
  }

  func trainer(_ family: String, isFull: Bool, threads: Int = 1) throws -> Trainer {
    let run = isFull ? full : lora
    var options = TrainingOptions()
    options.method = method(isFull: isFull)
    options.steps = run.steps
    options.learningRate = run.lr
    options.warmup = Double(run.warmup) / Double(run.steps)
    options.weightDecay = run.weightDecay
    options.clip = run.clip
    options.rowsPerStep = rows.count
    options.shuffles = false
    options.threads = threads
    let model = try Model(path: Fixtures.path("tiny/\(family).gguf"))
    let trainer = try Trainer(model, data: TrainingData(examples: examples), options: options)
    if !isFull { try trainer.start(from: Fixtures.path("tiny/\(family).lora.gguf")) }
    return trainer
  }
}
