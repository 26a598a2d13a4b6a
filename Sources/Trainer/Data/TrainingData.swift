import DuetRuntime

/// How rows become examples.
public struct DataOptions: Sendable, Equatable {
  /// What becomes of the context.
  public var arm = TrainingArm.grounded
  /// Where it stands.
  public var placement = ContextPlacement.user
  /// What the model is told before all turns; nil for what its template says.
  public var system: String?
  /// The most tokens of a row; longer ones are left out.
  public var window = 1_024
  /// The share of rows whose context has passages of other rows around it.
  public var distractors = 0.0
  /// The share of rows that get the context of another row, and a refusal for a response.
  public var unanswerable = 0.0
  /// The response of rows that cannot be answered.
  public var refusal = RowFile.defaultRefusal
  /// A chat template to use instead of the model's.
  public var template: String?
  /// Of the draws for both shares.
  public var seed: UInt64 = 1

  /// Grounded, the context in the user's turn, up to 1,024 tokens.
  public init() {}
}

/// Examples to train on, or to measure with.
public struct TrainingData: Sendable {
  /// In the order of the rows.
  public private(set) var examples: [TrainingExample] = []
  /// Examples that are trained on together, those about one picture; of rows each is by itself.
  public private(set) var groups: [Range<Int>] = []
  /// Rows that were left out.
  public private(set) var skips = Skips()
  /// The files.
  public let paths: [String]

  /// Reads rows and encodes them for a model.
  ///
  /// - Parameters:
  ///   - paths: JSON-lines files, one after the other.
  ///   - model: whose tokenizer and chat template are used.
  ///   - options: how rows become examples.
  ///   - progress: called with the rows done and in all.
  /// - Throws: `TrainingError`, naming file and line; `.noRows` where nothing is left.
  /// - Complexity: O(text).
  public init(
    paths: [String], model: Model, options: DataOptions, progress: (Int, Int) -> Void = { _, _ in }
  ) throws(TrainingError) {
    self.paths = paths
    let encoder = try ExampleEncoder(model, template: options.template)
    var first = 0
    for path in paths {
      let file = try RowFile(path: path, refusal: options.refusal)
      skips.add(file.skips)
      let rows = Disturbance(options: options, rows: file.rows, first: first).disturbed()
      for (index, row) in rows.enumerated() {
        try append(row, first + index, path, encoder, options)
        progress(index + 1, rows.count)
      }
      first += rows.count
    }
    guard !examples.isEmpty else {
      throw .noRows(path: paths.joined(separator: ", "), skips: skips.description)
    }
    groups = examples.indices.map { $0..<$0 + 1 }
  }

  /// Examples that are encoded already.
  public init(examples: [TrainingExample]) {
    self.examples = examples
    groups = examples.indices.map { $0..<$0 + 1 }
    paths = []
  }

  /// Reads pictures with their captions and encodes them for a model, which is to answer `question` with each
  /// caption.
  ///
  /// - Parameters:
  ///   - path: of JSON lines, or of a folder; see `CaptionedPicture`.
  ///   - model: whose tokenizer and chat template are used.
  ///   - question: what the model is asked about each picture.
  ///   - views: the features of a picture's file, and of variants that the captions fit too; a file that cannot be
  ///     read is counted and left out.
  ///   - progress: called with the pictures done and in all.
  /// - Throws: `TrainingError`; `.noRows` where nothing is left.
  /// - Complexity: O(pictures).
  public init(
    pictures path: String, model: Model, question: String,
    views: (String) throws -> [InputEmbeddings], progress: (Int, Int) -> Void = { _, _ in }
  ) throws(TrainingError) {
    paths = [path]
    let encoder = try ExampleEncoder(model, template: nil)
    let (pictures, skips) = try CaptionedPicture.read(path)
    self.skips = skips
    for (index, row) in pictures.enumerated() {
      defer { progress(index + 1, pictures.count) }
      guard let views = try? views(row.path) else {
        self.skips.add("picture that cannot be read")
        continue
      }
      for view in views {
        let start = examples.count
        for caption in row.captions {
          do {
            examples.append(
              try encoder.example(id: row.path, picture: view, question: question, answer: caption))
          } catch {
            throw .template(path: path, line: index + 1, problem: error.text)
          }
        }
        groups.append(start..<examples.count)
      }
    }
    guard !examples.isEmpty else { throw .noRows(path: path, skips: self.skips.description) }
  }

