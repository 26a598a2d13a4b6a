/// Cuts a document where its structure allows: before headings, between blocks, and within blocks
/// that are too long between sentences or lines.
package struct Chunker {
  private let document: Document
  private let options: ChunkOptions
  private var chunks: [Chunk] = []
  /// The headings above the current block, with their levels.
  private var path: [(level: Int, text: String)] = []
  private var open: OpenChunk?
  /// Headings that wait for the text below them.
  private var waiting: OpenChunk?

  private struct OpenChunk {
    var range: Range<Int>
    var lines: ClosedRange<Int>
    let page: Int?
    let headings: [String]
  }

  /// The chunks of `document` in order; every visible character of it is in exactly one.
  ///
  /// - Complexity: O(bytes).
  package static func chunks(_ document: Document, options: ChunkOptions = ChunkOptions()) -> [Chunk] {
    var chunker = Chunker(document: document, options: options)
    for block in document.blocks { chunker.add(block) }
    chunker.joinWaiting()
    chunker.flush()
    return chunker.chunks
  }

  private init(document: Document, options: ChunkOptions) {
    self.document = document
    self.options = options
  }

  private mutating func add(_ block: Block) {
    if case .heading(let level) = block.kind, block.range.count <= options.maximumBytes {
      path.removeAll { $0.level >= level }
      if !block.heading.isEmpty { path.append((level, String(block.heading.prefix(200)))) }
      wait(piece(block, block.range, lines: block.lines))
      return
    }
    let segmenter = Segmenter(text: document.text, maximumBytes: options.maximumBytes)
    if block.range.count <= options.maximumBytes {
      append(piece(block, block.range, lines: block.lines))
      return
    }
    let parts = block.kind == .paragraph ? segmenter.sentences(block.range) : segmenter.lines(block.range)
    var counter = LineCounter(
      text: document.text, offset: block.range.lowerBound, line: block.lines.lowerBound)
    for part in parts {
      append(piece(block, part, lines: document.isVerbatim ? counter.lines(part) : block.lines))
    }
  }

  private func piece(_ block: Block, _ range: Range<Int>, lines: ClosedRange<Int>) -> OpenChunk {
    OpenChunk(range: range, lines: lines, page: block.page, headings: path.map(\.text))
  }

  /// Keeps a heading back until text follows; the section before it ends unless it is short.
  private mutating func wait(_ heading: OpenChunk) {
    if waiting == nil, let size = open?.range.count, size >= options.minimumBytes { flush() }
    guard let above = waiting, joined(above, heading) <= options.maximumBytes else {
      joinWaiting()
      waiting = heading
      return
    }
    waiting = OpenChunk(
      range: above.range.lowerBound..<heading.range.upperBound,
      lines: above.lines.lowerBound...max(above.lines.upperBound, heading.lines.upperBound),
      page: heading.page,
      headings: heading.headings)
  }

  /// Gives waiting headings a place without text below them.
  private mutating func joinWaiting() {
    guard let heading = waiting else { return }
    waiting = nil
    join(heading)
  }

  private mutating func append(_ piece: OpenChunk) {
    guard let heading = waiting else {
      join(piece)
      return
    }
    waiting = nil
    guard joined(heading, piece) <= options.maximumBytes, heading.page == piece.page else {
      join(heading)
      join(piece)
      return
    }
    var section = heading
    section.range = heading.range.lowerBound..<piece.range.upperBound
    section.lines = heading.lines.lowerBound...max(heading.lines.upperBound, piece.lines.upperBound)
    join(section)
  }

  /// Adds to the open chunk what fits, or else begins another.
  private mutating func join(_ piece: OpenChunk) {
    guard var chunk = open, chunk.page == piece.page, joined(chunk, piece) <= options.targetBytes else {
      flush()
      open = piece
      return
    }
    chunk.range = chunk.range.lowerBound..<piece.range.upperBound
    chunk.lines = chunk.lines.lowerBound...max(chunk.lines.upperBound, piece.lines.upperBound)
    open = chunk
  }

  private func joined(_ first: OpenChunk, _ second: OpenChunk) -> Int {
    second.range.upperBound - first.range.lowerBound
  }

  private mutating func flush() {
    guard let chunk = open else { return }
    open = nil
    chunks.append(
      Chunk(
        headings: chunk.headings, text: document.string(chunk.range), lines: chunk.lines, page: chunk.page))
  }
}

/// Gives the lines of ranges that follow one another in a text.
private struct LineCounter {
  let text: [UInt8]
  var offset: Int
  var line: Int

  mutating func lines(_ range: Range<Int>) -> ClosedRange<Int> {
    line += text[offset..<range.lowerBound].count { $0 == 0x0A }
    let first = line
    line += text[range].count { $0 == 0x0A }
    offset = range.upperBound
    return first...line
  }
}
