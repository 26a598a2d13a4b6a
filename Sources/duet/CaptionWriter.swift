import ArgumentParser
import DuetRuntime
import DuetTerminal
import Foundation

/// How captions are written.
enum CaptionFormat: String, ExpressibleByArgument, CaseIterable {
  /// The caption alone of one picture, the file in front of several.
  case text
  /// An object a line.
  case json
  /// RFC 4180, with a line of names.
  case csv
  /// `![caption](file)`
  case markdown
  /// `<img src="file" alt="caption">`
  case alt
  /// `photo.txt` beside `photo.jpg`.
  case sidecar
  /// `photo.xmp` beside `photo.jpg`, as photo managers read it.
  case xmpSidecar = "xmp-sidecar"

  /// Whether captions go to files beside the pictures.
  var isSidecar: Bool { self == .sidecar || self == .xmpSidecar }
}

/// What was said of a picture.
struct Caption: Encodable {
  let file: String
  var caption = ""
  /// How likely each answer is that was to choose from.
  var choices: [String: Double]?
  /// Of all that each token of the caption attended to, the share of the picture.
  var attention: [Float]?
  /// From the file to the caption.
  var seconds = 0.0

  init(file: String) { self.file = file }

  /// The most likely answer.
  mutating func choose(_ answers: [String], _ probabilities: [Double]) {
    choices = Dictionary(zip(answers, probabilities), uniquingKeysWith: { first, _ in first })
    caption = zip(answers, probabilities).max { $0.1 < $1.1 }?.0 ?? ""
  }
}

/// Writes captions as they come.
final class CaptionWriter {
  private let format: CaptionFormat
  private let isSingle: Bool
  private let replaces: Bool
  private var isFirst = true

  /// - Parameters:
  ///   - format: how they are written.
  ///   - isSingle: whether there is just one.
  ///   - replaces: whether sidecar files that are there may be replaced.
  init(format: CaptionFormat, isSingle: Bool, replaces: Bool) {
    self.format = format
    self.isSingle = isSingle
    self.replaces = replaces
  }

  /// - Parameter path: of the picture; nil where it has none.
  /// - Throws: `OutputError`, or what standard output does.
  func write(_ caption: Caption, at path: String?) throws {
    defer { isFirst = false }
    let oneLine = caption.caption.split(whereSeparator: \.isNewline).joined(separator: " ")
    switch format {
    case .text: try say(printable(isSingle ? caption.caption : "\(caption.file): \(oneLine)"))
    case .json: try say(Self.line(caption))
    case .csv:
      if isFirst { try StandardStream.output.write("file,caption\r\n") }
      try StandardStream.output.write("\(Self.field(caption.file)),\(Self.field(caption.caption))\r\n")
    case .markdown: try say("![\(Self.escaped(oneLine))](<\(caption.file)>)")
    case .alt:
      try say("<img src=\"\(Self.markup(caption.file))\" alt=\"\(Self.markup(oneLine))\">")
    case .sidecar, .xmpSidecar: try writeSidecar(caption, at: path)
    }
  }

  private func writeSidecar(_ caption: Caption, at path: String?) throws {
    guard let path else { return }
    let isText = format == .sidecar
    let target = (path as NSString).deletingPathExtension + (isText ? ".txt" : ".xmp")
    let file = try OutputFile(path: target, replaces: replaces)
    try file.write(isText ? caption.caption + "\n" : Self.xmp(caption.caption))
    try file.finish()
    try say(printable("\(caption.file): \(caption.caption)"))
  }

  private static func line(_ caption: Caption) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(caption), as: UTF8.self)
  }

  /// A field of a line of comma-separated values (RFC 4180).
  static func field(_ text: String) -> String {
    guard text.contains(where: { ",\"".contains($0) || $0.isNewline }) else { return text }
    return "\"" + text.replacingOccurrences(of: "\"", with: "\"\"") + "\""
  }

  private static func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "[", with: "\\[")
      .replacingOccurrences(of: "]", with: "\\]")
  }

  /// Text within a quoted attribute or an element.
  static func markup(_ text: String) -> String {
    var out = ""
    for character in text {
      switch character {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      default: out.append(character)
      }
    }
    return out
  }

  /// The description in Dublin Core (ISO 16684-1, XMP).
  static func xmp(_ caption: String) -> String {
    """
    <?xpacket begin="\u{FEFF}" id="W5M0MpCehiHzreSzNTczkc9d"?>
    <x:xmpmeta xmlns:x="adobe:ns:meta/">
     <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
      <rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">
       <dc:description><rdf:Alt><rdf:li xml:lang="x-default">\(markup(caption))</rdf:li></rdf:Alt></dc:description>
      </rdf:Description>
     </rdf:RDF>
    </x:xmpmeta>
    <?xpacket end="w"?>

    """
  }
}
