/// HTML of any soundness: text, headings, lists, tables and the title, without scripts and styles.
///
/// A tokenizer without a tree, so nothing nests and every byte is looked at a fixed number of
/// times; unclosed constructs reach to the end, as in browsers (WHATWG HTML, 13.2.5).
struct HTMLReader {
  private let bytes: [UInt8]
  private var position = 0
  private var line = 1
  private var builder = DocumentBuilder()
  private var headingLevel: Int?
  private var preformattedDepth = 0
  private var isRow = false
  private var cells = 0

  private init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Elements whose content is no text of the page.
  private static let dropped: Set<String> = [
    "script", "style", "template", "noscript", "svg", "iframe", "object", "textarea", "select", "math",
  ]

  /// Elements that begin and end a block.
  private static let blocks: Set<String> = [
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "head", "header", "hr", "html",
    "legend", "main", "menu", "nav", "p", "section", "summary",
  ]

  /// - Complexity: O(bytes).
  static func document(_ text: [UInt8]) -> Document {
    var reader = HTMLReader(text)
    while reader.position < text.count { reader.readNext() }
    reader.endBlock()
    return reader.builder.document
  }

  // MARK: Tokens

  private mutating func readNext() {
    let end = bytes[position...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
    if end > position { readText(end) }
    guard position < bytes.count else { return }
    let rest = bytes[position...].dropFirst()
    if rest.starts(with: "!--".utf8) {
      advance(past: Array("-->".utf8))
    } else if rest.first == UInt8(ascii: "!") || rest.first == UInt8(ascii: "?") {
      advance(past: [UInt8(ascii: ">")])
    } else if let next = rest.first, next == UInt8(ascii: "/") || next.isASCIILetter {
      readTag()
    } else {
      readText(position + 1)
    }
  }

  /// Moves to `end`, counting lines.
  private mutating func advance(to end: Int) {
    line += bytes[position..<end].count { $0 == 0x0A }
    position = end
  }

  /// Moves behind the next `mark`, or to the end.
  private mutating func advance(past mark: [UInt8]) {
    var end = position
    while end < bytes.count, !bytes[end...].starts(with: mark) { end += 1 }
    advance(to: min(bytes.count, end + mark.count))
  }

  private mutating func readTag() {
    let isClosing = bytes[(position + 1)...].first == UInt8(ascii: "/")
    let start = position + (isClosing ? 2 : 1)
    let name = bytes[start...].prefix(24).prefix { $0.isASCIILetter || $0.isASCIIDigit }.map(\.lowered)
    let end = tagEnd(start)
    let attributes = bytes[min(end, start + name.count)..<end]
    let tag = String(decoding: name, as: UTF8.self)
    let tagLine = line
    advance(to: min(bytes.count, end + 1))
    if isClosing {
      close(tag)
    } else {
      open(tag, attributes, line: tagLine)
    }
  }

  /// The offset of the `>` that ends the tag whose name begins at `start`; quotes may hide others.
  private func tagEnd(_ start: Int) -> Int {
    var quote: UInt8?
    var previous: UInt8 = 0
    for index in start..<bytes.count {
      let byte = bytes[index]
      if let open = quote {
        if byte == open { quote = nil }
      } else if byte == UInt8(ascii: ">") {
        return index
      } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'"), previous == UInt8(ascii: "=") {
        quote = byte
      }
      if !byte.isSpace { previous = byte }
    }
    return bytes.count
  }

  /// Skips the content of an element that holds no text, with its end tag.
  private mutating func skip(_ tag: String) {
    let mark = Array("</\(tag)".utf8)
    while position < bytes.count {
      let candidate = bytes[position...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
      advance(to: candidate)
      if bytes[position...].prefix(mark.count).lazy.map(\.lowered).elementsEqual(mark) {
        advance(past: [UInt8(ascii: ">")])
        return
      }
      advance(to: min(bytes.count, position + 1))
    }
  }

  // MARK: Content

  private mutating func readText(_ end: Int) {
    let startLine = line
    let decoded = HTMLEntities.decoded(bytes[position..<end])
    advance(to: end)
    if preformattedDepth > 0 {
      let leading = builder.isEmpty ? decoded.prefix { $0 == 0x0A }.count : 0
      builder.append(decoded.dropFirst(leading), line: startLine + leading)
      return
    }
    var words = decoded[...]
    var textLine = startLine
    while let first = words.first {
      if first.isSpace {
        let space = words.prefix { $0.isSpace }
        textLine += space.count { $0 == 0x0A }
        builder.space()
        words = words[space.endIndex...]
      } else {
        let word = words.prefix { !$0.isSpace }
        builder.append(word, line: textLine)
        words = words[word.endIndex...]
      }
    }
  }

  private mutating func open(_ tag: String, _ attributes: ArraySlice<UInt8>, line tagLine: Int) {
    switch tag {
    case "title" where builder.title == nil: readTitle()
    case "title": skip(tag)
    case _ where Self.dropped.contains(tag): if attributes.last != UInt8(ascii: "/") { skip(tag) }
    case "br": builder.lineBreak()
    case "h1", "h2", "h3", "h4", "h5", "h6":
      endBlock()
      headingLevel = tag.last?.wholeNumberValue
    case "pre":
      endBlock()
      preformattedDepth += 1
    case "ul", "ol": if isRow { builder.space() } else { endBlock() }
    case "li":
      if isRow { builder.space() } else { builder.lineBreak() }
      builder.append("- ".utf8, line: tagLine)
    case "table": endBlock()
    case "tr": beginRow()
    case "td", "th": beginCell(tagLine)
    case _ where Self.blocks.contains(tag): boundary()
    default: break
    }
  }

  private mutating func close(_ tag: String) {
    switch tag {
    case "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol": if isRow { builder.space() } else { endBlock() }
    case "pre":
      endBlock()
      preformattedDepth = max(0, preformattedDepth - 1)
    case "tr": cells = 0
    case "table":
      if isRow { builder.close(.table, line: line) }
      isRow = false
    case _ where Self.blocks.contains(tag): boundary()
    default: break
    }
  }

  /// A block's edge; within a list's item or a table's cell it is but a space.
  private mutating func boundary() {
    if isRow { builder.space() } else { endBlock() }
  }

  private mutating func endBlock() {
    let kind: Block.Kind
    if let level = headingLevel {
      kind = .heading(level)
    } else {
      kind = isRow ? .table : preformattedDepth > 0 ? .lines : .paragraph
    }
    builder.close(kind, line: line)
    headingLevel = nil
    isRow = false
    cells = 0
  }

  private mutating func beginRow() {
    if !isRow { endBlock() }
    isRow = true
    builder.lineBreak()
    cells = 0
  }

  private mutating func beginCell(_ tagLine: Int) {
    guard isRow else { return }
    if cells > 0 { builder.append(" | ".utf8, line: tagLine) }
    cells += 1
  }

  private mutating func readTitle() {
    let start = position
    let end = bytes[start...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
    let title = String(decoding: HTMLEntities.decoded(bytes[start..<end]), as: UTF8.self).singleLine
    if !title.isEmpty { builder.title = title }
    skip("title")
  }
}
