/// What an evaluation found: a table of rows and columns with intervals, and the claims that follow.
public struct EvaluationReport: Sendable, Encodable {
  /// How one row did.
  public struct Row: Sendable, Encodable {
    /// An arm, `routed` or `oracle-routed`.
    public let name: String
    /// By column, 0 to 100.
    public let columns: [String: Bootstrap.Estimate]
    /// Of the five columns.
    public let mean: Bootstrap.Estimate
  }

  /// What else one row does, 0 to 100; nil where it was not asked.
  public struct Beside: Sendable, Encodable {
    /// An arm, or a routed row.
    public let name: String
    /// F1 of the questions of *grounding* without their passages.
    public let withoutContext: Bootstrap.Estimate?
    /// How much these answers differ from those with the passages: 100 less their F1.
    public let change: Bootstrap.Estimate?
    /// How often it says so where the passage does not hold the answer.
    public let refusals: Bootstrap.Estimate?
    /// How often it says so where the passage does.
    public let falseRefusals: Bootstrap.Estimate?
  }

  /// How one arm takes accepted answers: nats a token, fewer than zero and the nearer the likelier, and where it
  /// looks meanwhile.
  public struct Reading: Sendable, Encodable {
    /// An arm.
    public let name: String
    /// Of answers to questions of *grounding*, after their passages.
    public let withContext: Bootstrap.Estimate
    /// Of the same without their passages.
    public let withoutContext: Bootstrap.Estimate
    /// Of answers to questions of *closed book*.
    public let closedBook: Bootstrap.Estimate?
    /// The share of all attention that the passages get, 0 to 100, where the answers are predicted.
    public let attention: Bootstrap.Estimate
    /// The same by layer.
    public let layers: [Double]
  }

  /// How much better one row is than another, question by question.
  public struct Claim: Sendable, Encodable {
    /// The row that should do better.
    public let better: String
    /// The row that it is compared with.
    public let than: String
    /// A column, or `mean`.
    public let column: String
    /// Of scores, 0 to 100.
    public let difference: Bootstrap.Estimate
    /// Whether all of the interval is above zero.
    public var holds: Bool { difference.low > 0 }
  }

  /// Questions by column.
  public let questions: [String: Int]
  /// The arms in their order, then the routed ones.
  public let rows: [Row]
  /// What else the rows do.
  public let besides: [Beside]
  /// How the arms take accepted answers.
  public let readings: [Reading]
  /// What the paper says should hold.
  public let claims: [Claim]

  /// Scores all answers. O(draws · questions · rows).
  public init(_ evaluation: Evaluation) {
    let questions = evaluation.questions
    self.questions = Dictionary(grouping: questions, by: \.column.rawValue).mapValues(\.count)
    let scores = evaluation.rows.compactMap { name in evaluation.scores(name).map { (name, $0) } }
    let byName = Dictionary(scores) { first, _ in first }
    rows = scores.map { name, values in
      let split = Self.split(questions, values)
      return Row(
        name: name,
        columns: Dictionary(split.map { ($0.column.rawValue, Bootstrap.mean([$0.values])) }) { first, _ in
          first
        },
        mean: Bootstrap.mean(split.map(\.values)))
    }
    besides = scores.map { Self.beside($0.0, evaluation, $0.1) }
    readings = scores.compactMap { Self.reading($0.0, evaluation) }
    claims = Self.wanted.compactMap { better, than, columns, label in
      guard let first = byName[better], let second = byName[than] else { return nil }
      let split = Self.split(questions, zip(first, second).map { $0 - $1 })
        .filter { columns.contains($0.column) }
      guard !split.isEmpty else { return nil }
      return Claim(better: better, than: than, column: label, difference: Bootstrap.mean(split.map(\.values)))
    }
  }

  private static let wanted: [(String, String, [EvaluationColumn], String)] = {
    var claims: [(String, String, [EvaluationColumn], String)] = []
    for column in [EvaluationColumn.grounding, .hardGrounding, .conflict] {
      claims.append((Evaluation.grounded, Evaluation.free, [column], column.rawValue))
      claims.append((Evaluation.grounded, "base", [column], column.rawValue))
    }
    for column in [EvaluationColumn.closedBook, .instructions] {
      claims.append((Evaluation.free, Evaluation.grounded, [column], column.rawValue))
    }
    let all = EvaluationColumn.counted
    for other in ["mixed", Evaluation.grounded, Evaluation.free, "base"] {
      claims.append((Evaluation.routed, other, all, "mean"))
    }
    claims.append((Evaluation.oracle, Evaluation.routed, all, "mean"))
    return claims
  }()

  private static func beside(_ name: String, _ evaluation: Evaluation, _ scores: [Double]) -> Beside {
    func mean(_ values: [(cluster: String, value: Double)]) -> Bootstrap.Estimate? {
      values.isEmpty ? nil : Bootstrap.mean([values])
    }
    let questions = evaluation.questions
    let twice = questions.compactMap { question in
      question.column == .grounding
        ? evaluation.answersWithAndWithout(name, question).map { (question, $0.0, $0.1) } : nil
    }
    let refused = zip(questions, scores).filter { $0.0.column == .refusals }
    return Beside(
      name: name,
      withoutContext: mean(twice.map { question, _, without in (question.cluster, question.score(without)) }),
      change: mean(twice.map { ($0.0.cluster, 100 - 100 * AnswerScore.f1($0.1, $0.2)) }),
      refusals: mean(refused.filter { $0.0.answers.isEmpty }.map { ($0.0.cluster, $0.1) }),
      falseRefusals: mean(refused.filter { !$0.0.answers.isEmpty }.map { ($0.0.cluster, 100 - $0.1) }))
  }

  private static func reading(_ name: String, _ evaluation: Evaluation) -> Reading? {
    let with = evaluation.readings(name, .grounding, withContext: true)
    let without = evaluation.readings(name, .grounding, withContext: false)
    let closed = evaluation.readings(name, .closedBook, withContext: true)
    let seen = with.filter { !$0.reading.attention.isEmpty }
    guard !with.isEmpty, !without.isEmpty, let first = seen.first else { return nil }
    func mean(_ readings: [(cluster: String, reading: Evaluation.Reading)]) -> Bootstrap.Estimate {
      Bootstrap.mean([readings.map { ($0.cluster, $0.reading.logProbability) }])
    }
    return Reading(
      name: name, withContext: mean(with), withoutContext: mean(without),
      closedBook: closed.isEmpty ? nil : mean(closed),
      attention: Bootstrap.mean([seen.map { ($0.cluster, 100 * average($0.reading.attention)) }]),
      layers: first.reading.attention.indices.map { layer in
        100 * average(seen.map { $0.reading.attention[layer] })
      })
  }

  private static func average(_ values: [Float]) -> Double {
    values.reduce(0) { $0 + Double($1) } / Double(max(1, values.count))
  }

  private static func split(
    _ questions: [EvaluationQuestion], _ values: [Double]
  ) -> [(column: EvaluationColumn, values: [(cluster: String, value: Double)])] {
    var parts: [(column: EvaluationColumn, values: [(cluster: String, value: Double)])] = []
    for column in EvaluationColumn.counted {
      var own: [(cluster: String, value: Double)] = []
      for (question, value) in zip(questions, values) where question.column == column {
        own.append((question.cluster, value))
      }
      if !own.isEmpty { parts.append((column, own)) }
    }
    return parts
  }
}
