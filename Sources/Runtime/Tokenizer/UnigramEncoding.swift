/// The most probable sequence of pieces, as SentencePiece's unigram models have it (Kudo, 2018,
/// arXiv 1804.10959): of all ways to cut a text into tokens the one whose scores, which are logarithms
/// of probabilities, have the highest sum.
///
/// Text is normalised first, by the file's table, and a space is `▁` (U+2581) in tokens. What no
/// token covers is the unknown token, once for each run.
struct UnigramEncoding: WordEncoding {
  /// How far below the least probable token an unknown character lies.
  private static let penalty = 10.0

  private let vocabulary: Vocabulary
  private let tokens: SortedTokens
  private let normalizer: UnigramNormalizer
  private let unknown: Int32?
  private let unknownScore: Double

  var addsSpacePrefix: Bool { true }
  var missingBytes: [UInt8] { [] }

  /// O(n log n) for n tokens.
  init(_ vocabulary: Vocabulary, unknown: Int32?, _ normalizer: UnigramNormalizer) {
    var usable: [Int32] = []
    var least = Double.infinity
    for token in 0..<Int32(vocabulary.count) {
      let kind = vocabulary.kind(token)
      if kind == .normal || kind == .userDefined || kind == .unused { usable.append(token) }
      if kind == .normal { least = min(least, Self.score(token, vocabulary)) }
    }
    self.vocabulary = vocabulary
    self.normalizer = normalizer
    self.unknown = unknown
    tokens = SortedTokens(vocabulary, usable)
    unknownScore = (least.isFinite ? least : 0) - Self.penalty
  }

  /// User-defined tokens are free; scores that are no number count as impossible.
  private static func score(_ token: Int32, _ vocabulary: Vocabulary) -> Double {
    guard vocabulary.kind(token) != .userDefined else { return 0 }
    let score = vocabulary.score(token)
    return score.isFinite ? Double(score) : -Double(Float.greatestFiniteMagnitude)
  }

  /// The best way to each place of the normalised text.
  struct Scratch {
    fileprivate var text: [UInt8] = []
    fileprivate var scores: [Double] = []
    fileprivate var starts: [Int32] = []
    fileprivate var tokens: [Int32] = []

    fileprivate mutating func begin() {
      let count = text.count + 1
      for array in [\Self.starts, \Self.tokens] {
        self[keyPath: array].removeAll(keepingCapacity: true)
        self[keyPath: array].append(contentsOf: repeatElement(-1, count: count))
      }
      scores.removeAll(keepingCapacity: true)
      scores.append(contentsOf: repeatElement(-.infinity, count: count))
      scores[0] = 0
    }

    @inline(__always)
    fileprivate mutating func offer(_ range: Range<Int>, _ token: Int32, _ score: Double) {
      let sum = scores[range.lowerBound] + score
      guard sum > scores[range.upperBound] else { return }
      scores[range.upperBound] = sum
      starts[range.upperBound] = Int32(truncatingIfNeeded: range.lowerBound)
      tokens[range.upperBound] = token
    }
  }

  func makeScratch() -> Scratch { Scratch() }

  func words(_ range: Range<Int>) -> Range<Int> { range }

  /// All of the text; where it is longer than a megabyte, up to a space.
  func next(_ words: inout Range<Int>, _ text: borrowing Span<UInt8>) -> Range<Int>? {
    guard !words.isEmpty else { return nil }
    var end = min(words.upperBound, words.lowerBound + 1 << 20)
    while end < words.upperBound, text[end] != 0x20, end - words.lowerBound < 1 << 24 { end += 1 }
    defer { words = end..<words.upperBound }
    return words.lowerBound..<end
  }

  func encode(
    _ text: borrowing Span<UInt8>, _ word: Range<Int>, prefixed: Bool,
    _ scratch: inout Scratch, _ tokens: inout [Int32]
  ) {
    normalizer.normalize(text, word, prefixed: prefixed, &scratch.text)
    guard !scratch.text.isEmpty else { return }
    scratch.begin()
    let normalized = scratch.text
    var start = 0
    while start < normalized.count { start = extend(normalized.span, start, &scratch) }
    collect(scratch, &tokens)
  }

  /// Offers every token that starts at `start`; where the next character starts.
  private func extend(_ text: borrowing Span<UInt8>, _ start: Int, _ scratch: inout Scratch) -> Int {
    let width = text.scalarWidth(at: start, limit: text.count)
    var coversCharacter = false
    var candidates = tokens.starting(with: text[start])
    var depth = 1
    while let index = candidates.first {
      if tokens.length(index) == depth {
        let token = tokens.sorted[index]
        scratch.offer(start..<start + depth, token, Self.score(token, vocabulary))
        coversCharacter = coversCharacter || depth == width
        candidates = candidates.dropFirst()
      }
      guard !candidates.isEmpty, start + depth < text.count else { break }
      candidates = tokens.narrow(candidates, depth, text[start + depth])
      depth += 1
    }
    if !coversCharacter { scratch.offer(start..<start + width, -1, unknownScore) }
    return start + width
  }

  /// Appends the tokens of the best way, one unknown token for a run of them.
  private func collect(_ scratch: Scratch, _ tokens: inout [Int32]) {
    var way: [Int32] = []
    var end = scratch.text.count
    while end > 0 {
      let token = scratch.tokens[end]
      if token >= 0 || way.last != unknown {
        if let token = token >= 0 ? token : unknown { way.append(token) }
      }
      end = Int(scratch.starts[end])
    }
    tokens.append(contentsOf: way.reversed())
  }
}
