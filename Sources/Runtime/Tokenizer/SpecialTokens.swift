/// The tokens that are matched in text as a whole: user-defined ones always, control and unknown
/// ones only where special tokens are asked for.
///
/// Of the tokens that start at one place the longest is taken, and the text is read once from left
/// to right, as the `tokenizers` library does; llama.cpp searches for one token after the other,
/// which gives the same unless two tokens overlap.
struct SpecialTokens: Sendable {
  /// A token longer than this is not looked for, which bounds the work for each byte of text.
  static let longest = 512

  private let tokens: SortedTokens
  /// Whether each of these is matched in any text.
  private let plain: [Bool]
  private let stripping: Stripping

  /// Tokens that take the white space before or after them along.
  struct Stripping: Sendable {
    var before: Set<Int32> = []
    var after: Set<Int32> = []
  }

  /// `kinds` are the special tokens and what each counts as. O(n log n).
  init(_ vocabulary: Vocabulary, kinds: [Int32: TokenKind], stripping: Stripping = Stripping()) {
    self.stripping = stripping
    let usable = kinds.keys.filter { token in
      vocabulary.withText(token) { $0.byteCount <= Self.longest }
    }
    tokens = SortedTokens(vocabulary, usable)
    plain = tokens.sorted.map { kinds[$0] == .userDefined }
  }

  /// The next token at `start` or later, and where it lies. O(length of the text skipped).
  ///
  /// - Parameter guards: places, rising, that no control token may reach from before.
  func next(
    _ text: borrowing Span<UInt8>, from start: Int, parseSpecial: Bool, guards: borrowing Span<Int>
  ) -> (range: Range<Int>, token: Int32)? {
    guard !tokens.sorted.isEmpty else { return nil }
    var position = start
    var following = Self.following(guards, start)
    while position < text.count {
      while following < guards.count, guards[following] <= position { following += 1 }
      let limit = following < guards.count ? guards[following] : Int.max
      let bucket = tokens.starting(with: text[position])
      if !bucket.isEmpty, let match = longest(text, position, bucket, parseSpecial, limit: limit) {
        return match
      }
      position += 1
    }
    return nil
  }

  /// Where the text ends, which began at `start`, before a token that was found in it.
  func textEnd(
    before match: (range: Range<Int>, token: Int32), in text: borrowing Span<UInt8>, from start: Int
  ) -> Int {
    let end = match.range.lowerBound
    return stripping.before.contains(match.token) ? text.startOfSpace(endingAt: end, from: start) : end
  }

  /// Where the text goes on after a token that was found in it.
  func end(of match: (range: Range<Int>, token: Int32), in text: borrowing Span<UInt8>) -> Int {
    var position = match.range.upperBound
    guard stripping.after.contains(match.token) else { return position }
    while position < text.count, let width = CharacterSet.spaces.width(text, position, text.count) {
      position += width
    }
    return position
  }

  /// Whether the name of a control token starts at `start`, or would if the text went on.
  func mayBeControl(_ text: borrowing Span<UInt8>, _ start: Int) -> Bool {
    var candidates = tokens.starting(with: text[start])
    var depth = 1
    while let index = candidates.first {
      if tokens.length(index) == depth {
        if !plain[index] { return true }
        candidates = candidates.dropFirst()
      }
      guard start + depth < text.count else { return !candidates.isEmpty }
      guard !candidates.isEmpty else { return false }
      candidates = tokens.narrow(candidates, depth, text[start + depth])
      depth += 1
    }
    return false
  }

  /// The longest token at `start`, found by narrowing the sorted tokens byte by byte. A control
  /// token must end before `limit`.
  private func longest(
    _ text: borrowing Span<UInt8>, _ start: Int, _ bucket: Range<Int>, _ parseSpecial: Bool, limit: Int
  ) -> (range: Range<Int>, token: Int32)? {
    var candidates = bucket
    var match: (Range<Int>, Int32)?
    var depth = 1
    while true {
      // A token of just these bytes sorts before those that go on.
      if let index = candidates.first, tokens.length(index) == depth {
        if parseSpecial && start + depth < limit || plain[index] {
          match = (start..<start + depth, tokens.sorted[index])
        }
        candidates = candidates.dropFirst()
      }
      guard !candidates.isEmpty, start + depth < text.count else { return match }
      candidates = tokens.narrow(candidates, depth, text[start + depth])
      depth += 1
    }
  }

  /// The index of the first guard after `position`.
  private static func following(_ guards: borrowing Span<Int>, _ position: Int) -> Int {
    var (low, high) = (0, guards.count)
    while low < high {
      let middle = low + (high - low) / 2
      if guards[middle] > position { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

/// Texts of tokens that end what a model has to say, whatever else the file says of them. `</s>` is
/// not among them: where it ends a text the file says so, and in Gemma's vocabulary it is an HTML tag.
enum EndNames {
  static let all: Set<String> = [
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>",
    "<end_of_turn>", "<eos>", "<EOT>", "[EOT]", "[EOS]", "<end_of_utterance>",
    "<｜end▁of▁sentence｜>", "<turn|>",
  ]
  static let longest = all.map(\.utf8.count).max() ?? 0
}
