import DuetRuntime
import DuetTrainer
import Foundation
import Testing

/// Training of a projector, whose model stays as it is.
struct PictureTests {
  private static let shape = ProjectorOptions(features: 24, hidden: 20)

  /// Three features of a picture, drawn.
  private func picture(_ seed: UInt64) -> InputEmbeddings {
    var random = RandomSource(seed: seed)
    return InputEmbeddings((0..<3 * 24).map { _ in 4 * random.unit() - 1 }, width: 24)
  }

  /// Rows of the record after a picture each; of the first two pictures two rows.
  private func examples(_ record: TinyRecord) -> [TrainingExample] {
    record.examples.enumerated().map { index, example in
      let picture = picture(UInt64(index / 2))
      let lead = Array(example.tokens.prefix(1)) + picture.tokens + [5, 6, 7, 8, 9]
      return TrainingExample(
        id: example.id, tokens: lead + example.tokens,
        weights: Array(repeating: 0, count: lead.count) + example.weights, picture: picture)
    }
  }

  private func trained(_ family: String) throws -> TrainableModel {
    try TrainableModel(
      Model(path: Fixtures.path("tiny/\(family).gguf")), method: .projector(Self.shape), threads: 2, seed: 3)
  }

  @Test(arguments: TinyRecord.families)
  func `the gradient is the slope of the loss`(_ family: String) throws {
    let trained = try trained(family), pass = TrainingPass(trained)
    let batch = PackedBatch(examples(try TinyRecord(family)))
    #expect(trained.parameters.map(\.name) == ["mm.0.weight", "mm.0.bias", "mm.2.weight", "mm.2.bias"])
    _ = pass.accumulate(batch, scale: 1 / batch.weight)
    for parameter in trained.parameters {
      let gradient = parameter.gradient.array(0..<parameter.count).map(Double.init)
      let norm = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
      #expect(norm > 1e-4, "\(parameter.name)")
      let start = parameter.value.array(0..<parameter.count)
      func loss(_ step: Double) -> Double {
        for index in start.indices {
          parameter.value[index] = Float(Double(start[index]) + step * gradient[index] / norm)
        }
        return pass.loss(batch)
      }
      let slope = (4 * (loss(0.004) - loss(-0.004)) / 0.008 - (loss(0.008) - loss(-0.008)) / 0.016) / 3
      _ = loss(0)
      #expect(
        abs(slope / batch.weight - norm) <= 5e-3 * norm + 1e-4,
        "\(parameter.name): \(norm), \(slope / batch.weight)")
    }
  }

  @Test(arguments: TinyRecord.families)
  func `a picture that is read once for its captions gives the same`(_ family: String) throws {
    let record = try TinyRecord(family), picture = picture(1)
    let lead: [Int32] = [1] + picture.tokens + [5, 6, 7, 8, 9]
    let captions = record.examples.prefix(3).map { example in
      TrainingExample(
        id: example.id, tokens: lead + example.tokens,
        weights: Array(repeating: 0, count: lead.count) + example.weights, picture: picture)
    }
    let results = try [false, true].map { shares in
      let trained = try trained(family), batch = PackedBatch(Array(captions), sharesBeginning: shares)
      let loss = TrainingPass(trained).accumulate(batch, scale: 1 / batch.weight)
      return (loss, trained.parameters.map { $0.gradient.array(0..<$0.count) }, batch.tokens.count)
    }
    #expect(results[1].2 == results[0].2 - 2 * lead.count)
    #expect(abs(results[0].0 - results[1].0) <= 1e-5 * results[0].0)
    for (whole, shared) in zip(results[0].1, results[1].1) {
      let norm = whole.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let rest = zip(whole, shared).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
      #expect(rest <= 1e-4 * norm)
    }
  }

  /// With small matrices of the model trained too: their file has nothing of the projector.
  @Test func `the model learns with the projector`() throws {
    let record = try TinyRecord("llama"), data = TrainingData(examples: examples(record))
    var lora = LoRAOptions()
    lora.rank = 4
    var options = TrainingOptions()
    options.method = .projector(ProjectorOptions(features: 24, hidden: 20, lora: lora))
    options.steps = 20
    options.learningRate = 0.01
    options.rowsPerStep = data.groups.count
    let model = try Model(path: Fixtures.path("tiny/llama.gguf"))
    let trainer = try Trainer(model, data: data, options: options), before = try trainer.loss(data)
    try trainer.run(checkpoint: { _ in }, keep: { _ in }, report: { _ in })
    #expect(try trainer.loss(data) < 0.9 * before)
    let folder = try TemporaryFolder()
    try trainer.writeTuning(folder("a.gguf"), name: "a")
    let file = try GGUFFile(path: folder("a.gguf"))
    #expect(!file.tensors.isEmpty && file.tensors.allSatisfy { $0.name.hasPrefix("blk.") })
    _ = try Adapter(path: folder("a.gguf"), for: model)
    let moved = trainer.trained.parameters.filter { parameter in
      !parameter.name.hasSuffix("lora_a") && (0..<parameter.count).contains { parameter.value[$0] != 0 }
    }
    #expect(moved.count == trainer.trained.parameters.count - file.tensors.count / 2)
  }

  @Test func `captions are learnt, and the file says what was trained`() throws {
    let model = try Model(path: Fixtures.path("tiny/llama.gguf"))
    let data = TrainingData(examples: examples(try TinyRecord("llama")))
    var options = TrainingOptions()
    options.method = .projector(Self.shape)
    options.steps = 30
    options.learningRate = 0.02
    options.rowsPerStep = data.groups.count
    let trainer = try Trainer(model, data: data, options: options)
    let before = try trainer.loss(data)
    try trainer.run(checkpoint: { _ in }, keep: { _ in }, report: { _ in })
    let after = try trainer.loss(data)
    #expect(after < 0.95 * before, "\(before), \(after)")

    let folder = try TemporaryFolder(), encoder = folder("encoder.gguf"), out = folder("vision.gguf")
    let writer = try GGUFWriter(
      path: encoder,
      metadata: [("general.name", .string("E")), ("clip.vision.block_count", .integer(7, .uint32))],
      tensors: [
        TensorPlan(name: "v.head.bias", shape: [2], type: .f32),
        TensorPlan(name: "mm.0.bias", shape: [1], type: .f32),
      ])
    for values: [Float] in [[1.5, -2], [9]] { try writer.write(values.span) }
    try writer.finish()
    try trainer.writeProjector(out, encoder: GGUFFile(path: encoder), name: "eyes", question: "What?")
    let file = try GGUFFile(path: out)
    #expect(file.tensors.map(\.name) == ["v.head.bias"] + trainer.trained.parameters.map(\.name))
    #expect(try file.metadata.string("general.name") == "eyes")
    #expect(try file.metadata.string("duet.vision.question") == "What?")
    #expect(try file.metadata.integer("clip.vision.block_count") == 7)
    let next = try Trainer(model, data: data, options: options)
    try next.start(projectorFrom: file)
    #expect(abs(try next.loss(data) - after) < 0.01 * after && Trainer.projectorWidth(file) == 20)
    for parameter in trainer.trained.parameters {
      let matrix = try Matrix(file.tensor(parameter.name, shape: parameter.shape))
      let row = FloatBuffer(count: matrix.columns)
      for index in 0..<matrix.rows {
        model.core.operations.dequantize(matrix, row: index, out: row, at: 0)
        for column in 0..<matrix.columns {
          let value = parameter.value[index * matrix.columns + column]
          #expect(abs(row[column] - value) <= abs(value) / 1_024 + 1e-7)
        }
      }
    }
  }

  @Test func `captions are tidied and grouped by picture`() throws {
    let folder = try TemporaryFolder()
    for name in ["b.jpg", "a.PNG", "c.jpeg", "notes.md"] {
      try Data().write(to: URL(filePath: folder(name)))
    }
    try Data("a dog runs .\n\ntwo dogs , running\n".utf8).write(to: URL(filePath: folder.path + "/b.txt"))
    try Data("  \n".utf8).write(to: URL(filePath: folder.path + "/a.txt"))
    let read = try CaptionedPicture.read(folder.path)
    #expect(read.pictures.map(\.captions) == [["A dog runs.", "Two dogs, running."]])
    #expect(read.skips.counts == ["picture without a caption": 1, "picture without a text file": 1])
    let lines = folder.path + "/rows.jsonl"
    let text = #"{"image": "x/y.jpg", "captions": ["Hi there !"]}"# + "\nnonsense\n"
    try Data(text.utf8).write(to: URL(filePath: lines))
    let rows = try CaptionedPicture.read(lines)
    #expect(rows.pictures.map(\.path) == [folder("x/y.jpg")] && rows.pictures[0].captions == ["Hi there!"])
    #expect(rows.skips.total == 1)
  }
}
