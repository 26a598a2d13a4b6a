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
    \(readingSection)
    <h2>Differences, question by question</h2>
    <table>\(claims.map(Self.line).joined(separator: "\n"))</table>
    </body></html>

    """
  }

  func plot(_ name: String, _ estimate: (Row) -> Bootstrap.Estimate?) -> String {
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

  /// How likely accepted answers are, and a line for each arm of what their tokens attend to.
  private var readingSection: String {
    guard !readings.isEmpty else { return "" }
    let plot = AttentionPlot(layers: readings.map(\.layers))
    let rows = readings.map { reading in
      "<tr><td>\(Self.escaped(reading.name))</td>"
        + Self.cells(reading).map { "<td>\($0)</td>" }.joined() + "</tr>"
    }
    let names = readings.indices.map { index in
      "<b style=\"color:\(plot.colour(index))\">\(Self.escaped(readings[index].name))</b>"
    }
    return """
      <h2>Accepted answers, read</h2>
      <div class="wide"><table><tr><th></th>\(Self.readingNames.map { "<th>\($0)</th>" }.joined())</tr>
      \(rows.joined(separator: "\n"))</table></div>
      <p>Percent of each layer's attention on the passage, first layer to last: \(names.joined(separator: ", "))</p>
      \(plot.svg)
      """
  }

  static func line(_ beside: Beside) -> String {
    let cells = values(beside).map { "<td>\($0.map { short($0) } ?? "")</td>" }.joined()
    return "<tr><td>\(escaped(beside.name))</td>\(cells)</tr>"
  }

  static func line(_ claim: Claim) -> String {
    "<tr><td>\(escaped(claim.better)) over \(escaped(claim.than))</td><td>\(escaped(claim.column))</td>"
      + "<td>\(short(claim.difference))</td><td>\(claim.holds ? "above zero" : "")</td></tr>"
  }

  static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
  }
}
