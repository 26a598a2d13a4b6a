import DuetRuntime
import DuetTrainer
import Foundation
import Testing

/// How well captions agree with people's, and learning from it.
struct AgreementTests {
  /// See tools/reference/record_agreement.py.
  private struct Record: Decodable {
    struct Case: Decodable {
      let picture: Int
      let caption: String
      let ends: Bool
      let score: Double
    }
    let references: [[String]]
    let cases: [Case]
  }

  @Test func `captions are scored as pycocoevalcap scores them`() throws {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("agreement.json")))
    let record = try JSONDecoder().decode(Record.self, from: data)
    let agreement = CaptionAgreement(record.references)
    #expect(record.cases.count > 20 && record.cases.contains { $0.score > 3 })
    for item in record.cases {
      let score = agreement.score(
        item.caption, ends: item.ends, references: record.references[item.picture])
      #expect(abs(score - item.score) < 1e-9, "\(item.caption), \(item.ends): \(score), not \(item.score)")
    }
    #expect(agreement.score("A dog", ends: true, references: []) == 0)
  }

  /// A picture of its own for each of some captions, in letters of the tiny model's vocabulary.
  private func data(_ model: Model) -> TrainingData {
    let captions = ["A,B", "C", "D!E", "F"]
    return TrainingData(
      examples: captions.enumerated().map { index, caption in
        var random = RandomSource(seed: UInt64(index))
        let picture = InputEmbeddings((0..<3 * 24).map { _ in 4 * random.unit() - 1 }, width: 24)
        let lead: [Int32] = [1] + picture.tokens + [5, 6]
        let words = model.tokenizer.encode(caption) + [2]
        return TrainingExample(
          id: caption, tokens: lead + words,
          weights: Array(repeating: 0, count: lead.count) + words.map { _ in 1 }, picture: picture)
      })
  }

  private func trainer(steps: Int) throws -> (Trainer, TrainingData) {
    var lora = LoRAOptions()
    lora.rank = 4
    var options = TrainingOptions()
    options.method = .projector(ProjectorOptions(features: 24, hidden: 20, lora: lora))
    options.objective = .agreement(draws: 16)
    options.learningRate = 0.005
    options.rowsPerStep = 4
    options.steps = steps
    options.checkpointInterval = 2
    options.threads = 2
    let model = try Model(path: Fixtures.path("tiny/llama.gguf")), data = data(model)
    return (try Trainer(model, data: data, heldOut: data, options: options), data)
  }

  @Test func `what agrees better with the captions that are given becomes likelier`() throws {
    let (trainer, data) = try trainer(steps: 200)
    let before = try trainer.loss(data)
    var drawn: [Double] = []
    try trainer.run(checkpoint: { _ in }, keep: { _ in }) { event in
      if case .step(let step) = event { drawn.append(-step.loss) }
    }
    let first = drawn.prefix(50).reduce(0, +), last = drawn.suffix(50).reduce(0, +)
    #expect(last > 2 * first, "\(first), \(last)")
    #expect(try trainer.loss(data) <= before)
    #expect(drawn.allSatisfy { (0...10).contains($0) })
  }

  @Test func `equal seeds draw equal captions`() throws {
    let parameters = try (0..<2).map { _ in
      let (trainer, _) = try trainer(steps: 3)
      try trainer.run(checkpoint: { _ in }, keep: { _ in }, report: { _ in })
      return trainer.trained.parameters.map { $0.value.array(0..<$0.count) }
    }
    #expect(parameters[0] == parameters[1])
  }

  @Test func `rows without pictures draw nothing`() throws {
    var options = TrainingOptions()
    options.objective = .agreement(draws: 4)
    let model = try Model(path: Fixtures.path("tiny/llama.gguf"))
    let data = TrainingData(examples: [TrainingExample(id: "a", tokens: [1, 2, 3], weights: [0, 1, 1])])
    let error = #expect(throws: TrainingError.self) { try Trainer(model, data: data, options: options) }
    #expect("\(try #require(error))".contains("give pictures"))
    options.objective = .agreement(draws: 1)
    let pictures = self.data(model)
    let other = #expect(throws: TrainingError.self) { try Trainer(model, data: pictures, options: options) }
    #expect("\(try #require(other))".contains("2 to 16"))
  }

  @Test func `a run that goes on from a checkpoint ends with the same bits`() throws {
    let folder = try TemporaryFolder()
    func values(_ trainer: Trainer) -> [[Float]] {
      trainer.trained.parameters.map { $0.value.array(0..<$0.count) }
    }
    let (whole, _) = try trainer(steps: 4)
    try whole.run(
      checkpoint: { if $0.step == 2 { try $0.writeCheckpoint(folder("c"), identity: []) } }, keep: { _ in },
      report: { _ in })
    let (rest, _) = try trainer(steps: 4)
    try rest.resume(folder("c"), identity: [])
    #expect(rest.step == 2)
    try rest.run(checkpoint: { _ in }, keep: { _ in }, report: { _ in })
    #expect(values(rest) == values(whole))
  }
}
