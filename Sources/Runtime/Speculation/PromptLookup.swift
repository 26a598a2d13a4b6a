/// Finds where the end of a text occurred before, to propose what followed there ("Prompt Lookup
/// Decoding", Saxena 2023; a kind of speculative decoding, arXiv 2211.17192).
///
/// An index from pairs of tokens to the places where they end, as chains from the latest back.
package struct PromptLookup: Sendable {
  /// What followed an earlier occurrence of the text's end.
  package struct Match: Sendable, Equatable {
    package let draft: [Int32]
    /// Tokens of the text's end that were found there.
    package let length: Int

    package init(draft: [Int32], length: Int) {
      self.draft = draft
      self.length = length
    }
  }

  /// The shortest end that is looked for; and no more of it than the longest is compared.
  package static let shortest = 2
  package static let longest = 32
  /// Occurrences that are compared, from the latest on.
  private static let mostCandidates = 64

  private var tokens: [Int32] = []
  private var latest: [Int32]
  /// By place: the place before it that has the same hash.
  private var before: [Int32] = []

  /// A text of no tokens.
  package init() { latest = [Int32](repeating: -1, count: 1_024) }

  /// Appends to the text. O(n).
  package mutating func append(_ new: some Sequence<Int32>) {
    for token in new {
      indexLast()
      tokens.append(token)
    }
  }

  /// Tokens of the text.
  package var count: Int { tokens.count }

  /// The pair that ends the text. It becomes known once another token follows, so that an end never
  /// finds itself.
  private mutating func indexLast() {
    guard tokens.count > before.count else { return }
    if tokens.count > latest.count { rehash(4 * latest.count) }
    link(before.count)
  }

  private mutating func link(_ place: Int) {
    guard place > 0 else { return before.append(-1) }
    let slot = slot(tokens[place - 1], tokens[place])
    before.append(latest[slot])
    latest[slot] = Int32(place)
  }

  private mutating func rehash(_ size: Int) {
    latest = [Int32](repeating: -1, count: size)
    let places = before.count
    before.removeAll(keepingCapacity: true)
    for place in 0..<places { link(place) }
  }

  private func slot(_ first: Int32, _ second: Int32) -> Int {
    let pair = UInt64(UInt32(bitPattern: first)) << 32 | UInt64(UInt32(bitPattern: second))
    return Int(truncatingIfNeeded: pair &* 0x9E37_79B9_7F4A_7C15 &>> 40) & (latest.count - 1)
  }

  /// The longest end of the text that occurred before, and up to `most` tokens that followed; the
  /// latest of equally long ones; nil where there is none.
  ///
  /// - Complexity: O(1); at most 64 places of 32 tokens are compared.
  package func match(most: Int) -> Match? {
    guard most > 0, tokens.count > Self.shortest else { return nil }
    let last = tokens.count - 1
    var place = Int(latest[slot(tokens[last - 1], tokens[last])])
    var best = (place: -1, length: Self.shortest - 1)
    for _ in 0..<Self.mostCandidates {
      guard place > 0 else { break }
      let length = commonEnd(place, last)
      if length > best.length { best = (place, length) }
      if length == Self.longest { break }
      place = Int(before[place])
    }
    guard best.place >= 0 else { return nil }
    let draft = tokens[best.place + 1..<min(tokens.count, best.place + 1 + most)]
    return Match(draft: Array(draft), length: best.length)
  }

  private func commonEnd(_ place: Int, _ last: Int) -> Int {
    var length = 0
    while length < Self.longest, length <= place, tokens[place - length] == tokens[last - length] {
      length += 1
    }
    return length
  }
}
