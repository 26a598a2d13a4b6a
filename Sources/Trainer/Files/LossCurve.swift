/// The losses of a run by step, or how well what it drew agrees with what was given, as SVG: those of training in grey
/// with their running mean in blue, those of held-out rows as red dots.
struct LossCurve {
  let lines: [MetricsLine]
  let title: String
  private let width = 720.0
  private let height = 400.0
  private let left = 60.0
  private let bottom = 350.0
  private let top = 40.0
  private let right = 700.0

  init(lines: [MetricsLine], title: String) {
    self.lines = lines
    self.title = title
  }

  private typealias Point = (step: Int, loss: Double)
  private var training: [Point] {
    lines.compactMap { line in (line.loss ?? line.agreement).flatMap { $0.isFinite ? (line.step, $0) : nil } }
  }
  private var heldOut: [Point] {
    lines.compactMap { line in
      (line.heldOutLoss ?? line.heldOutAgreement).flatMap { $0.isFinite ? (line.step, $0) : nil }
    }
  }

  var svg: String {
    let training = training, heldOut = heldOut, all = training + heldOut
    let lastStep = Double(max(1, all.map(\.step).max() ?? 1))
    let largest = Self.scale(max(0.1, all.map(\.loss).max() ?? 1))
    func x(_ step: Int) -> Double { left + (right - left) * Double(step) / lastStep }
    func y(_ loss: Double) -> Double { bottom - (bottom - top) * max(0, loss) / largest }
    func line(_ points: [Point], _ style: String) -> String {
      let path = points.map { "\(short(x($0.step))),\(short(y($0.loss)))" }.joined(separator: " ")
      return points.isEmpty ? "" : "<polyline points=\"\(path)\" fill=\"none\" \(style)/>\n"
    }
    var result =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(short(width)) \(short(height))\" font-family=\"sans-serif\" font-size=\"12\">\n"
    result += "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    result += text(left, 22, escaped(title), "font-size=\"14\"")
    for tick in 0...5 {
      let loss = largest * Double(tick) / 5, step = Int(lastStep) * tick / 5
      result +=
        "<line x1=\"\(short(left))\" x2=\"\(short(right))\" y1=\"\(short(y(loss)))\" y2=\"\(short(y(loss)))\" stroke=\"#ddd\"/>\n"
      result += text(left - 8, y(loss) + 4, short(loss), "text-anchor=\"end\"")
      result += text(x(step), bottom + 18, "\(step)", "text-anchor=\"middle\"")
    }
    let measure = lines.contains { $0.agreement != nil } ? "CIDEr-D" : "loss in nats per token"
    let legend = "\(measure) by step: each (grey), mean of the last 20 (blue), held-out rows (red)"
    result += text((left + right) / 2, height - 8, legend, "text-anchor=\"middle\"")
    result +=
      line(training, "stroke=\"#bbb\"") + line(smoothed(training), "stroke=\"#1f5fbf\" stroke-width=\"2\"")
    for point in heldOut {
      result +=
        "<circle cx=\"\(short(x(point.step)))\" cy=\"\(short(y(point.loss)))\" r=\"3.5\" fill=\"#c0392b\"/>\n"
    }
    return result + "</svg>\n"
  }

  /// The smallest top of an axis, five round steps high, that holds `value`.
  private static func scale(_ value: Double) -> Double {
    var hundredths = 2, isTwo = true
    while hundredths < 1_000_000_000, Double(5 * hundredths) < 100 * value {
      // 2, 5, 10, 20, 50, …
      hundredths = isTwo ? hundredths / 2 * 5 : hundredths * 2
      isTwo = "\(hundredths)".hasPrefix("2")
    }
    return Double(5 * hundredths) / 100
  }

  /// Means of up to 20 points.
  private func smoothed(_ points: [Point]) -> [Point] {
    points.indices.map { index in
      let part = points[max(0, index - 19)...index]
      return (points[index].step, part.reduce(0) { $0 + $1.loss } / Double(part.count))
    }
  }

  private func text(_ x: Double, _ y: Double, _ text: String, _ style: String) -> String {
    "<text x=\"\(short(x))\" y=\"\(short(y))\" \(style)>\(text)</text>\n"
  }

  private func short(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    let part = abs(hundredths) % 100
    return
      "\(hundredths < 0 ? "-" : "")\(abs(hundredths) / 100)\(part == 0 ? "" : part < 10 ? ".0\(part)" : ".\(part)")"
  }

  private func escaped(_ text: String) -> String {
    text.reduce(into: "") { result, character in
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      default: result.append(character)
      }
    }
  }
}
