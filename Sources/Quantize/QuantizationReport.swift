import DuetRuntime

/// A page that shows what quantizing did: totals, a plot of the error of every layer, a table of
/// tensors. It needs nothing but itself.
public struct QuantizationReport: Sendable {
  /// The name of the model.
  public var title: String
  /// Lines about the whole, such as bytes and bits per weight.
  public var summary: [String]
  /// The tensors in the order of the file.
  public var tensors: [TensorResult]

  /// A report of what has been written.
  public init(title: String, summary: [String], tensors: [TensorResult]) {
    self.title = title
    self.summary = summary
    self.tensors = tensors
  }

  /// The page in HTML. O(tensors).
  public var html: String {
    """
    <!DOCTYPE html>
    <html lang="en"><head><meta charset="utf-8"><title>\(Self.escaped(title))</title>
    <style>
    body { font: 14px/1.5 system-ui, sans-serif; max-width: 64em; margin: 2em auto; padding: 0 1em; color: #222; }
    table { border-collapse: collapse; } td, th { padding: .1em .8em; text-align: right; }
    td:first-child, th:first-child { text-align: left; } tr:nth-child(even) { background: #f4f4f4; }
    svg text { font-size: 11px; fill: #444; }
    </style></head><body>
    <h1>\(Self.escaped(title))</h1>
    <ul>\(summary.map { "<li>\(Self.escaped($0))</li>" }.joined())</ul>
    <h2>Relative error by layer</h2>
    \(plot)
    <h2>Tensors</h2>
    <table><tr><th>tensor</th><th>was</th><th>is</th><th>bits</th><th>bytes</th><th>relative error</th></tr>
    \(tensors.map(row).joined(separator: "\n"))
    </table></body></html>

    """
  }

  private func row(_ tensor: TensorResult) -> String {
    let bits = Self.rounded(tensor.type.bitsPerWeight, 2)
    return
      "<tr><td>\(Self.escaped(tensor.name))</td><td>\(tensor.sourceType.name)</td><td>\(tensor.type.name)</td>"
      + "<td>\(bits)</td><td>\(tensor.byteCount)</td><td>\(Self.rounded(100 * tensor.error.relative, 3)) %</td></tr>"
  }

  /// The tensors of the layers, by what follows `blk.N.`.
  private var series: [(name: String, points: [(layer: Int, error: Double)])] {
    var names: [String] = []
    var points: [String: [(layer: Int, error: Double)]] = [:]
    for tensor in tensors where tensor.error.energy > 0 {
      guard let layer = layerIndex(tensor.name) else { continue }
      let name = tensor.name.split(separator: ".", maxSplits: 2).last.map(String.init) ?? tensor.name
      if points[name] == nil { names.append(name) }
      points[name, default: []].append((layer, 100 * tensor.error.relative))
    }
    return names.map { ($0, (points[$0] ?? []).sorted { $0.layer < $1.layer }) }
  }

  private static let colours = [
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#888888", "#222222",
  ]
  private static let width = 860.0
  private static let height = 300.0
  private static let left = 50.0

  private var plot: String {
    let series = series
    let top = series.flatMap(\.points).map(\.error).max() ?? 0
    guard top > 0 else { return "<p>No layer was quantized.</p>" }
    let layers = max(1, series.flatMap(\.points).map(\.layer).max() ?? 1)
    func x(_ layer: Int) -> Double {
      Self.left + (Self.width - Self.left - 10) * Double(layer) / Double(layers)
    }
    func y(_ error: Double) -> Double { Self.height - 30 - (Self.height - 50) * error / top }
    var parts = [
      "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height) + 20 * ((series.count + 3) / 4))\" role=\"img\">"
    ]
    for step in 0...4 {
      let error = top * Double(step) / 4, line = Self.rounded(y(error), 1)
      parts.append(
        "<line x1=\"\(Self.left)\" x2=\"\(Self.width - 10)\" y1=\"\(line)\" y2=\"\(line)\" stroke=\"#ddd\"/>"
          + "<text x=\"4\" y=\"\(line)\">\(Self.rounded(error, 2)) %</text>")
    }
    for layer in stride(from: 0, through: layers, by: max(1, layers / 10)) {
      parts.append("<text x=\"\(Self.rounded(x(layer), 1))\" y=\"\(Self.height - 12)\">\(layer)</text>")
    }
    for (index, line) in series.enumerated() {
      let colour = Self.colours[index % Self.colours.count]
      let points = line.points.map { "\(Self.rounded(x($0.layer), 1)),\(Self.rounded(y($0.error), 1))" }
      parts.append(
        "<polyline fill=\"none\" stroke=\"\(colour)\" stroke-width=\"1.5\" points=\"\(points.joined(separator: " "))\"/>"
      )
      let column = Self.left + 200 * Double(index % 4), row = Self.height + 12 + 20 * Double(index / 4)
      parts.append(
        "<rect x=\"\(column)\" y=\"\(row - 9)\" width=\"10\" height=\"10\" fill=\"\(colour)\"/>"
          + "<text x=\"\(column + 14)\" y=\"\(row)\">\(Self.escaped(line.name))</text>")
    }
    return parts.joined(separator: "\n") + "</svg>"
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
      .replacing("\"", with: "&quot;")
  }

  private static func rounded(_ value: Double, _ digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    return "\((value * scale).rounded() / scale)"
  }
}
