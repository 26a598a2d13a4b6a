import DuetRuntime
import Foundation

/// A drawing of what each word of a caption attended to: the picture once for each word, its regions the brighter
/// the more the word attended to them than the other words did.
struct Explanation {
  private let caption: String
  private let words: [(text: String, shares: [Float])]

  private static let tile = 180
  private static let columns = 5
  private static let gap = 14
  private static let label = 22

  init(_ attention: [AttendedToken], caption: String) {
    self.caption = caption
    var words: [(bytes: [UInt8], shares: [[Float]])] = []
    for token in attention {
      let begins = token.bytes.first.map { $0 == 0x20 || $0 == 0x0a } ?? false
      if begins || words.isEmpty { words.append(([], [])) }
      words[words.count - 1].bytes += token.bytes
      words[words.count - 1].shares.append(token.shares)
    }
    self.words = words.map { word in
      let text = String(decoding: word.bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
      return (text, Self.mean(word.shares))
    }.filter { !$0.text.isEmpty }
  }

  private static func mean(_ rows: [[Float]]) -> [Float] {
    guard let first = rows.first else { return [] }
    return first.indices.map { place in rows.reduce(0) { $0 + $1[place] } / Float(rows.count) }
  }

  /// For each word the regions' weights, 0 to 1. Some regions draw the attention of every word: what
  /// counts is how much more than the mean of all words.
  var weights: [[Float]] {
    let mean = Self.mean(words.map(\.shares))
    return words.map { word in
      let ratios = zip(word.shares, mean).map { $1 > 0 ? $0 / $1 : 0 }
      guard let low = ratios.min(), let high = ratios.max(), high > low else { return ratios.map { _ in 0 } }
      return ratios.map { ($0 - low) / (high - low) }
    }
  }

  /// - Throws: `OutputError`, or `PictureError`.
  func write(to path: String, picture: PictureFile, replaces: Bool) throws {
    guard let source = picture.path, let data = FileManager.default.contents(atPath: source) else {
      throw PictureError(name: picture.name, problem: "cannot be read again; check the path")
    }
    let kind = data.starts(with: [0x89]) ? "png" : "jpeg"
    let file = try OutputFile(path: path, replaces: replaces)
    try file.write(svg("data:image/\(kind);base64,\(data.base64EncodedString())"))
    try file.finish()
  }

  /// The picture is stretched to a square, as the encoder saw it.
  private func svg(_ source: String) -> String {
    let tile = Self.tile, columns = min(Self.columns, max(1, words.count))
    let rows = (words.count + columns - 1) / columns, top = 40
    let width = columns * (tile + Self.gap) + Self.gap
    let height = top + rows * (tile + Self.label + Self.gap) + Self.gap
    var parts = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)" \
      font-family="system-ui, sans-serif">
      <title>\(CaptionWriter.markup(caption))</title>
      <rect width="\(width)" height="\(height)" fill="#fff"/>
      <defs><image id="p" width="\(tile)" height="\(tile)" preserveAspectRatio="none" href="\(source)"/></defs>
      <text x="\(Self.gap)" y="27" font-size="17" fill="#222">\(CaptionWriter.markup(caption))</text>
      """
    ]
    for (index, (word, weights)) in zip(words, weights).enumerated() {
      let x = Self.gap + index % columns * (tile + Self.gap)
      let y = top + index / columns * (tile + Self.label + Self.gap)
      parts.append("<g transform=\"translate(\(x) \(y))\"><use href=\"#p\"/>\(shade(weights))")
      parts.append(
        "<text x=\"\(tile / 2)\" y=\"\(tile + 16)\" font-size=\"15\" text-anchor=\"middle\" fill=\"#222\">"
          + "\(CaptionWriter.markup(word.text))</text></g>")
    }
    return parts.joined(separator: "\n") + "\n</svg>\n"
  }

  /// Dark squares over a picture, thinner over what was attended to.
  private func shade(_ weights: [Float]) -> String {
    let side = Int(Double(weights.count).squareRoot().rounded())
    guard side > 0, side * side == weights.count else { return "" }
    let size = Double(Self.tile) / Double(side)
    return weights.indices.map { place in
      let x = String(format: "%.1f", Double(place % side) * size)
      let y = String(format: "%.1f", Double(place / side) * size)
      let opacity = String(format: "%.2f", 0.75 * (1 - Double(weights[place])))
      return
        "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(String(format: "%.1f", size))\" height=\"\(String(format: "%.1f", size))\" fill-opacity=\"\(opacity)\"/>"
    }.joined()
  }
}
