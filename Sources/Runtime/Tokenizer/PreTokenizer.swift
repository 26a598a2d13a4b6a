/// How text is cut into the words that byte-pair encoding then works on, one after another: the
/// pieces of each step are cut further by the next.
package struct PreTokenizer: Sendable {
  enum Step: Sendable {
    case words(WordRules)
    /// Runs of characters of a set, or each alone, and what lies between.
    case runs(CharacterSet, alone: Bool)
    /// Three ASCII digits, and what lies between.
    case digitTriples
    /// White space at the end, and what lies before it.
    case finalSpace
    /// What an expression matches, and what lies between.
    case matches(WordPattern)
  }

  /// The names in `tokenizer.ggml.pre` that mean these rules.
  let names: [String]
  let steps: [Step]
  /// A word that is a token is taken as it is, without joining pairs.
  let takesWholeWords: Bool
  /// Whether text starts with the beginning-of-text token unless the file says otherwise.
  let addsBeginning: Bool

  init(
    _ names: String..., steps: [Step], takesWholeWords: Bool = false, addsBeginning: Bool = false
  ) {
    self.names = names
    self.steps = steps
    self.takesWholeWords = takesWholeWords
    self.addsBeginning = addsBeginning
  }

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
}

extension PreTokenizer.Step {
  /// Where the piece that starts at `start` ends, looking at nothing from `limit` on.
  @inline(__always)
  func end(_ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int) -> Int {
    switch self {
    case .words(let rules): rules.end(text, start, limit)
    case .runs(let set, let alone): Self.run(text, start, limit, set, alone: alone)
    case .digitTriples: Self.triple(text, start, limit)
    case .finalSpace: Self.finalSpace(text, start, limit)
    case .matches(let expression): expression.end(text, start, limit)
    }
  }

  /// A run of characters of the set, one of them if `alone`, or of such that are not.
  private static func run(
    _ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int, _ set: CharacterSet, alone: Bool
  ) -> Int {
    if let width = set.width(text, start, limit) {
      var position = start + width
      while !alone, position < limit, let width = set.width(text, position, limit) { position += width }
      return position
    }
    var position = start
    repeat {
      position += text.scalarWidth(at: position, limit: limit)
    } while position < limit && set.width(text, position, limit) == nil
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

  /// Where white space begins that lasts to the limit, or the limit where `start` is within it.
  private static func finalSpace(_ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int) -> Int {
    let position = text.startOfSpace(endingAt: limit, from: start)
    return position == start ? limit : position
  }
}

extension Span<UInt8> {
  /// Where the white space begins that lasts to `end`, at `start` at the earliest.
  func startOfSpace(endingAt end: Int, from start: Int) -> Int {
    var position = end
    while position > start {
      var width = 1
      while width < 4, position - width > start, self[position - width] & 0xc0 == 0x80 { width += 1 }
      guard CharacterSet.spaces.width(self, position - width, end) == width else { break }
      position -= width
    }
    return position
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
