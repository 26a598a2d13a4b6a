/// Text without markup: blocks end at blank lines, pages at form feeds.
enum PlainTextReader {
  /// How the blocks of a text may be cut.
  enum Layout {
    /// At sentences.
    case prose
    /// At lines: source code, configuration, records.
    case lines
    /// As prose, numbering the pages between form feeds.
    case pages
  }

  /// - Complexity: O(bytes).
  static func document(_ text: [UInt8], layout: Layout) -> Document {
    var scanner = LineScanner(text, endsAtFormFeed: layout == .pages)
    var assembler = BlockAssembler()
    var page = 1
    while let line = scanner.next() {
      defer { if layout == .pages, text[line.upperBound...].first == 0x0C { page += 1 } }
      let content = scanner.trimmed(line)
      guard !content.isEmpty else {
        assembler.close()
        continue
      }
      let isIndented = layout == .lines
      assembler.add(
        isIndented ? line.lowerBound..<content.upperBound : content, number: scanner.number,
        kind: isIndented ? .lines : .paragraph, page: layout == .pages ? page : nil)
    }
    assembler.close()
    var document = Document()
    document.text = text
    document.blocks = assembler.blocks
    return document
  }
}
