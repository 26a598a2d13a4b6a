/// Word documents (ECMA-376, Office Open XML, part 1, 17): paragraphs, headings by their style or
/// outline level, lists, tables, and the title of the document's properties.
struct DOCXReader {
  private var builder = DocumentBuilder()
  private let styles: [String: Block.Kind]
  private var paragraph = 0
  private var kind = Block.Kind.paragraph
  private var isInText = false
  /// Depth of elements whose content is left out: deleted text, fallbacks for older programs.
  private var skippedDepth = 0
  private var tableDepth = 0
  private var cells = 0

  private init(styles: [String: Block.Kind]) { self.styles = styles }

  /// Line numbers of the result count paragraphs, for the format has no lines.
  ///
  /// - Complexity: O(decompressed bytes), bounded by `Inflate.maximumBytes`.
  /// - Throws: `ReadError.damaged` or `.bomb`.
  static func document(_ bytes: [UInt8]) throws(ReadError) -> Document {
    let archive = try ZipArchive(bytes)
    guard let body = try archive.content("word/document.xml") else {
      throw .damaged(format: "DOCX", problem: "has no word/document.xml")
    }
    let styles = (try? archive.content("word/styles.xml")).flatMap { $0 } ?? []
    var reader = DOCXReader(styles: styleKinds(styles))
    var scanner = XMLScanner(body)
    while let event = scanner.next() { reader.read(event) }
    reader.endParagraph()
    var document = reader.builder.document
    let properties = (try? archive.content("docProps/core.xml")).flatMap { $0 } ?? []
    document.title = title(properties) ?? document.blocks.first { $0.kind == .heading(1) }?.heading
    return document
  }

  private mutating func read(_ event: XMLScanner.Event) {
    switch event {
    case .start(let name, let attributes, let isEmpty):
      if skippedDepth > 0 || Self.isSkipped(name) {
        skippedDepth += isEmpty ? 0 : 1
      } else {
        start(name, attributes, isEmpty: isEmpty)
      }
    case .end(let name):
      if skippedDepth > 0 { skippedDepth -= 1 } else { end(name) }
    case .text(let text):
      if isInText, skippedDepth == 0 { builder.append(HTMLEntities.decoded(text), line: paragraph) }
    }
  }

  private static func isSkipped(_ name: String) -> Bool { name == "Fallback" || name == "del" }

  private mutating func start(_ name: String, _ attributes: ArraySlice<UInt8>, isEmpty: Bool) {
    switch name {
    case "p":
      paragraph += 1
      if tableDepth == 0 { endParagraph() } else { builder.space() }
    case "pStyle":
      if let style = XMLScanner.value("val", in: attributes), let known = styles[style] { kind = known }
    case "outlineLvl":
      if let level = XMLScanner.value("val", in: attributes).flatMap({ Int($0) }), (0...5).contains(level) {
        kind = .heading(level + 1)
      }
    case "numPr": if builder.isEmpty, tableDepth == 0 { builder.append("- ".utf8, line: paragraph) }
    case "t": isInText = !isEmpty
    case "tab": if !builder.isEmpty { builder.append("\t".utf8, line: paragraph) }
    case "br", "cr": builder.lineBreak()
    case "tbl":
      if tableDepth == 0 { endParagraph() }
      tableDepth += isEmpty ? 0 : 1
    case "tr": if tableDepth == 1 { beginRow() }
    case "tc": if tableDepth == 1 { beginCell() }
    default: break
    }
  }

  private mutating func end(_ name: String) {
    switch name {
    case "t": isInText = false
    case "p": if tableDepth == 0 { endParagraph() }
    case "tbl":
      tableDepth = max(0, tableDepth - 1)
      if tableDepth == 0 { builder.close(.table, line: paragraph) }
    default: break
    }
  }

  private mutating func endParagraph() {
    builder.close(kind, line: paragraph)
    kind = .paragraph
  }

  private mutating func beginRow() {
    builder.lineBreak()
    cells = 0
  }

  private mutating func beginCell() {
    if cells > 0 { builder.append(" | ".utf8, line: paragraph) }
    cells += 1
  }

  /// The headings among a document's styles, by the styles' ids, which differ between languages.
  private static func styleKinds(_ bytes: [UInt8]) -> [String: Block.Kind] {
    var kinds: [String: Block.Kind] = ["Title": .heading(1)]
    for level in 1...6 { kinds["Heading\(level)"] = .heading(level) }
    var scanner = XMLScanner(bytes)
    var style: String?
    while let event = scanner.next() {
      guard case .start(let name, let attributes, _) = event else { continue }
      if name == "style" {
        style = XMLScanner.value("styleId", in: attributes)
      } else if let id = style, let value = XMLScanner.value("val", in: attributes) {
        if name == "name", let kind = headingKind(value) { kinds[id] = kind }
        if name == "outlineLvl", let level = Int(value), (0...5).contains(level) {
          kinds[id] = .heading(level + 1)
        }
      }
    }
    return kinds
  }

  private static func headingKind(_ styleName: String) -> Block.Kind? {
    let name = styleName.lowercased()
    if name == "title" { return .heading(1) }
    guard name.hasPrefix("heading "), let level = Int(name.dropFirst(8)), (1...6).contains(level) else {
      return nil
    }
    return .heading(level)
  }

  private static func title(_ properties: [UInt8]) -> String? {
    var scanner = XMLScanner(properties)
    while let event = scanner.next() {
      guard case .start("title", _, false) = event, case .text(let text)? = scanner.next() else { continue }
      let title = String(decoding: HTMLEntities.decoded(text), as: UTF8.self).singleLine
      return title.isEmpty ? nil : title
    }
    return nil
  }
}
