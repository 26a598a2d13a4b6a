import DuetRuntime

/// Learns from captions that the model draws itself: those that agree better with people's than its other captions of
/// the picture become likelier, the others less likely (self-critical sequence training, arXiv 1612.00563, with the mean
/// of the picture's other draws as what is expected, arXiv 2003.09971).
final class SelfCriticism {
  /// A step's captions with how much each of their tokens counts, and how well they agree with people's.
  struct Drawn {
    let groups: [[TrainingExample]]
    let agreement: Double
  }

  private let sampler: CaptionSampler
  private let agreement: CaptionAgreement
  private let tokenizer: Tokenizer
  private let draws: Int
  /// Smaller ones are roundings of captions that are as good as each other.
  private static let leastAdvantage = 1e-6

  /// - Parameters:
  ///   - trained: what draws.
  ///   - data: whose captions tell which words are rare.
  ///   - draws: captions of each picture.
  init(_ trained: TrainableModel, _ data: TrainingData, draws: Int) {
    sampler = CaptionSampler(trained)
    tokenizer = trained.model.tokenizer
    self.draws = draws
    // A picture counts once, however many views there are of it.
    var known: Set<String> = []
    let pictures = data.groups.filter {
      $0.first.map { known.insert(data.examples[$0].id).inserted } ?? false
    }
    agreement = CaptionAgreement(
      pictures.map { [tokenizer] group in data.examples[group].map { Self.text($0, tokenizer) } })
  }

  /// Draws captions of pictures, each group being the captions that people gave one.
  ///
  /// - Throws: `TrainingError`, `CancellationError`.
  /// - Complexity: O(tokens drawn) columns of passes.
  func draw(_ groups: [[TrainingExample]], seed: UInt64) throws -> Drawn {
    let prompts = groups.compactMap(Self.prompt)
    let captions = try sampler.draw(prompts, count: draws, temperature: 1, seed: seed)
    var total = 0.0
    let examples = zip(groups, zip(prompts, captions)).map { group, drawn in
      let rewards = rewards(drawn.1, group), sum = rewards.reduce(0, +)
      total += sum / Double(max(1, rewards.count))
      return zip(drawn.1, rewards).compactMap { caption, reward -> TrainingExample? in
        let advantage = reward - (sum - reward) / Double(max(1, rewards.count - 1))
        guard abs(advantage) > Self.leastAdvantage else { return nil }
        let weights = [Float](repeating: 0, count: drawn.0.tokens.count)
        return TrainingExample(
          id: group[0].id, tokens: drawn.0.tokens + caption,
          weights: weights + [Float](repeating: Float(advantage), count: caption.count),
          picture: drawn.0.picture)
      }
    }
    return Drawn(groups: examples, agreement: total / Double(max(1, groups.count)))
  }

  /// How well the likeliest words agree with people's captions, in the mean over pictures: CIDEr-D by the frequencies of
  /// the captions that are trained on.
  ///
  /// - Throws: `TrainingError`, `CancellationError`.
  /// - Complexity: O(tokens drawn) columns of passes.
  func measure(_ groups: [[TrainingExample]]) throws -> Double {
    let captions = try sampler.draw(groups.compactMap(Self.prompt), count: 1, temperature: 0, seed: 0)
    let total = zip(groups, captions).reduce(0) { $0 + rewards($1.1, $1.0).reduce(0, +) }
    return total / Double(max(1, groups.count))
  }

  private func rewards(_ captions: [[Int32]], _ group: [TrainingExample]) -> [Double] {
    let references = group.map { Self.text($0, tokenizer) }
    return captions.map { caption in
      agreement.score(text(caption), ends: sampler.ends(caption), references: references)
    }
  }

  private func text(_ caption: [Int32]) -> String {
    let words = sampler.ends(caption) ? caption.dropLast() : caption[...]
    return String(decoding: words.flatMap { tokenizer.bytes(of: $0) }, as: UTF8.self)
  }

  /// What stands before the caption of an example.
  private static func prompt(_ group: [TrainingExample]) -> CaptionSampler.Prompt? {
    guard let example = group.first, let picture = example.picture else { return nil }
    return CaptionSampler.Prompt(tokens: Array(example.tokens[..<start(example)]), picture: picture)
  }

  /// The caption of an example, without the token that ends it.
  private static func text(_ example: TrainingExample, _ tokenizer: Tokenizer) -> String {
    let words = example.tokens[start(example)...].dropLast()
    return String(decoding: words.flatMap { tokenizer.bytes(of: $0) }, as: UTF8.self)
  }

  private static func start(_ example: TrainingExample) -> Int {
    example.weights.firstIndex { $0 != 0 } ?? example.weights.count
  }
}
