/// A file's text and structure, as a reader leaves them.
package struct Document: Equatable, Sendable {
  /// The title that the document gives itself.
  package var title: String?
  /// UTF-8 with `\n` between lines.
  package var text: [UInt8] = []
  /// In the order of the text; they do not overlap.
  package var blocks: [Block] = []
  /// Whether a line of `text` is a line of the file, so that a part of a block has lines of its own.
  package var isVerbatim = true

  package init(title: String? = nil) { self.title = title }

  /// The text of `range` as a string.
  package func string(_ range: Range<Int>) -> String {
    String(decoding: text[range], as: UTF8.self)
  }
}

/// A part of a document that is read as one: a heading, a paragraph, a table.
package struct Block: Equatable, Sendable {
  package enum Kind: Equatable, Sendable {
    /// 1 is the highest level.
    case heading(Int)
    case paragraph
    /// Text whose lines must stay whole: code, lists of records, configuration.
    case lines
    case table
  }

  package var kind: Kind
  /// Bytes within the document's text, without the line's end.
  package var range: Range<Int>
  /// 1-based lines of the file.
  package var lines: ClosedRange<Int>
  /// 1-based, for paged formats.
  package var page: Int?
  /// What a heading says, without its markup; empty for other kinds.
  package var heading = ""
}

/// Gathers the text of a format whose markup is left out, block by block.
struct DocumentBuilder {
  private(set) var document: Document
  private var pending: [UInt8] = []
  private var firstLine = 1

  init() {
    document = Document()
    document.isVerbatim = false
  }

  var isEmpty: Bool { pending.isEmpty }
  var title: String? {
    get { document.title }
    set { document.title = newValue }
  }

  /// Adds to the open block, which begins at `line` if this is its first text.
  mutating func append(_ bytes: some Sequence<UInt8>, line: Int) {
    if pending.isEmpty { firstLine = line }
    pending.append(contentsOf: bytes)
  }

  /// Adds a space unless the open block is empty or ends in white space.
  mutating func space() {
    if let last = pending.last, !last.isSpace { pending.append(UInt8(ascii: " ")) }
  }

  /// Adds a line's end unless the open block is empty.
  mutating func lineBreak() {
    while pending.last == UInt8(ascii: " ") { pending.removeLast() }
    if !pending.isEmpty { pending.append(UInt8(ascii: "\n")) }
  }

  /// Closes the open block at `line`; one without visible text is dropped.
  mutating func close(_ kind: Block.Kind, line: Int) {
    while let last = pending.last, last.isSpace { pending.removeLast() }
    defer { pending.removeAll(keepingCapacity: true) }
    let leading = kind == .lines ? 0 : pending.prefix { $0.isSpace }.count
    guard pending.contains(where: { !$0.isSpace }) else { return }
    if !document.text.isEmpty { document.text += Array("\n\n".utf8) }
    let start = document.text.count
    document.text += pending[leading...]
    let range = start..<document.text.count
    var block = Block(kind: kind, range: range, lines: firstLine...max(firstLine, line))
    if case .heading = kind { block.heading = document.string(range).singleLine }
    document.blocks.append(block)
  }
}

extension UInt8 {
  /// ASCII white space.
  var isSpace: Bool { self == 0x20 || (0x09...0x0D).contains(self) }
  var isASCIILetter: Bool { (0x41...0x5A).contains(self) || (0x61...0x7A).contains(self) }
  var isASCIIDigit: Bool { (0x30...0x39).contains(self) }
  /// In lower case, if an ASCII letter.
  var lowered: UInt8 { (0x41...0x5A).contains(self) ? self | 0x20 : self }
  /// Whether the byte continues a UTF-8 sequence.
  var isContinuation: Bool { self & 0xC0 == 0x80 }
}

extension String {
  /// The words with one space between them.
  var singleLine: String {
    split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }
}
