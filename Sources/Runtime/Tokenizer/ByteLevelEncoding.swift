/// Byte-level byte-pair encoding, as of GPT-2, Llama 3 and Qwen 2: text is cut into words by rules,
/// and the bytes of each word are joined by a list of merges.
struct ByteLevelEncoding: WordEncoding {
  private let rules: PreTokenizer
  private let index: TokenIndex
  private let merges: MergeTable
  /// The token of each byte, -1 where the vocabulary has none.
  private let byteTokens: [Int32]

  var addsSpacePrefix: Bool { false }

  /// O(bytes of the vocabulary and the merges).
  init(_ rules: PreTokenizer, _ merges: GGUFArray, _ index: TokenIndex) {
    self.rules = rules
    self.index = index
    self.merges = MergeTable(merges, index)
    byteTokens = ByteLevel.encoded.map { $0.withRaw(index.ordinaryToken) ?? -1 }
  }

  /// The bytes that no token stands for; encoding leaves them out.
  var missingBytes: [UInt8] {
    zip(UInt8.min...UInt8.max, byteTokens).filter { $0.1 < 0 }.map(\.0)
  }

  func makeScratch() -> PairMerger { PairMerger() }

  func words(_ range: Range<Int>) -> WordCursor { WordCursor(rules, range) }

  func next(_ words: inout WordCursor, _ text: borrowing Span<UInt8>) -> Range<Int>? { words.next(text) }

  func encode(
    _ text: borrowing Span<UInt8>, _ word: Range<Int>, prefixed: Bool,
    _ merger: inout PairMerger, _ tokens: inout [Int32]
  ) {
    if rules.takesWholeWords, let token = wholeWord(text, word) {
      tokens.append(token)
      return
    }
    merger.begin(word.count)
    // Bytes without a token are left out before anything is joined, as the tokenizers library does: what
    // stood around them may join.
    var symbols = 0
    for offset in word {
      let token = byteTokens[Int(text[offset])]
      if token < 0 { continue }
      merger.add(symbols..<symbols + 1, token, after: symbols - 1)
      symbols += 1
    }
    merger.end(symbols)
    merger.merge(merges)
    merger.forEach { _, token in tokens.append(token) }
  }

  private func wholeWord(_ text: borrowing Span<UInt8>, _ word: Range<Int>) -> Int32? {
    guard word.count <= index.vocabulary.longest else { return nil }
    var encoded: [UInt8] = []
    encoded.reserveCapacity(2 * word.count)
    for offset in word { encoded.append(contentsOf: ByteLevel.encoded[Int(text[offset])]) }
    return encoded.withRaw(index.ordinaryToken)
  }
}
