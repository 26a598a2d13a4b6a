import DuetRuntime
import DuetTrainer
import Foundation
import Testing

private struct Case: Decodable {
  let tokenizer: String
  let placement: String
  let arm: String
  let skipped: [String: Int]
  let examples: Int
}

private struct Line: Decodable {
  let id: String
  let ids: [Int32]
  let weights: String
}

@Suite struct MaskTests {
  @Test(.enabled(if: Fixtures.haveModels, "the models are absent: run tools/duet once"))
  func `every token of every arm has the weight that was recorded`() throws {
    let template = try String(contentsOfFile: Fixtures.path("turns.jinja"), encoding: .utf8)
    let models = [
      "smollm2": try Model(path: Fixtures.model(Fixtures.smolLM2)),
      "gemma3": try Model(path: Fixtures.model(Fixtures.gemma3)),
    ]
    var lines = try Fixtures.lines("masks.jsonl")[...]
    while let head = lines.popFirst() {
      let expected = try JSONDecoder().decode(Case.self, from: head)
      let model = try #require(models[expected.tokenizer])
      var options = DataOptions()
      options.arm = try #require(TrainingArm(rawValue: expected.arm))
      options.placement = try #require(ContextPlacement(rawValue: expected.placement))
      options.window = 120
      options.template = expected.tokenizer == "gemma3" ? template : nil
      let found = try TrainingData(paths: [Fixtures.path("rows.jsonl")], model: model, options: options)
      let about = "\(expected.tokenizer), \(expected.arm), \(expected.placement)"
      #expect(found.skips.counts == expected.skipped, "\(about)")
      #expect(found.examples.count == expected.examples, "\(about)")
      for example in found.examples {
        let next = try #require(lines.first)
        lines = lines.dropFirst()
        let line = try JSONDecoder().decode(Line.self, from: next)
        #expect(example.tokens == line.ids, "\(about), \(line.id)")
        let weights = example.weights.map { $0 == 1 ? "1" : "0" }.joined()
        #expect(weights == line.weights, "\(about), \(line.id)")
        guard about == "smollm2, grounded, user" else { continue }
        for (token, weight) in zip(example.tokens, example.weights) {
          print("\(line.id)  \(Int(weight))  \(token)  \(model.tokenizer.text(of: token))")
        }
      }
    }
  }
}
