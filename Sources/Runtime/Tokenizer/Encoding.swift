/// A way to turn words into tokens; its tables are made once for a vocabulary.
protocol WordEncoding: Sendable {
  /// What one call needs to work in.
  associatedtype Scratch
  func makeScratch() -> Scratch

  /// Where the word that starts at `start` ends: words are encoded apart from one another.
  associatedtype Words
  func words(_ range: Range<Int>) -> Words
  func next(_ words: inout Words, _ text: borrowing Span<UInt8>) -> Range<Int>?

  /// Whether a space is put before text at the start and after special tokens.
  var addsSpacePrefix: Bool { get }

  /// Appends the tokens of one word, with a space before it if `prefixed`.
  func encode(
    _ text: borrowing Span<UInt8>, _ word: Range<Int>, prefixed: Bool,
    _ scratch: inout Scratch, _ tokens: inout [Int32])
}

extension WordEncoding {
  /// Appends the tokens of `text`. O(n log n) at worst, for text that is one word.
  ///
  /// - Parameter guards: places, rising, that no control token may reach from before.
  func encode(
    _ text: borrowing Span<UInt8>, _ special: SpecialTokens, parseSpecial: Bool,
    guards: borrowing Span<Int>, _ tokens: inout [Int32]
  ) {
    var scratch = makeScratch()
    var cache = WordCache(text.count)
    var position = 0
    while position < text.count {
      let match = special.next(text, from: position, parseSpecial: parseSpecial, guards: guards)
      let end = match.map { special.textEnd(before: $0, in: text, from: position) } ?? text.count
      encode(text, position..<end, &scratch, &cache, &tokens)
      guard let match else { break }
      tokens.append(match.token)
      position = special.end(of: match, in: text)
    }
  }

  /// Appends the tokens of text between special tokens.
  private func encode(
    _ text: borrowing Span<UInt8>, _ range: Range<Int>,
    _ scratch: inout Scratch, _ cache: inout WordCache, _ tokens: inout [Int32]
  ) {
    var words = words(range)
    var prefixed = addsSpacePrefix
    while let word = next(&words, text) {
      if prefixed || !WordCache.holds(word) {
        for part in PairMerger.parts(word) {
          encode(text, part, prefixed: prefixed, &scratch, &tokens)
          prefixed = false
        }
        continue
      }
      let (slot, known) = cache.find(text, word)
      if let known {
        for index in known { tokens.append(tokens[index]) }
      } else {
        let start = tokens.count
        encode(text, word, prefixed: false, &scratch, &tokens)
        cache.insert(slot, word, start..<tokens.count)
      }
    }
  }
}
