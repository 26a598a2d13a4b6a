/// Byte-pair encoding of characters with scores, as SentencePiece does it (Kudo and Richardson,
/// 2018, arXiv 1808.06226; its bpe_model.cc) for Llama 2 and Gemma: of all neighbours whose text
/// is a token, those of the highest score are joined first. What stays without a token becomes the
/// tokens of its bytes. A space is `▁` (U+2581) in tokens.
struct PieceEncoding: WordEncoding {
  static let space: [UInt8] = [0xe2, 0x96, 0x81]

  private let index: TokenIndex
  private let boundaries: PieceBoundaries
  /// The token of each byte, or the unknown token, or -1.
  private let byteTokens: [Int32]
  let addsSpacePrefix: Bool

  /// O(bytes of the vocabulary).
  init(_ index: TokenIndex, unknown: Int32?, addsSpacePrefix: Bool) {
    self.index = index
    self.addsSpacePrefix = addsSpacePrefix
    boundaries = PieceBoundaries(index.vocabulary)
    let digits = Array("0123456789ABCDEF".utf8)
    byteTokens = (0..<256).map { byte in
      let name = Array("<0x".utf8) + [digits[byte >> 4], digits[byte & 15]] + Array(">".utf8)
      return name.withRaw(index.token) ?? unknown ?? -1
    }
  }

  /// The bytes that no token stands for and no unknown token is there for.
  var missingBytes: [UInt8] {
    zip(UInt8.min...UInt8.max, byteTokens).filter { $0.1 < 0 }.map(\.0)
  }

  struct Scratch {
    var merger = PairMerger()
    var ranking: PieceRanking
  }

  func makeScratch() -> Scratch { Scratch(ranking: PieceRanking(index: index)) }

  func words(_ range: Range<Int>) -> Range<Int> { range }

  /// Cuts where no token could reach across, which changes no result and keeps words short.
  func next(_ words: inout Range<Int>, _ text: borrowing Span<UInt8>) -> Range<Int>? {
    guard !words.isEmpty else { return nil }
    let end = boundaries.end(text, words)
    defer { words = end..<words.upperBound }
    return words.lowerBound..<end
  }

  func encode(
    _ text: borrowing Span<UInt8>, _ word: Range<Int>, prefixed: Bool,
    _ scratch: inout Scratch, _ tokens: inout [Int32]
  ) {
    enter(text, word, prefixed: prefixed, &scratch)
    scratch.merger.merge(scratch.ranking)
    let word = scratch.ranking.word
    scratch.merger.forEach { range, token in
      if let token = token >= 0 ? token : word.span.withRaw(range, index.ordinaryToken) {
        tokens.append(token)
        return
      }
      for offset in range {
        let token = byteTokens[Int(word[offset])]
        if token >= 0 { tokens.append(token) }
      }
    }
  }

  /// Copies the word with `▁` for spaces, and makes a symbol of each character, and of each byte
  /// that is not UTF-8.
  private func enter(
    _ text: borrowing Span<UInt8>, _ word: Range<Int>, prefixed: Bool, _ scratch: inout Scratch
  ) {
    scratch.ranking.word.removeAll(keepingCapacity: true)
    if prefixed { scratch.ranking.word.append(contentsOf: Self.space) }
    for offset in word {
      if text[offset] == 0x20 {
        scratch.ranking.word.append(contentsOf: Self.space)
      } else {
        scratch.ranking.word.append(text[offset])
      }
    }
    let copy = scratch.ranking.word
    let bytes = copy.span
    scratch.merger.begin(bytes.count)
    var (previous, start) = (-1, 0)
    while start < bytes.count {
      let end = start + bytes.scalarWidth(at: start, limit: bytes.count)
      scratch.merger.add(start..<end, -1, after: previous)
      (previous, start) = (start, end)
    }
  }
}

/// Two neighbours make the token whose text is theirs; a higher score goes first.
struct PieceRanking: PairRanking {
  let index: TokenIndex
  var word: [UInt8] = []

  func join(_ left: Int32, _ right: Int32, _ range: Range<Int>) -> (priority: UInt32, token: Int32)? {
    guard let token = word.span.withRaw(range, index.ordinaryToken) else { return nil }
    return (Self.priority(index.vocabulary.score(token)), token)
  }

  /// A number that falls as the score rises; scores that are no number come last.
  private static func priority(_ score: Float) -> UInt32 {
    guard !score.isNaN else { return .max - 1 }
    let bits = (score + 0).bitPattern
    return bits >> 31 == 0 ? ~(bits | 0x8000_0000) : bits
  }
}

/// Which pairs of bytes stand side by side in some token. Text may be cut between two characters
/// whose bytes at the cut do so in none; a space, in either form, counts as one byte.
struct PieceBoundaries: Sendable {
  private let pairs: [UInt64]

  /// O(bytes of the vocabulary).
  init(_ vocabulary: Vocabulary) {
    var pairs = [UInt64](repeating: 0, count: 65_536 / 64)
    vocabulary.forEach { token, text in
      switch vocabulary.kind(token) {
      case .control, .unknown, .byte: return
      case .normal, .userDefined, .unused: Self.enter(text, &pairs)
      }
    }
    self.pairs = pairs
  }

  private static func enter(_ text: RawSpan, _ pairs: inout [UInt64]) {
    var previous: Int?
    var offset = 0
    while offset < text.byteCount {
      var byte = Int(text.littleEndian(UInt8.self, at: offset))
      offset += 1
      if byte == 0xe2, text.byteCount - offset >= 2, text.littleEndian(UInt16.self, at: offset) == 0x8196 {
        byte = 0x20
        offset += 2
      }
      if let previous { pairs[previous << 2 | byte >> 6] |= 1 << UInt64(byte & 63) }
      previous = byte
    }
  }

  /// Where the first word of `range`, which is not empty, ends.
  func end(_ text: borrowing Span<UInt8>, _ range: Range<Int>) -> Int {
    var position = range.lowerBound
    var last = 0
    while position < range.upperBound {
      let width = text.scalarWidth(at: position, limit: range.upperBound)
      var (first, final) = (Int(text[position]), Int(text[position + width - 1]))
      if width == 3, first == 0xe2, text[position + 1] == 0x96, final == 0x81 {
        (first, final) = (0x20, 0x20)
      }
      if position > range.lowerBound, pairs[last << 2 | first >> 6] & 1 << UInt64(first & 63) == 0 {
        break
      }
      (last, position) = (final, position + width)
    }
    return position
  }
}
