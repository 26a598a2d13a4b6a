/// Rules that cut text into words of letters, numbers, symbols and white space, with the
/// differences between the published models as data.
///
/// They give what these expressions match, without a regular expression engine:
/// GPT-2 (github.com/openai/gpt-2, src/encoder.py)
///
///     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
///
/// and Llama 3 and Qwen 2 (their tokenizer.json), which differ in the count of digits, n
///
///     (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,n}
///     | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
struct WordRules: Sendable {
  /// `'S` and `'Re` count as endings like `'s` and `'re`.
  var endingsInAnyCase = false
  /// Any one character may lead letters, save line ends and numbers, not a space alone.
  var anyCharacterLeadsLetters = false
  /// The most digits of a word, which then takes no space before it; nil for any number of them.
  var longestNumber: Int?
  /// Line ends stay with the symbols before them, and end white space.
  var keepsLineEnds = false

  /// Where the word that starts at `start` ends, looking at nothing from `limit` on.
  @inline(__always)
  func end(_ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int) -> Int {
    let first = text[start]
    if first == 0x27, let end = ending(text, start, limit) { return end }
    let (kind, width) = text.scalarKind(at: start, limit: limit)
    if kind.isLetter { return run(text, start + width, limit) { $0.isLetter } }
    if kind == .number { return number(text, start, limit) }
    let after = start + width
    let next = after < limit ? text.scalarKind(at: after, limit: limit) : nil
    if let next, next.kind.isLetter, leadsLetters(first) {
      return run(text, after + next.width, limit) { $0.isLetter }
    }
    if kind.isSymbol { return symbols(text, after, limit) }
    if first == 0x20, let next {
      if next.kind == .number, longestNumber == nil { return number(text, after, limit) }
      if next.kind.isSymbol { return symbols(text, after + next.width, limit) }
    }
    return space(text, start, limit)
  }

  private func leadsLetters(_ byte: UInt8) -> Bool {
    anyCharacterLeadsLetters ? byte != 0x0a && byte != 0x0d : byte == 0x20
  }

  /// Skips characters that fit.
  @inline(__always)
  private func run(
    _ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int, _ fits: (ScalarKind) -> Bool
  ) -> Int {
    var position = start
    while position < limit {
      let (kind, width) = text.scalarKind(at: position, limit: limit)
      guard fits(kind) else { break }
      position += width
    }
    return position
  }

  private func number(_ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int) -> Int {
    guard let longestNumber else { return run(text, start, limit) { $0 == .number } }
    var left = longestNumber
    return run(text, start, limit) { kind in
      left -= 1
      return left >= 0 && kind == .number
    }
  }

  private func symbols(_ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int) -> Int {
    var position = run(text, start, limit) { $0.isSymbol }
    guard keepsLineEnds else { return position }
    while position < limit, text[position] == 0x0a || text[position] == 0x0d { position += 1 }
    return position
  }

  /// White space, without the last character of it where a word follows.
  private func space(_ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int) -> Int {
    var position = start
    var last = start
    var lineEnd: Int?
    while position < limit {
      let (kind, width) = text.scalarKind(at: position, limit: limit)
      guard kind == .space else { break }
      if text[position] == 0x0a || text[position] == 0x0d { lineEnd = position + 1 }
      last = position
      position += width
    }
    if keepsLineEnds, let lineEnd { return lineEnd }
    return position < limit && last > start ? last : position
  }

  /// Where `'s`, `'t`, `'m`, `'d`, `'re`, `'ve` or `'ll` ends, whose quote is at `start`. In any case, the
  /// long s (U+017F) is an s.
  func ending(_ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int) -> Int? {
    let fold: UInt8 = endingsInAnyCase ? 0x20 : 0
    guard start + 1 < limit else { return nil }
    if endingsInAnyCase, text[start + 1] == 0xc5 {
      return start + 2 < limit && text[start + 2] == 0xbf ? start + 3 : nil
    }
    let first = text[start + 1] | fold
    switch first {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"), UInt8(ascii: "l"):
      let second = first == UInt8(ascii: "l") ? UInt8(ascii: "l") : UInt8(ascii: "e")
      return start + 2 < limit && text[start + 2] | fold == second ? start + 3 : nil
    default: return nil
    }
  }
}
