import DuetQuantize
import DuetRuntime
import DuetTrainer
import Foundation
import Synchronization
import Testing

/// The runtime is the twin here: its decoder has no line of code in common with the training pass but
/// norms, rotations and activations.
@Suite struct InferenceTests {
  @Test(arguments: TinyRecord.families)
  func `training predicts what inference predicts`(_ family: String) async throws {
    let record = try TinyRecord(family), trainer = try record.trainer(family, isFull: false)
    let ids = record.rows.flatMap(\.ids)
    try await compare(trainer, Fixtures.path("tiny/\(family).gguf"), ids, record.method(isFull: false))
  }

  /// Real weights in half precision, as the base of a pair has them.
  @Test(.enabled(if: Fixtures.haveModels, "the models are absent: run tools/duet once"))
  func `training predicts what inference predicts on SmolLM2`() async throws {
    let folder = try TemporaryFolder(), path = folder("f16.gguf")
    var quantization = QuantizationOptions()
    quantization.allowsRequantizing = true
    let source = try GGUFFile(path: Fixtures.model(Fixtures.smolLM2))
    let plan = try QuantizationPlan(source, scheme: .f16, options: quantization)
    _ = try plan.write(to: path, options: quantization)
    let model = try Model(path: path)
    var options = TrainingOptions()
    options.steps = 2
    options.rowsPerStep = 1
    options.warmup = 0
    options.learningRate = 2e-3
    let ids = model.tokenizer.encode(
      Array("The river rises in the hills north of the town and runs for sixty miles to the sea.".utf8))
    let example = TrainingExample(id: "river", tokens: ids, weights: ids.map { _ in 1 })
    let trainer = try Trainer(model, data: TrainingData(examples: [example]), options: options)
    try await compare(trainer, path, ids, options.method)
  }

  /// Trains two steps, so that the adapter changes something, and compares each token's loss.
  private func compare(
    _ trainer: Trainer, _ path: String, _ ids: [Int32], _ method: TrainingMethod
  ) async throws {
    let folder = try TemporaryFolder()
    let batch = PackedBatch([TrainingExample(id: "all", tokens: ids, weights: ids.map { _ in 1 })])
    let untrained = trainer.pass.losses(batch)
    try trainer.run(checkpoint: { _ in }, keep: { _ in }) { _ in }
    try trainer.writeTuning(folder("adapter.gguf"), name: "adapter")
    let losses = trainer.pass.losses(batch)
    #expect(zip(losses, untrained).contains { abs($0 - $1) > 0.05 }, "the adapter changes nothing")

    let model = try Model(path: path)
    let tuning = try Tuning(Adapter(path: folder("adapter.gguf"), for: model, isExact: true))
    var options = EngineOptions()
    options.activations = .float32
    options.cache = .f32
    let rows = Mutex<[Double]>([])
    _ = try await Engine(model, options).perplexity(
      of: ids, window: ids.count, beginning: nil, tuning: tuning,
      logits: { span in
        rows.withLock { rows in
          let target = ids[min(rows.count + 1, ids.count - 1)]
          rows.append(Self.loss(span, Int(target)))
        }
      }, progress: { _ in })
    let expected = rows.withLock { $0 }
    #expect(losses.count == ids.count - 1 && expected.count >= losses.count)
    for (found, expected) in zip(losses, expected) { #expect(abs(found - expected) <= 1e-3) }
  }

  private static func loss(_ logits: Span<Float>, _ target: Int) -> Double {
    var largest = -Double.infinity, sum = 0.0
    for index in logits.indices { largest = max(largest, Double(logits[index])) }
    for index in logits.indices { sum += exp(Double(logits[index]) - largest) }
    return largest + log(sum) - Double(logits[target])
  }
}
