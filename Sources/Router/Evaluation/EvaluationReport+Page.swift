extension EvaluationReport {
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
    h1 { font-size: 1.4em; line-height: 1.2; } h2 { margin: 1.4em 0 .3em; font-size: 1.1em; }
    .row { display: grid; grid-template-columns: 8.5em 1fr 3em; gap: .5em; align-items: center; }
    .bar { position: relative; height: 1em; background: #eee; }
    .bar i { position: absolute; top: 0; bottom: 0; left: 0; background: #7a9cc6; }
    .bar b { position: absolute; top: 45%; height: 10%; background: #222; }
    .routed .bar i { background: #2b6cb0; } span { text-align: right; }
    .line { display: flex; justify-content: space-between; gap: .8em; border-bottom: 1px solid #eee; }
    .line span { white-space: nowrap; } h3 { margin: 1em 0 .2em; font-size: 1em; font-weight: normal; color: #666; }
    </style></head><body>
    <h1>\(Self.escaped(title))</h1>
    <p>Scores of 0 to 100; the thin line is the 95 % interval, articles drawn again. Differences above zero
    throughout theirs are bold.</p>
    \((columnNames.map { name in plot(name) { $0.columns[name] } } + [plot("mean of all") { $0.mean }]).joined())
    <h2>Beside them</h2>
    \(besideLists.joined())
    \(readingSection)
    <h2>Differences, question by question</h2>
    \(claims.map(Self.line).joined(separator: "\n"))
    </body></html>

    """
  }

  private func plot(_ name: String, _ estimate: (Row) -> Bootstrap.Estimate?) -> String {
    let count = questions[name].map { ", \($0) questions" } ?? ""
    let bars = rows.compactMap { row -> String? in
      guard let value = estimate(row) else { return nil }
      let low = Self.decimal(value.low), width = Self.decimal(max(0.1, value.high - value.low))
      return
        "<div class=\"row\(row.name == Evaluation.routed ? " routed" : "")\"><div>\(Self.escaped(row.name))</div>"
        + "<div class=\"bar\"><i style=\"width:\(Self.decimal(max(0, value.mean)))%\"></i>"
        + "<b style=\"left:\(low)%;width:\(width)%\"></b></div><span>\(Self.decimal(value.mean))</span></div>"
    }
    return "<h2>\(Self.escaped(name))\(count)</h2>\n" + bars.joined(separator: "\n") + "\n"
  }

  private var besideLists: [String] {
    Self.besideNames.indices.map { index in
      Self.list(
        Self.besideNames[index], besides.map { ($0.name, Self.values($0)[index].map { Self.short($0) }) })
    }
  }

  /// How likely accepted answers are, and a line for each arm of what their tokens attend to.
  private var readingSection: String {
    guard !readings.isEmpty else { return "" }
    let plot = AttentionPlot(layers: readings.map(\.layers))
    let lists = Self.readingNames.indices.map { index in
      Self.list(Self.readingNames[index], readings.map { ($0.name, Self.cells($0)[index]) })
    }
    let names = readings.indices.map { index in
      "<b style=\"color:\(plot.colour(index))\">\(Self.escaped(readings[index].name))</b>"
    }
    return """
      <h2>Accepted answers, read</h2>
      \(lists.joined())
      <h3>Attention on the passage, % of each layer's, first to last: \(names.joined(separator: ", "))</h3>
      \(plot.svg)
      """
  }

  /// A line for each row that has a value.
  private static func list(_ name: String, _ rows: [(name: String, value: String?)]) -> String {
    let lines = rows.compactMap { row in row.value.map { line(row.name, $0) } }
    return lines.isEmpty ? "" : "<h3>\(escaped(name))</h3>\n" + lines.joined(separator: "\n") + "\n"
  }

  private static func line(_ name: String, _ value: String) -> String {
    "<div class=\"line\"><div>\(escaped(name))</div><span>\(value)</span></div>"
  }

  private static func line(_ claim: Claim) -> String {
    let difference = claim.holds ? "<b>\(short(claim.difference))</b>" : short(claim.difference)
    return line("\(claim.better) over \(claim.than), \(claim.column)", difference)
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
  }
}
