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

  private var columnNames: [String] {
    EvaluationColumn.counted.map(\.rawValue).filter { questions[$0] != nil }
  }

  // MARK: Markdown

  /// The tables in Markdown.
  public var markdown: String {
    let columns = columnNames
    var lines = ["| row | " + columns.joined(separator: " | ") + " | mean |"]
    lines.append("|---|" + String(repeating: "---|", count: columns.count + 1))
    for row in rows {
      var cells = columns.map { name in row.columns[name].map { Self.short($0) } ?? "" }
      cells.append(Self.short(row.mean))
      lines.append("| \(row.name) | " + cells.joined(separator: " | ") + " |")
    }
    lines.append("| questions | " + columns.map { "\(questions[$0] ?? 0)" }.joined(separator: " | ") + " | |")
    lines += ["", "| row | " + Self.besideNames.joined(separator: " | ") + " |", "|---|---|---|---|---|"]
    for beside in besides where !Self.values(beside).allSatisfy({ $0 == nil }) {
      let cells = Self.values(beside).map { $0.map(Self.short) ?? "" }
      lines.append("| \(beside.name) | " + cells.joined(separator: " | ") + " |")
    }
    lines += ["", "| | column | difference | |", "|---|---|---|---|"]
    for claim in claims {
      lines.append(
        "| \(claim.better) over \(claim.than) | \(claim.column) | \(Self.short(claim.difference)) | "
          + (claim.holds ? "above zero" : "") + " |")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static let besideNames = [
    "grounding without its passages", "change of these answers", "refusals where the passage does not answer",
    "and where it does",
  ]

  private static func values(_ beside: Beside) -> [Bootstrap.Estimate?] {
    [beside.withoutContext, beside.change, beside.refusals, beside.falseRefusals]
  }

  private static func short(_ estimate: Bootstrap.Estimate) -> String {
    "\(tenths(estimate.mean)) (\(tenths(estimate.low)) to \(tenths(estimate.high)))"
  }

  private static func tenths(_ value: Double) -> String {
    let whole = Int((value * 10).rounded())
    return "\(whole < 0 ? "−" : "")\(abs(whole) / 10).\(abs(whole) % 10)"
  }

  // MARK: HTML

  /// A page with a plot for each column; it needs nothing but itself, and fits a telephone.
  ///
  /// - Parameter title: what was evaluated.
  public func html(title: String) -> String {
    """
    <!DOCTYPE html>
    <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
    <title>\(Self.escaped(title))</title>
    <style>
    body { font: 15px/1.5 system-ui, sans-serif; max-width: 48em; margin: 1em auto; padding: 0 1em; color: #222; }
    h2 { margin: 1.4em 0 .3em; font-size: 1.1em; }
    .row { display: grid; grid-template-columns: 8.5em 1fr 3em; gap: .5em; align-items: center; }
    .bar { position: relative; height: 1em; background: #eee; }
    .bar i { position: absolute; top: 0; bottom: 0; left: 0; background: #7a9cc6; }
    .bar b { position: absolute; top: 45%; height: 10%; background: #222; }
    .wide { overflow-x: auto; } th { text-align: left; font-weight: normal; vertical-align: top; color: #666; }
    .routed .bar i { background: #2b6cb0; } td { padding: .2em .6em .2em 0; } span { text-align: right; }
    </style></head><body>
    <h1>\(Self.escaped(title))</h1>
    <p>Scores of 0 to 100; the thin line is the 95 % interval, articles drawn again.</p>
    \((columnNames.map { name in plot(name) { $0.columns[name] } } + [plot("mean of all") { $0.mean }]).joined())
    <h2>Beside them</h2>
    <div class="wide"><table><tr><th></th>\(Self.besideNames.map { "<th>\($0)</th>" }.joined())</tr>
    \(besides.map(Self.line).joined(separator: "\n"))</table></div>
    <h2>Differences, question by question</h2>
    <table>\(claims.map(Self.line).joined(separator: "\n"))</table>
    </body></html>

    """
  }

  private func plot(_ name: String, _ estimate: (Row) -> Bootstrap.Estimate?) -> String {
    let count = questions[name].map { ", \($0) questions" } ?? ""
    let bars = rows.compactMap { row -> String? in
      guard let value = estimate(row) else { return nil }
      let low = Self.tenths(value.low), width = Self.tenths(max(0.1, value.high - value.low))
      return
        "<div class=\"row\(row.name == Evaluation.routed ? " routed" : "")\"><div>\(Self.escaped(row.name))</div>"
        + "<div class=\"bar\"><i style=\"width:\(Self.tenths(max(0, value.mean)))%\"></i>"
        + "<b style=\"left:\(low)%;width:\(width)%\"></b></div><span>\(Self.tenths(value.mean))</span></div>"
    }
    return "<h2>\(Self.escaped(name))\(count)</h2>\n" + bars.joined(separator: "\n") + "\n"
  }

  private static func line(_ beside: Beside) -> String {
    let cells = values(beside).map { "<td>\($0.map(short) ?? "")</td>" }.joined()
    return "<tr><td>\(escaped(beside.name))</td>\(cells)</tr>"
  }

  private static func line(_ claim: Claim) -> String {
    "<tr><td>\(escaped(claim.better)) over \(escaped(claim.than))</td><td>\(escaped(claim.column))</td>"
      + "<td>\(short(claim.difference))</td><td>\(claim.holds ? "above zero" : "")</td></tr>"
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
  }
}
