/// Shares of attention by layer as lines of an SVG picture.
struct AttentionPlot {
  /// [lines][layers] Percent.
  let layers: [[Double]]

  private static let width = 320.0, height = 150.0, left = 26.0, margin = 8.0
  private static let colours = ["#888888", "#d08a2e", "#2b6cb0", "#5d8a5f", "#a0527a", "#444444"]

  /// Of a line.
  func colour(_ index: Int) -> String { Self.colours[index % Self.colours.count] }

  private var highest: Double { max(1, layers.joined().max() ?? 1) }

  private func x(_ layer: Int) -> String {
    let steps = max(1, (layers.first?.count ?? 1) - 1)
    return EvaluationReport.decimal(
      Self.left + (Self.width - Self.left - Self.margin) * Double(layer) / Double(steps))
  }

  private func y(_ share: Double) -> String {
    EvaluationReport.decimal(Self.margin + Self.height * (1 - share / highest))
  }

  /// The picture, as wide as it may be.
  var svg: String {
    let unit = highest > 50 ? 20.0 : highest > 20 ? 10.0 : 5.0
    let grid = stride(from: 0, through: highest, by: unit).map { share in
      "<path d=\"M\(Self.left) \(y(share))H\(Self.width - Self.margin)\" stroke=\"#ddd\"/>"
        + "<text x=\"\(Self.left - 4)\" y=\"\(y(share))\" dy=\".3em\" text-anchor=\"end\">\(Int(share))</text>"
    }
    let lines = layers.enumerated().map { index, shares in
      let points = shares.enumerated().map { "\(x($0)),\(y($1))" }
      return "<polyline points=\"\(points.joined(separator: " "))\" stroke=\"\(colour(index))\"/>"
    }
    let box = "0 0 \(Int(Self.width)) \(Int(Self.height + 2 * Self.margin))"
    return """
      <svg viewBox="\(box)" font-size="10" fill="#666" style="width:100%;max-width:40em">
      \(grid.joined())
      <g fill="none" stroke-width="1.5">\(lines.joined(separator: "\n"))</g></svg>
      """
  }
}
