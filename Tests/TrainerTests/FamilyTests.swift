import DuetRuntime
import DuetTrainer
import Foundation
import Testing

@Suite struct FamilyTests {
  /// Relative to the largest gradient of the tensor: both sides compute in single precision.
  static let gradientBound = 1e-4

  @Test(arguments: TinyRecord.families, [false, true])
  func `gradients of packed rows are PyTorch's`(_ family: String, _ isFull: Bool) throws {
    let record = try TinyRecord(family), trainer = try record.trainer(family, isFull: isFull)
    let batch = record.packed
    _ = trainer.pass.accumulate(batch, scale: 1 / batch.weight)
    let parameters = Dictionary(uniqueKeysWithValues: trainer.trained.parameters.map { ($0.name, $0) })
    let gradients = (isFull ? record.full : record.lora).gradients
    #expect(gradients.count == parameters.count)
    for expected in gradients {
      let found = try #require(parameters[expected.name], "\(expected.name)")
      let norm = (0..<found.count).reduce(0) { $0 + pow(Double(found.gradient[$1]), 2) }.squareRoot()
      #expect(abs(norm - expected.norm) <= 1e-3 * expected.norm + 1e-7, "\(expected.name): \(norm)")
      for entry in expected.entries {
        let value = Double(found.gradient[Int(entry[0])])
        #expect(
          abs(value - entry[1]) <= 1e-3 * abs(entry[1]) + Self.gradientBound * expected.norm,
          "\(expected.name)[\(Int(entry[0]))]: \(value), \(entry[1]) expected")
      }
    }
  }

  @Test(arguments: TinyRecord.families, [false, true])
  func `ten steps lose what PyTorch's lose`(_ family: String, _ isFull: Bool) throws {
    let record = try TinyRecord(family), trainer = try record.trainer(family, isFull: isFull)
    var losses: [Double] = []
    try trainer.run(checkpoint: { _ in }, keep: { _ in }) { event in
      if case .step(let step) = event { losses.append(step.loss) }
    }
    let expected = (isFull ? record.full : record.lora).losses
    #expect(losses.count == expected.count)
    for (found, expected) in zip(losses, expected) { #expect(abs(found - expected) <= 1e-3 * expected) }
  }

  /// Central differences of the loss along each parameter's gradient, extrapolated from two steps;
  /// the loss is summed in double precision, the forward pass is single.
  @Test(arguments: TinyRecord.families, [false, true])
  func `gradients are central differences`(_ family: String, _ isFull: Bool) throws {
    let record = try TinyRecord(family), trainer = try record.trainer(family, isFull: isFull)
    // A first step, so that no low-rank factor is zero.
    var made = 0
    struct Enough: Error {}
    try? trainer.run(checkpoint: { _ in }, keep: { _ in }) { event in
      if case .step = event { made += 1 }
      if made == 2 { throw Enough() }
    }
    let batch = record.packed, weight = batch.weight
    for parameter in trainer.trained.parameters { trainer.trained.kernels.clear(parameter.gradient) }
    _ = trainer.pass.accumulate(batch, scale: 1 / weight)
    for parameter in trainer.trained.parameters {
      let gradient = parameter.gradient.array(0..<parameter.count).map(Double.init)
      let norm = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
      guard norm > 1e-3 else { continue }
      let found = slope(trainer, parameter, gradient.map { $0 / norm }, batch) / weight
      #expect(abs(found - norm) <= 1e-3 * norm + 2e-5, "\(parameter.name): \(norm), differences \(found)")
    }
  }

  private func slope(
    _ trainer: Trainer, _ parameter: Parameter, _ direction: [Double], _ batch: PackedBatch
  ) -> Double {
    let start = parameter.value.array(0..<parameter.count)
    func loss(_ step: Double) -> Double {
      for index in start.indices {
        parameter.value[index] = Float(Double(start[index]) + step * direction[index])
      }
      trainer.trained.invalidate()
      return trainer.pass.loss(batch)
    }
    func difference(_ step: Double) -> Double { (loss(step) - loss(-step)) / (2 * step) }
    // Where attention is peaked, steps of 0.01 bend the loss by more than the bound.
    // The mean of some pairs of steps evens out the rounding of the single-precision forward pass.
    let slopes = [0.0025, 0.003, 0.0035].map { step in
      (4 * difference(step) - difference(2 * step)) / 3
    }
    _ = loss(0)
    return slopes.reduce(0, +) / Double(slopes.count)
  }

  @Test(arguments: TinyRecord.families)
  func `packed rows do not see each other`(_ family: String) throws {
    let record = try TinyRecord(family), trainer = try record.trainer(family, isFull: false)
    let whole = trainer.pass.losses(record.packed)
    let alone = record.examples.flatMap { trainer.pass.losses(PackedBatch([$0])) }
    #expect(whole.count == alone.count)
    for (left, right) in zip(whole, alone) { #expect(abs(left - right) < 1e-4) }
  }

  /// Rows with a beginning in common, targets in it and at its end, one row that is nothing else.
  @Test(arguments: TinyRecord.families, [false, true])
  func `a common beginning that is read once gives the same`(_ family: String, _ isFull: Bool) throws {
    let record = try TinyRecord(family), trainer = try record.trainer(family, isFull: isFull)
    let beginning = Array(record.examples.flatMap(\.tokens).prefix(12))
    let examples =
      record.examples.map {
        TrainingExample(
          id: $0.id, tokens: beginning + $0.tokens,
          weights: Array(repeating: 0.5, count: beginning.count) + $0.weights)
      } + [TrainingExample(id: "short", tokens: beginning + [3], weights: Array(repeating: 1, count: 13))]
    let whole = PackedBatch(examples, sharesBeginning: false), shared = PackedBatch(examples)
    #expect(shared.beginning == 12 && shared.rowTokens == whole.rowTokens)
    #expect(shared.tokens.count == whole.tokens.count - 12 * (examples.count - 1))
    let results = [whole, shared].map { batch in
      for parameter in trainer.trained.parameters { trainer.trained.kernels.clear(parameter.gradient) }
      let loss = trainer.pass.accumulate(batch, scale: 1 / batch.weight)
      return (loss, trainer.trained.parameters.map { $0.gradient.array(0..<$0.count).map(Double.init) })
    }
    #expect(abs(results[0].0 - results[1].0) <= 1e-5 * results[0].0)
    for (index, parameter) in trainer.trained.parameters.enumerated() {
      let expected = results[0].1[index], found = results[1].1[index]
      let norm = expected.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let rest = zip(expected, found).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
      #expect(rest <= 1e-4 * norm + 1e-7, "\(parameter.name): \(rest) of \(norm)")
    }
  }

  @Test(arguments: TinyRecord.families)
  func `held one layer at a time, weights give the same`(_ family: String) throws {
    let record = try TinyRecord(family)
    let model = try Model(path: Fixtures.path("tiny/\(family).gguf"))
    let losses = try [false, true].map { shares in
      let trained = try TrainableModel(
        model, method: record.method(isFull: false), threads: 1, sharesWeights: shares)
      let pass = TrainingPass(trained)
      return pass.accumulate(record.packed, scale: 1)
        + trained.parameters.reduce(0) {
          $0 + trained.kernels.sumOfSquares($1.gradient, 0..<$1.count)
        }
    }
    #expect(losses[0] == losses[1])
  }
}
