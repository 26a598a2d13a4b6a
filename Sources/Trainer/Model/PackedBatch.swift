import DuetRuntime

/// Rows of tokens laid end to end for one pass. Tokens attend within their own row only, and the
/// positions of each row start at 0.
///
/// What all rows begin with (a system prompt, the words before a context) is laid first and read once
/// for all of them: its hidden states do not depend on what follows, and its gradient is the sum over
/// the rows.
package struct PackedBatch: Sendable {
  /// A position whose next token counts.
  package struct Target: Sendable, Equatable {
    /// Where in the batch the prediction is made; several may be made at one place of the beginning.
    package let position: Int
    /// The number of this position among those where predictions are made.
    package fileprivate(set) var place = 0
    /// The token to be predicted.
    package let token: Int32
    /// How much it counts.
    package let weight: Float
  }

  /// Tokens that follow each other: the common beginning, or what a row goes on with.
  struct Segment: Sendable {
    /// Where it lies.
    let range: Range<Int>
    /// Tokens of the beginning, at the start of the batch, that it sees before its own.
    let beginning: Int

    /// Tokens that the last one sees.
    var seen: Int { beginning + range.count }
  }

  package private(set) var tokens: [Int32] = []
  /// The pictures that negative tokens belong to, each once.
  private(set) var pictures: [InputEmbeddings] = []
  private(set) var segments: [Segment] = []
  package private(set) var targets: [Target] = []
  /// Where predictions are made, in order.
  package private(set) var places: [Int] = []
  /// Tokens that all rows have in common at their start.
  package private(set) var beginning = 0
  /// Tokens of all rows, those in common counted for each.
  package private(set) var rowTokens = 0

  /// Common beginnings shorter than this cost more than they save.
  private static let leastShared = 8

  /// Lays out rows: of each its tokens, and for each token the weight of predicting it. The last is
  /// not read, for nothing is predicted from it.
  ///
  /// - Parameter sharesBeginning: whether what all rows begin with is read once.
  package init(_ examples: [TrainingExample], sharesBeginning: Bool = true) {
    let examples = examples.filter { $0.tokens.count > 1 }
    guard let first = examples.first else { return }
    if sharesBeginning, examples.count > 1 {
      var common = first.tokens.count - 1
      for example in examples { common = Self.common(first.tokens, example.tokens, most: common) }
      beginning = common >= Self.leastShared ? common : 0
    }
    if beginning > 0 {
      tokens = Array(first.tokens[..<beginning])
      segments = [Segment(range: 0..<beginning, beginning: 0)]
    }
    for example in examples {
      append(example)
      if let picture = example.picture, !pictures.contains(picture) { pictures.append(picture) }
    }
    places = Set(targets.map(\.position)).sorted()
    let numbers = Dictionary(uniqueKeysWithValues: zip(places, places.indices))
    for index in targets.indices { targets[index].place = numbers[targets[index].position] ?? 0 }
  }

  /// Where a feature is read: its place in the batch, and where it lies.
  struct Feature {
    let position: Int
    let values: FloatBuffer
    let start: Int
  }

  /// The features of all pictures in the order of the batch. O(tokens * pictures).
  var features: [Feature] {
    guard !pictures.isEmpty else { return [] }
    return tokens.indices.compactMap { position in
      guard tokens[position] < 0 else { return nil }
      for picture in pictures {
        guard let start = picture.start(of: tokens[position]) else { continue }
        return Feature(position: position, values: picture.values, start: start)
      }
      return nil
    }
  }

  /// The sum of the weights, as far as they are from 0.
  package var weight: Double { targets.reduce(0) { $0 + Double(abs($1.weight)) } }
  /// Tokens that the longest row sees.
  package var longestRow: Int { segments.reduce(0) { max($0, $1.seen) } }

  private mutating func append(_ example: TrainingExample) {
    let start = tokens.count, read = example.tokens.count - 1
    rowTokens += read
    tokens += example.tokens[beginning..<read]
    if read > beginning {
      segments.append(Segment(range: start..<tokens.count, beginning: beginning))
    }
    for index in 1...read where example.weights[index] != 0 {
      let place = index - 1
      targets.append(
        Target(
          position: place < beginning ? place : start + place - beginning, token: example.tokens[index],
          weight: example.weights[index]))
    }
  }

  /// How many of the first tokens that are read two rows have in common, `most` at most.
  static func common(_ a: [Int32], _ b: [Int32], most: Int) -> Int {
    let limit = min(most, a.count - 1, b.count - 1)
    return zip(a[..<limit], b[..<limit]).prefix { $0 == $1 }.count
  }

  /// Examples in order, in as few batches as hold them when each lays out at most `limit` tokens or one
  /// row.
  package static func batches(
    _ examples: [TrainingExample], limit: Int, sharesBeginning: Bool
  ) -> [PackedBatch] {
    var batches: [PackedBatch] = []
    var rows: [TrainingExample] = [], common = 0, read = 0
    for example in examples where example.tokens.count > 1 {
      let shared = rows.first.map { Self.common($0.tokens, example.tokens, most: common) } ?? 0
      let saved = sharesBeginning && shared >= leastShared ? rows.count * shared : 0
      if !rows.isEmpty, read + example.tokens.count - 1 - saved > limit {
        batches.append(PackedBatch(rows, sharesBeginning: sharesBeginning))
        (rows, read) = ([], 0)
      }
      common = rows.isEmpty ? example.tokens.count - 1 : shared
      rows.append(example)
      read += example.tokens.count - 1
    }
    if !rows.isEmpty { batches.append(PackedBatch(rows, sharesBeginning: sharesBeginning)) }
    return batches
  }
}
