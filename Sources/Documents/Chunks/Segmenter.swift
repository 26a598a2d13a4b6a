/// Cuts text at sentences, lines or words; pieces cover the text in order.
package struct Segmenter {
  let text: [UInt8]
  /// Bytes of a piece, exceeded for words only.
  let maximumBytes: Int

  /// The sentences of a text, without white space at their ends. O(text).
  package static func sentences(of text: String) -> [String] {
    let bytes = Array(text.utf8)
    return Segmenter(text: bytes, maximumBytes: max(1, bytes.count)).sentences(bytes.indices)
      .map { String(decoding: bytes[$0], as: UTF8.self) }
  }

  /// The sentences of `range`; those above the limit are cut at words.
  func sentences(_ range: Range<Int>) -> [Range<Int>] {
    cut(range) { endsSentence(at: $0, from: range.lowerBound) }
  }

  /// The lines of `range`; those above the limit are cut at words.
  func lines(_ range: Range<Int>) -> [Range<Int>] {
    cut(range) { text[$0] == 0x0A }
  }

  /// Cuts `range` behind each offset that `isEnd` accepts.
  private func cut(_ range: Range<Int>, isEnd: (Int) -> Bool) -> [Range<Int>] {
    var pieces: [Range<Int>] = []
    var start = range.lowerBound
    for index in range where isEnd(index) {
      appendWords(start..<index + 1, to: &pieces)
      start = index + 1
    }
    appendWords(start..<range.upperBound, to: &pieces)
    return pieces
  }

  /// Adds `range` without white space at its ends, cut between words where it is above the limit.
  private func appendWords(_ range: Range<Int>, to pieces: inout [Range<Int>]) {
    var start = range.lowerBound
    while start < range.upperBound {
      while start < range.upperBound, text[start].isSpace { start += 1 }
      let end = pieceEnd(start..<range.upperBound)
      var visibleEnd = end
      while visibleEnd > start, text[visibleEnd - 1].isSpace { visibleEnd -= 1 }
      if start < visibleEnd { pieces.append(start..<visibleEnd) }
      start = end
    }
  }

  /// Where the piece that fills the start of `range` ends.
  private func pieceEnd(_ range: Range<Int>) -> Int {
    guard range.count > maximumBytes else { return range.upperBound }
    let limit = range.lowerBound + maximumBytes
    var end = limit
    while end > range.lowerBound, !isWordBoundary(end) { end -= 1 }
    if end > range.lowerBound { return end }
    let furthest = min(range.upperBound, range.lowerBound + 4 * maximumBytes)
    end = limit
    while end < furthest, !isWordBoundary(end) { end += 1 }
    while end < range.upperBound, end > range.lowerBound + 1, text[end].isContinuation { end -= 1 }
    return end
  }

  /// Whether no word spans `index`: white space or a CJK character stands at either side.
  private func isWordBoundary(_ index: Int) -> Bool {
    if text[index].isSpace || text[index - 1].isSpace { return true }
    return !text[index].isContinuation && isIdeographic(text[index])
  }

  /// Whether a UTF-8 lead byte belongs to U+3000 to U+9FFF, or to a plane of ideographs.
  private func isIdeographic(_ lead: UInt8) -> Bool { (0xE3...0xE9).contains(lead) }

  /// Whether the byte at `index` is the last of a sentence: white space behind `.`, `!` or `?`
  /// (closing marks may intervene), unless a small letter follows; or the end of a CJK full stop.
  private func endsSentence(at index: Int, from start: Int) -> Bool {
    if text[index].isSpace { return endsSentence(before: index, from: start) }
    guard index >= start + 2, text[index].isContinuation else { return false }
    let last = text[(index - 2)...index]
    return last.elementsEqual([0xE3, 0x80, 0x82]) || last.elementsEqual([0xEF, 0xBC, 0x81])
      || last.elementsEqual([0xEF, 0xBC, 0x9F])
  }

  private func endsSentence(before index: Int, from start: Int) -> Bool {
    var last = index - 1
    let closing = Array("\"')]*_".utf8)
    while last > start, index - last < 8, closing.contains(text[last]) || text[last].isContinuation {
      last -= 1
    }
    guard last > start,
      text[last] == UInt8(ascii: ".") || text[last] == UInt8(ascii: "!") || text[last] == UInt8(ascii: "?")
    else { return false }
    guard index + 1 < text.count else { return true }
    return !(0x61...0x7A).contains(text[index + 1])
  }
}
