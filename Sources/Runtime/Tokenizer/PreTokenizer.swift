/// How text is cut into the words that byte-pair encoding then works on, one after another: the
/// pieces of each step are cut further by the next.
package struct PreTokenizer: Sendable {
  enum Step: Sendable {
    case words(WordRules)
    /// Each number character alone, and what lies between.
    case singleNumbers
    /// Runs of numbers, and what lies between.
    case numberRuns
    /// Runs of punctuation and `$+<=>^~|`, and what lies between.
    case punctuationRuns
    /// Three ASCII digits, and what lies between.
    case digitTriples
  }

  /// The names in `tokenizer.ggml.pre` that mean these rules.
  let names: [String]
  let steps: [Step]
  /// A word that is a token is taken as it is, without joining pairs.
  var takesWholeWords = false
  /// Whether text starts with the beginning-of-text token unless the file says otherwise.
  var addsBeginning = false

  /// The rules called `name`, or nil.
  package static func named(_ name: String) -> Self? { all.first { $0.names.contains(name) } }

  /// Every name that is known.
  static var knownNames: [String] { all.flatMap(\.names) }

  /// Where the words of `text` lie. O(n).
  package func words(_ text: [UInt8]) -> [Range<Int>] {
    var cursor = WordCursor(self, 0..<text.count)
    var words: [Range<Int>] = []
    while let word = cursor.next(text.span) { words.append(word) }
    return words
  }

  private static let gpt2 = Step.words(WordRules())

  private static func llama(longestNumber: Int) -> Step {
    .words(
      WordRules(
        endingsInAnyCase: true, anyCharacterLeadsLetters: true, longestNumber: longestNumber,
        keepsLineEnds: true))
  }

  /// The names are those that GGUF converters write; rules as in each model's tokenizer.json, those
  /// of `default` as in llama.cpp, whose name it is.
  private static let all: [Self] = [
    Self(names: ["gpt-2", "phi-2", "mpt", "olmo", "jais"], steps: [gpt2]),
    Self(
      names: ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
      steps: [.singleNumbers, gpt2]),
    Self(
      names: ["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"],
      steps: [llama(longestNumber: 3)], takesWholeWords: true, addsBeginning: true),
    Self(names: ["dbrx", "smaug-bpe"], steps: [llama(longestNumber: 3)]),
    Self(
      names: ["qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan"],
      steps: [llama(longestNumber: 1)]),
    Self(
      names: ["default"],
      steps: [.punctuationRuns, gpt2, .numberRuns, .digitTriples]),
  ]
}

extension PreTokenizer.Step {
  /// Where the piece that starts at `start` ends, looking at nothing from `limit` on.
  @inline(__always)
  func end(_ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int) -> Int {
    switch self {
    case .words(let rules): rules.end(text, start, limit)
    case .singleNumbers: Self.run(text, start, limit, alone: true) { kind, _ in kind == .number }
    case .numberRuns: Self.run(text, start, limit, alone: false) { kind, _ in kind == .number }
    case .punctuationRuns:
      Self.run(text, start, limit, alone: false) { $0 == .punctuation || Self.isSign($1) }
    case .digitTriples: Self.triple(text, start, limit)
    }
  }

  private static func isSign(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x24, 0x2b, 0x3c, 0x3d, 0x3e, 0x5e, 0x7c, 0x7e: true
    default: false
    }
  }

  /// A run of characters that fit, one of them if `alone`, or of such that do not.
  @inline(__always)
  private static func run(
    _ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int, alone: Bool,
    _ fits: (ScalarKind, UInt8) -> Bool
  ) -> Int {
    var (kind, width) = text.scalarKind(at: start, limit: limit)
    let inside = fits(kind, text[start])
    var position = start + width
    while position < limit, !(inside && alone) {
      (kind, width) = text.scalarKind(at: position, limit: limit)
      guard fits(kind, text[position]) == inside else { break }
      position += width
    }
    return position
  }

  /// Three digits, or all up to the next three.
  private static func triple(_ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int) -> Int {
    var digits = 0
    for position in start..<limit {
      digits = text[position] >= 0x30 && text[position] <= 0x39 ? digits + 1 : 0
      if digits == 3 { return position == start + 2 ? position + 1 : position - 2 }
    }
    return limit
  }
}

/// The words of one stretch of text, in order and without gaps.
struct WordCursor {
  private let steps: [PreTokenizer.Step]
  /// The end of what each step is cutting, the whole stretch first, the last word's end last.
  private var ends: [Int]
  private var position: Int

  init(_ rules: PreTokenizer, _ range: Range<Int>) {
    steps = rules.steps
    ends = [Int](repeating: range.lowerBound, count: rules.steps.count + 1)
    ends[0] = range.upperBound
    position = range.lowerBound
  }

  /// The next word, nil after the last. Linear over all calls for each step.
  mutating func next(_ text: borrowing Span<UInt8>) -> Range<Int>? {
    guard position < ends[0] else { return nil }
    var level = steps.count
    while ends[level] == position { level -= 1 }
    while level < steps.count {
      ends[level + 1] = steps[level].end(text, position, ends[level])
      level += 1
    }
    let word = position..<ends[level]
    position = word.upperBound
    return word
  }
}
