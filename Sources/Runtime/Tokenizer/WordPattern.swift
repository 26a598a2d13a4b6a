/// A regular expression of the form that published pre-tokenizers have: alternatives, tried in
/// order, of a few character sets with counts each.
///
/// Matching backs off within a match alone, so that cutting a text stays linear: a set that is
/// repeated without bound is followed by at most one other such set.
struct WordPattern: Sendable {
  enum Item: Sendable {
    /// As many characters of the set as there are, at least and at most these many.
    case repeated(CharacterSet, least: Int, most: Int)
    /// `'s`, `'t`, `'m`, `'d`, `'re`, `'ve` or `'ll` in any case.
    case ending(optional: Bool)
    /// `(?!\S)`: the text ends or white space follows.
    case beforeSpace

    static func one(_ set: CharacterSet) -> Self { .repeated(set, least: 1, most: 1) }
    static func maybe(_ set: CharacterSet) -> Self { .repeated(set, least: 0, most: 1) }
    static func any(_ set: CharacterSet) -> Self { .repeated(set, least: 0, most: .max) }
    static func some(_ set: CharacterSet) -> Self { .repeated(set, least: 1, most: .max) }
    static func some(_ set: CharacterSet, upTo most: Int) -> Self { .repeated(set, least: 1, most: most) }
  }

  let alternatives: [[Item]]

  init(_ alternatives: [Item]...) { self.alternatives = alternatives }

  init(alternatives: [[Item]]) { self.alternatives = alternatives }

  /// Where the match at `start` ends, or else where the next match starts.
  func end(_ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int) -> Int {
    if let end = match(text, start, limit) { return end }
    var position = start
    repeat {
      position += text.scalarWidth(at: position, limit: limit)
    } while position < limit && match(text, position, limit) == nil
    return position
  }

  private func match(_ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int) -> Int? {
    for items in alternatives {
      if let end = Self.match(items, 0, text, start, limit), end > start { return end }
    }
    return nil
  }

  private static func match(
    _ items: [Item], _ index: Int, _ text: borrowing Span<UInt8>, _ position: Int, _ limit: Int
  ) -> Int? {
    guard index < items.count else { return position }
    switch items[index] {
    case .repeated(let set, let least, let most):
      var (end, count) = (position, 0)
      while count < most, end < limit, let width = set.width(text, end, limit) {
        (end, count) = (end + width, count + 1)
      }
      while count >= least {
        if let match = match(items, index + 1, text, end, limit) { return match }
        guard count > 0 else { break }
        (end, count) = (before(text, end, limit), count - 1)
      }
      return nil
    case .ending(let optional):
      guard let end = ending(text, position, limit) ?? (optional ? position : nil) else { return nil }
      return match(items, index + 1, text, end, limit)
    case .beforeSpace:
      guard position == limit || CharacterSet.spaces.width(text, position, limit) != nil else { return nil }
      return match(items, index + 1, text, position, limit)
    }
  }

  /// Where the character that ends at `end` starts: its first byte is the one whose width fits.
  private static func before(_ text: borrowing Span<UInt8>, _ end: Int, _ limit: Int) -> Int {
    for width in 2...4 where end >= width && text.scalarWidth(at: end - width, limit: limit) == width {
      return end - width
    }
    return end - 1
  }

  private static func ending(_ text: borrowing Span<UInt8>, _ start: Int, _ limit: Int) -> Int? {
    guard start < limit, text[start] == 0x27 else { return nil }
    return WordRules(endingsInAnyCase: true).ending(text, start, limit)
  }
}
