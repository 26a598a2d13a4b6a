/// The lines of a text, one after another.
struct LineScanner {
  let text: [UInt8]
  /// Whether a form feed ends a line too.
  private let endsAtFormFeed: Bool
  private var offset = 0
  /// The 1-based number of the line that `next` gave last.
  private(set) var number = 0

  init(_ text: [UInt8], endsAtFormFeed: Bool = false) {
    self.text = text
    self.endsAtFormFeed = endsAtFormFeed
  }

  /// The bytes of the next line without its end, or nil after the last.
  mutating func next() -> Range<Int>? {
    guard offset < text.count else { return nil }
    let start = offset
    var end = start
    while end < text.count, text[end] != 0x0A, !endsAtFormFeed || text[end] != 0x0C { end += 1 }
    offset = end + 1
    number += 1
    return start..<end
  }

  /// `line` without white space at either end.
  func trimmed(_ line: Range<Int>) -> Range<Int> {
    var lower = line.lowerBound
    var upper = line.upperBound
    while lower < upper, text[lower].isSpace { lower += 1 }
    while upper > lower, text[upper - 1].isSpace { upper -= 1 }
    return lower..<upper
  }
}

/// Joins lines to blocks; lines are given in order.
struct BlockAssembler {
  private(set) var blocks: [Block] = []
  private var open: Block?

  /// Adds a line to the open block if that is of the same kind, or else begins another.
  mutating func add(_ line: Range<Int>, number: Int, kind: Block.Kind, page: Int? = nil) {
    if var block = open, block.kind == kind, block.page == page {
      block.range = block.range.lowerBound..<line.upperBound
      block.lines = block.lines.lowerBound...number
      open = block
    } else {
      close()
      open = Block(kind: kind, range: line, lines: number...number, page: page)
    }
  }

  /// Ends the open block.
  mutating func close() {
    if let block = open { blocks.append(block) }
    open = nil
  }

  /// Turns the open block into a heading and ends it; no effect if none is open.
  mutating func closeHeading(level: Int, text: String, through line: Int) {
    guard var block = open else { return }
    block.kind = .heading(level)
    block.heading = text
    block.lines = block.lines.lowerBound...line
    open = block
    close()
  }

  var openKind: Block.Kind? { open?.kind }
  var openRange: Range<Int>? { open?.range }
}
