/// The tokens that are matched in text as a whole: user-defined ones always, control and unknown
/// ones only where special tokens are asked for.
///
/// Of the tokens that start at one place the longest is taken, and the text is read once from left
/// to right, as the `tokenizers` library does; llama.cpp searches for one token after the other,
/// which gives the same unless two tokens overlap.
struct SpecialTokens: Sendable {
  /// A token longer than this is not looked for, which bounds the work for each byte of text.
  static let longest = 512

  private let vocabulary: Vocabulary
  /// Control, unknown and user-defined tokens, sorted by their bytes.
  private let sorted: [Int32]
  /// Whether each of these is matched in any text.
  private let plain: [Bool]
  /// The part of `sorted` that starts with each byte.
  private let buckets: [Range<Int>]

  /// `kinds` are the special tokens and what each counts as. O(n log n).
  init(_ vocabulary: Vocabulary, kinds: [(token: Int32, kind: TokenKind)]) {
    let usable = kinds.filter { entry in
      vocabulary.withText(entry.token) { $0.byteCount > 0 && $0.byteCount <= Self.longest }
    }
    let ordered = usable.sorted { Self.precedes($0.token, $1.token, vocabulary) }
    let entries = Self.withoutTwins(ordered, vocabulary)
    var buckets = [Range<Int>](repeating: 0..<0, count: 256)
    for (index, entry) in entries.enumerated() {
      let first = vocabulary.withText(entry.token) { Int($0.littleEndian(UInt8.self, at: 0)) }
      buckets[first] = buckets[first].isEmpty ? index..<index + 1 : buckets[first].lowerBound..<index + 1
    }
    self.vocabulary = vocabulary
    sorted = entries.map(\.token)
    plain = entries.map { $0.kind == .userDefined }
    self.buckets = buckets
  }

  private static func precedes(_ left: Int32, _ right: Int32, _ vocabulary: Vocabulary) -> Bool {
    vocabulary.withText(left) { left in
      vocabulary.withText(right) { right in
        let common = min(left.byteCount, right.byteCount)
        for offset in 0..<common {
          let (a, b) = (left.littleEndian(UInt8.self, at: offset), right.littleEndian(UInt8.self, at: offset))
          if a != b { return a < b }
        }
        return left.byteCount < right.byteCount
      }
    }
  }

  /// Of neighbours with one text, the first.
  private static func withoutTwins(
    _ entries: [(token: Int32, kind: TokenKind)], _ vocabulary: Vocabulary
  ) -> [(token: Int32, kind: TokenKind)] {
    var result: [(token: Int32, kind: TokenKind)] = []
    for entry in entries {
      if let last = result.last, !precedes(last.token, entry.token, vocabulary) { continue }
      result.append(entry)
    }
    return result
  }

  /// The next token at `start` or later, and where it lies. O(length of the text skipped).
  ///
  /// - Parameter guards: places, rising, that no control token may reach from before.
  func next(
    _ text: borrowing Span<UInt8>, from start: Int, parseSpecial: Bool, guards: borrowing Span<Int>
  ) -> (range: Range<Int>, token: Int32)? {
    guard !sorted.isEmpty else { return nil }
    var position = start
    var following = Self.following(guards, start)
    while position < text.count {
      while following < guards.count, guards[following] <= position { following += 1 }
      let limit = following < guards.count ? guards[following] : Int.max
      let bucket = buckets[Int(text[position])]
      if !bucket.isEmpty, let match = longest(text, position, bucket, parseSpecial, limit: limit) {
        return match
      }
      position += 1
    }
    return nil
  }

  /// Whether the name of a control token starts at `start`, or would if the text went on.
  func mayBeControl(_ text: borrowing Span<UInt8>, _ start: Int) -> Bool {
    var candidates = buckets[Int(text[start])]
    var depth = 1
    while let index = candidates.first {
      if length(index) == depth {
        if !plain[index] { return true }
        candidates = candidates.dropFirst()
      }
      guard start + depth < text.count else { return !candidates.isEmpty }
      guard !candidates.isEmpty else { return false }
      candidates = narrow(candidates, depth, text[start + depth])
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
      if let index = candidates.first, length(index) == depth {
        if parseSpecial && start + depth < limit || plain[index] {
          match = (start..<start + depth, sorted[index])
        }
        candidates = candidates.dropFirst()
      }
      guard !candidates.isEmpty, start + depth < text.count else { return match }
      candidates = narrow(candidates, depth, text[start + depth])
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

  private func length(_ index: Int) -> Int { vocabulary.withText(sorted[index]) { $0.byteCount } }

  private func byte(_ index: Int, _ depth: Int) -> UInt8 {
    vocabulary.withText(sorted[index]) { $0.littleEndian(UInt8.self, at: depth) }
  }

  /// Those of `range` whose byte at `depth` is `value`; all have one, in rising order.
  private func narrow(_ range: Range<Int>, _ depth: Int, _ value: UInt8) -> Range<Int> {
    let (least, most) = (byte(range.lowerBound, depth), byte(range.upperBound - 1, depth))
    if least == most { return least == value ? range : range.lowerBound..<range.lowerBound }
    let start = partition(range) { byte($0, depth) >= value }
    return start..<partition(start..<range.upperBound) { byte($0, depth) > value }
  }

  /// The first index of `range` for which `fits`, which holds from some index on.
  private func partition(_ range: Range<Int>, _ fits: (Int) -> Bool) -> Int {
    var (low, high) = (range.lowerBound, range.upperBound)
    while low < high {
      let middle = low + (high - low) / 2
      if fits(middle) { high = middle } else { low = middle + 1 }
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
