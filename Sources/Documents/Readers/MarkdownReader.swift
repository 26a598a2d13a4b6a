/// Markdown, kept as written; headings, fenced code and tables are recognised
/// (CommonMark 0.31, 4.2, 4.3 and 4.5; GitHub's extension for tables).
struct MarkdownReader {
  private var scanner: LineScanner
  private var assembler = BlockAssembler()
  private var title: String?
  private var fence: (mark: UInt8, count: Int)?

  private init(_ text: [UInt8]) { scanner = LineScanner(text) }

  /// - Complexity: O(bytes).
  static func document(_ text: [UInt8]) -> Document {
    var reader = MarkdownReader(text)
    reader.readFrontMatter()
    while let line = reader.scanner.next() { reader.read(line) }
    reader.assembler.close()
    var document = Document(title: reader.title)
    document.text = text
    document.blocks = reader.assembler.blocks
    if document.title == nil {
      document.title = document.blocks.first { $0.kind == .heading(1) }?.heading
    }
    return document
  }

  private mutating func read(_ line: Range<Int>) {
    let content = scanner.trimmed(line)
    if fence != nil {
      readFenced(line, content)
    } else if content.isEmpty {
      assembler.close()
    } else if let opening = Self.fence(scanner.text[content]) {
      fence = opening
      assembler.close()
      assembler.add(line.lowerBound..<content.upperBound, number: scanner.number, kind: .lines)
    } else if let level = Self.headingLevel(scanner.text[content]) {
      assembler.close()
      assembler.add(content, number: scanner.number, kind: .paragraph)
      assembler.closeHeading(level: level, text: heading(content), through: scanner.number)
    } else if let level = underlineLevel(content), let text = assembler.openRange {
      assembler.add(content, number: scanner.number, kind: .paragraph)
      assembler.closeHeading(level: level, text: heading(text), through: scanner.number)
    } else {
      let isTable = scanner.text[content.lowerBound] == UInt8(ascii: "|")
      assembler.add(
        line.lowerBound..<content.upperBound, number: scanner.number, kind: isTable ? .table : .paragraph)
    }
  }

  private mutating func readFenced(_ line: Range<Int>, _ content: Range<Int>) {
    assembler.add(line.lowerBound..<content.upperBound, number: scanner.number, kind: .lines)
    guard let opening = fence, let closing = Self.fence(scanner.text[content]),
      closing.mark == opening.mark, closing.count >= opening.count, closing.count == content.count
    else { return }
    fence = nil
    assembler.close()
  }

  /// The mark and length of a code fence that `line` begins with, or nil.
  private static func fence(_ line: ArraySlice<UInt8>) -> (mark: UInt8, count: Int)? {
    guard let mark = line.first, mark == UInt8(ascii: "`") || mark == UInt8(ascii: "~") else { return nil }
    let count = line.prefix { $0 == mark }.count
    guard count >= 3, mark != UInt8(ascii: "`") || !line.dropFirst(count).contains(mark) else { return nil }
    return (mark, count)
  }

  /// 1 to 6 for a line such as `## Title`, or nil.
  private static func headingLevel(_ line: ArraySlice<UInt8>) -> Int? {
    let level = line.prefix(7).prefix { $0 == UInt8(ascii: "#") }.count
    guard (1...6).contains(level) else { return nil }
    guard let next = line.dropFirst(level).first, next.isSpace else { return nil }
    return level
  }

  /// The level that a line of `=` or `-` gives to the one line of text above it, or nil.
  private func underlineLevel(_ line: Range<Int>) -> Int? {
    guard assembler.openKind == .paragraph, let text = assembler.openRange, text.count <= 200,
      !scanner.text[text].contains(0x0A)
    else { return nil }
    let mark = scanner.text[line.lowerBound]
    guard mark == UInt8(ascii: "=") || mark == UInt8(ascii: "-") else { return nil }
    guard scanner.text[line].allSatisfy({ $0 == mark }) else { return nil }
    return mark == UInt8(ascii: "=") ? 1 : 2
  }

  /// The words of a heading without the marks around them.
  private func heading(_ range: Range<Int>) -> String {
    let marks: Set<Character> = ["#", "*", "`", "_", " ", "\t"]
    let line = String(decoding: scanner.text[range], as: UTF8.self)
    let start = line.drop { marks.contains($0) }
    let end = start.lastIndex { !marks.contains($0) } ?? start.startIndex
    return start.isEmpty ? "" : String(start[...end]).singleLine
  }

  /// Reads the lines between `---` at a file's start, taking its title from them.
  private mutating func readFrontMatter() {
    var ahead = scanner
    guard let first = ahead.next(), string(ahead.trimmed(first)) == "---" else { return }
    var found: String?
    for _ in 0..<100 {
      guard let line = ahead.next() else { return }
      let content = string(ahead.trimmed(line))
      if content == "---" {
        title = found
        assembler.add(0..<line.upperBound, number: 1, kind: .lines)
        assembler.add(line, number: ahead.number, kind: .lines)
        assembler.close()
        scanner = ahead
        return
      }
      if content.hasPrefix("title:") { found = Self.unquoted(content.dropFirst(6)) }
    }
  }

  private func string(_ range: Range<Int>) -> String { String(decoding: scanner.text[range], as: UTF8.self) }

  private static func unquoted(_ value: Substring) -> String? {
    let marks: Set<Character> = ["\"", "'", " "]
    let text = value.drop { marks.contains($0) }
    guard let end = text.lastIndex(where: { !marks.contains($0) }) else { return nil }
    return String(text[...end])
  }
}
