extension EvaluationReport {
  var columnNames: [String] {
    EvaluationColumn.counted.map(\.rawValue).filter { questions[$0] != nil }
  }

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
      let cells = Self.values(beside).map { $0.map { Self.short($0) } ?? "" }
      lines.append("| \(beside.name) | " + cells.joined(separator: " | ") + " |")
    }
    lines += readings.isEmpty ? [] : readingLines
    lines += ["", "| | column | difference | |", "|---|---|---|---|"]
    for claim in claims {
      lines.append(
        "| \(claim.better) over \(claim.than) | \(claim.column) | \(Self.short(claim.difference)) | "
          + (claim.holds ? "above zero" : "") + " |")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private var readingLines: [String] {
    let header = Self.readingNames + thirds.map { "layers \($0.lowerBound + 1) to \($0.upperBound)" }
    return [
      "", "| row | \(header.joined(separator: " | ")) |", "|---|" + header.map { _ in "---|" }.joined(),
    ]
      + readings.map { reading in
        let shares = thirds.map { reading.layers[$0].reduce(0, +) / Double($0.count) }
        let cells = Self.cells(reading) + shares.map { Self.decimal($0) }
        return "| \(reading.name) | \(cells.joined(separator: " | ")) |"
      }
  }

  /// The layers in three parts.
  private var thirds: [Range<Int>] {
    let count = readings.first?.layers.count ?? 0
    return (0..<3).map { count * $0 / 3..<count * ($0 + 1) / 3 }.filter { !$0.isEmpty }
  }

  static let readingNames = [
    "nats a token of the answer after its passage", "nats without the passage", "nats, closed book",
    "attention on the passage, %",
  ]

  static func cells(_ reading: Reading) -> [String] {
    [reading.withContext, reading.withoutContext, reading.closedBook].map {
      $0.map { short($0, places: 2) } ?? ""
    }
      + [short(reading.attention)]
  }

  static let besideNames = [
    "grounding without its passages", "change of these answers", "refusals where the passage does not answer",
    "refusals where it does",
  ]

  static func values(_ beside: Beside) -> [Bootstrap.Estimate?] {
    [beside.withoutContext, beside.change, beside.refusals, beside.falseRefusals]
  }

  static func short(_ estimate: Bootstrap.Estimate, places: Int = 1) -> String {
    let ends = [estimate.low, estimate.high].map { decimal($0, places: places) }
    return "\(decimal(estimate.mean, places: places)) (\(ends[0]) to \(ends[1]))"
  }

  static func decimal(_ value: Double, places: Int = 1) -> String {
    let unit = places == 1 ? 10 : 100, whole = Int((value * Double(unit)).rounded())
    let rest = String(abs(whole) % unit)
    let zeros = String(repeating: "0", count: places - rest.count)
    return "\(whole < 0 ? "−" : "")\(abs(whole) / unit).\(zeros)\(rest)"
  }
}
