/// Greedy matching of the longest pieces, as BERT does it (Devlin et al., 2019, arXiv 1810.04805;
/// github.com/google-research/bert, tokenization.py) with the limits of the `tokenizers` library.
///
/// Text is cleaned of control characters, stripped of accents and made lower-case where the file
/// asks for it, and cut at white space, around punctuation and around ideographs. The first piece of
/// a word starts with `▁` (U+2581) in the vocabulary; a word with a part that is no piece is the
/// unknown token.
struct WordPieceEncoding: WordEncoding {
  /// Words of more characters are unknown.
  static let longestWord = 100

  private let index: TokenIndex
  private let unknown: Int32?
  private let isLowercased: Bool
  private let stripsAccents: Bool

  var addsSpacePrefix: Bool { false }
  var missingBytes: [UInt8] { [] }

  init(_ index: TokenIndex, unknown: Int32?, lowercase: Bool, stripAccents: Bool) {
    self.index = index
    self.unknown = unknown
    isLowercased = lowercase
    stripsAccents = stripAccents
  }

  /// The word in the making: `▁` and its bytes, and how many characters it has.
  struct Scratch {
    fileprivate var word: [UInt8] = PieceEncoding.space
    fileprivate var count = 0
  }

  func makeScratch() -> Scratch { Scratch() }

  func words(_ range: Range<Int>) -> Range<Int> { range }

  /// What stands between white space.
  func next(_ words: inout Range<Int>, _ text: borrowing Span<UInt8>) -> Range<Int>? {
    var start = words.lowerBound
    while start < words.upperBound, let width = space(text, start, words.upperBound) { start += width }
    guard start < words.upperBound else { return nil }
    var end = start
    while end < words.upperBound, space(text, end, words.upperBound) == nil {
      end += text.scalarWidth(at: end, limit: words.upperBound)
    }
    words = end..<words.upperBound
    return start..<end
  }

  /// The bytes of the white space at `offset`, save the control characters that cleaning removes.
  private func space(_ text: borrowing Span<UInt8>, _ offset: Int, _ limit: Int) -> Int? {
    let (kind, width) = text.scalarKind(at: offset, limit: limit)
    let isControl =
      text[offset] == 0x0b || text[offset] == 0x0c || text[offset] == 0xc2 && text[offset + 1] == 0x85
    return kind == .space && !isControl ? width : nil
  }

  func encode(
    _ text: borrowing Span<UInt8>, _ word: Range<Int>, prefixed: Bool,
    _ scratch: inout Scratch, _ tokens: inout [Int32]
  ) {
    var position = word.lowerBound
    while position < word.upperBound {
      guard let (scalar, width) = text.anyScalar(at: position, limit: word.upperBound) else {
        position += 1
        continue
      }
      position += width
      guard !Self.isRemoved(scalar) else { continue }
      let isIdeograph = Self.isIdeograph(scalar)
      if isIdeograph { finish(&scratch, &tokens) }
      enter(scalar, &scratch, &tokens)
      if isIdeograph { finish(&scratch, &tokens) }
    }
    finish(&scratch, &tokens)
  }

  /// Adds a character to the word, without accents and in lower case where that is asked for.
  private func enter(_ scalar: Unicode.Scalar, _ scratch: inout Scratch, _ tokens: inout [Int32]) {
    guard scalar.value >= 0x80 else {
      let isUpper = isLowercased && scalar.value >= 0x41 && scalar.value <= 0x5a
      add(isUpper ? Unicode.Scalar(UInt8(scalar.value) + 0x20) : scalar, &scratch, &tokens)
      return
    }
    let plain = stripsAccents ? Accents.stripped(scalar) : [scalar]
    for part in plain {
      if isLowercased {
        for lower in part.properties.lowercaseMapping.unicodeScalars { add(lower, &scratch, &tokens) }
      } else {
        add(part, &scratch, &tokens)
      }
    }
  }

  private func add(_ scalar: Unicode.Scalar, _ scratch: inout Scratch, _ tokens: inout [Int32]) {
    let isAlone = Self.isPunctuation(scalar)
    if isAlone { finish(&scratch, &tokens) }
    scratch.word.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    scratch.count += 1
    if isAlone { finish(&scratch, &tokens) }
  }

  /// Appends the word's pieces, or the unknown token, and starts a new word.
  private func finish(_ scratch: inout Scratch, _ tokens: inout [Int32]) {
    guard scratch.count > 0 else { return }
    let start = tokens.count
    if scratch.count > Self.longestWord || !match(scratch.word, &tokens) {
      tokens.removeSubrange(start...)
      if let unknown { tokens.append(unknown) }
    }
    scratch.word.removeSubrange(PieceEncoding.space.count...)
    scratch.count = 0
  }

  /// Appends the longest pieces from the left on; whether all of the word was covered.
  private func match(_ word: [UInt8], _ tokens: inout [Int32]) -> Bool {
    var start = 0
    while start < word.count {
      // `▁` within the text is no start of a word.
      if start > 0, word[start...].starts(with: PieceEncoding.space) { return false }
      var end = min(word.count, start + index.vocabulary.longest)
      var found: Int32?
      while end > start {
        found = word.span.withRaw(start..<end, index.ordinaryToken)
        if found != nil { break }
        end -= 1
      }
      guard let found else { return false }
      tokens.append(found)
      start = end
    }
    return true
  }

  /// Control, format and private characters, save tab and line ends, and U+FFFD.
  private static func isRemoved(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x09, 0x0a, 0x0d: return false
    case 0x20..<0x7f: return false
    case 0xfffd: return true
    default: break
    }
    return switch UnicodeEight.category(scalar) {
    case .control, .format, .privateUse, .surrogate: true
    default: false
    }
  }

  /// All signs of ASCII and Unicode's `P` categories.
  private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
    if let byte = UInt8(exactly: scalar.value), byte < 0x80 {
      let kind = ScalarKind(ascii: byte)
      return kind == .punctuation || kind == .symbol
    }
    return ScalarKind(UnicodeEight.category(scalar)) == .punctuation
  }

  /// The blocks of Chinese ideographs, of which each is a word.
  private static func isIdeograph(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x4e00...0x9fff, 0x3400...0x4dbf, 0x20000...0x2a6df, 0x2a700...0x2b73f, 0x2b740...0x2b81f,
      0x2b920...0x2ceaf, 0xf900...0xfaff, 0x2f800...0x2fa1f:
      true
    default: false
    }
  }
}

extension Span<UInt8> {
  /// The character at `offset`, or nil where the bytes are not UTF-8.
  func anyScalar(at offset: Int, limit: Int) -> (Unicode.Scalar, width: Int)? {
    self[offset] < 0x80 ? (Unicode.Scalar(self[offset]), 1) : scalar(at: offset, limit: limit)
  }
}
