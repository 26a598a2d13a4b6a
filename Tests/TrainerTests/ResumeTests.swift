import DuetRuntime
import DuetTrainer
import Foundation
import Testing

@Suite struct ResumeTests {
  private struct Killed: Error {}

  /// Runs until the end, or until `steps` steps and some rows of the next are done.
  private func run(_ trainer: Trainer, _ checkpoint: String, killedAfter steps: Int? = nil) throws {
    do {
      try trainer.run(
        checkpoint: { try $0.writeCheckpoint(checkpoint, identity: []) }, keep: { _ in }
      ) { event in
        if case .progress = event, trainer.step == steps { throw Killed() }
      }
    } catch is Killed {}
  }

  private func trainer(_ family: String, _ data: TrainingData, dropout: Float) throws -> Trainer {
    var lora = LoRAOptions()
    lora.rank = 4
    lora.dropout = dropout
    var options = TrainingOptions()
    options.method = .lora(lora)
    options.steps = 24
    options.rowsPerStep = 3
    options.batchTokens = 20
    options.learningRate = 5e-3
    options.checkpointInterval = 1
    let model = try Model(path: Fixtures.path("tiny/\(family).gguf"))
    return try Trainer(model, data: data, options: options)
  }

  private func values(_ trainer: Trainer) -> [[UInt32]] {
    trainer.trained.parameters.map { parameter in
      parameter.value.array(0..<parameter.count).map(\.bitPattern)
    }
  }

  @Test(arguments: [0, 0.3] as [Float])
  func `a run killed ten times ends with the same bits`(_ dropout: Float) throws {
    let folder = try TemporaryFolder(), data = TrainingData(examples: try TinyRecord("llama").examples)
    let whole = try trainer("llama", data, dropout: dropout)
    try run(whole, folder("whole"))
    for steps in [1, 2, 5, 6, 9, 13, 14, 18, 21, 23] {
      let part = try trainer("llama", data, dropout: dropout)
      if steps > 1 { try part.resume(folder("part"), identity: []) }
      try run(part, folder("part"), killedAfter: steps)
    }
    let last = try trainer("llama", data, dropout: dropout)
    try last.resume(folder("part"), identity: [])
    try run(last, folder("part"))
    #expect(last.step == 24 && values(last) == values(whole))
  }

  @Test func `a loss that is no number ends the run, and the checkpoint stays as it was`() throws {
    let folder = try TemporaryFolder(), data = TrainingData(examples: try TinyRecord("llama").examples)
    let good = try trainer("llama", data, dropout: 0)
    try run(good, folder("a"), killedAfter: 3)
    let before = try Data(contentsOf: URL(filePath: folder("a")))
    let broken = try trainer("llama", data, dropout: 0)
    try broken.resume(folder("a"), identity: [])
    let parameter = try #require(broken.trained.parameters.first)
    parameter.value[0] = .infinity
    broken.trained.invalidate()
    let error = #expect(throws: TrainingError.self) { try run(broken, folder("a")) }
    #expect("\(try #require(error))".contains("step 4"))
    #expect(try Data(contentsOf: URL(filePath: folder("a"))) == before)
  }

  @Test func `another run's checkpoint is refused by name`() throws {
    let folder = try TemporaryFolder(), examples = try TinyRecord("llama").examples
    let first = try trainer("llama", TrainingData(examples: examples), dropout: 0)
    try run(first, folder("a"), killedAfter: 2)
    let other = try trainer("llama", TrainingData(examples: Array(examples.dropLast())), dropout: 0)
    let error = #expect(throws: TrainingError.self) { try other.resume(folder("a"), identity: []) }
    #expect("\(try #require(error))".contains("the data was"))
  }
}