  private mutating func append(
    _ row: TrainingRow, _ index: Int, _ path: String, _ encoder: ExampleEncoder, _ options: DataOptions
  ) throws(TrainingError) {
    let chat: MarkedChat
    do {
      chat = try options.arm.chat(
        row, index: index, placement: options.placement, system: options.system)
    } catch {
      return skips.add(error.reason)
    }
    let example: TrainingExample
    do { example = try encoder.example(chat) } catch {
      throw .template(path: path, line: row.line, problem: error.text)
    }
    guard example.tokens.count <= options.window else { return skips.add("longer than the window") }
    guard example.tokens.count > 1 else { return skips.add("nothing to predict") }
    examples.append(example)
  }

  /// Tokens of all examples.
  public var tokenCount: Int { examples.reduce(0) { $0 + $1.tokens.count } }
  /// Tokens that count in the loss.
  public var targetCount: Int { examples.reduce(0) { $0 + $1.weights.count { $0 != 0 } } }
}

/// Mixes passages of other rows into contexts.
private struct Disturbance {
  let options: DataOptions
  let rows: [TrainingRow]
  /// The number of the first row among all.
  let first: Int

  func disturbed() -> [TrainingRow] {
    let contexts = rows.map(\.context).filter { !$0.isEmpty }
    guard options.distractors > 0 || options.unanswerable > 0, contexts.count > 1 else { return rows }
    var random = RandomSource(seed: options.seed)
    return rows.enumerated().map { index, row in
      // Drawn for every row, so that the arms disturb the same ones.
      let changed = changed(row, contexts, &random)
      return options.arm.shows(row, index: first + index) ? changed : row
    }
  }

  private func changed(
    _ row: TrainingRow, _ contexts: [String], _ random: inout RandomSource
  ) -> TrainingRow {
    guard case .question(let instruction, let context, let response) = row.content, !context.isEmpty else {
      return row
    }
    let draw = Double(random.unit())
    let other = contexts[Int(random.next() % UInt64(contexts.count))]
    guard other != context else { return row }
    let isFirst = random.next() & 1 == 0
    func with(_ context: String, _ response: String, refuses: Bool) -> TrainingRow {
      TrainingRow(
        id: row.id,
        content: .question(instruction: instruction, context: context, response: response), line: row.line,
        refuses: refuses)
    }
    if draw < options.unanswerable { return with(other, options.refusal, refuses: true) }
    guard draw < options.unanswerable + options.distractors else { return row }
    let both = isFirst ? "\(other)\n\n\(context)" : "\(context)\n\n\(other)"
    return with(both, response, refuses: row.refuses)
  }
}

/// Which examples each step takes: all of them in each round, shuffled anew or in their order.
struct ExampleOrder {
  let count: Int
  let seed: UInt64
  let shuffles: Bool
  private var round = -1
  private var indices: [Int] = []

  init(count: Int, seed: UInt64, shuffles: Bool) {
    self.count = count
    self.seed = seed
    self.shuffles = shuffles
  }

  /// The examples of a step of `size`. Depends on the step alone, so that a run can go on anywhere.
  mutating func examples(step: Int, size: Int) -> [Int] {
    (step * size..<(step + 1) * size).map { place in
      if place / count != round { shuffle(place / count) }
      return indices[place % count]
    }
  }

  private mutating func shuffle(_ round: Int) {
    self.round = round
    indices = Array(0..<count)
    guard shuffles else { return }
    var random = RandomSource(seed: seed &+ UInt64(round) &* 0x9E37_79B9)
    for index in stride(from: count - 1, to: 0, by: -1) {
      indices.swapAt(index, Int(random.next() % UInt64(index + 1)))
    }
  }
}
