/// A string as Python has it: a sequence of code points, equal only to the same code points.
///
/// Swift's `String` compares by canonical equivalence and counts grapheme clusters, so templates
/// would see other lengths and matches than in Jinja. Stored as valid UTF-8.
struct Text: Sendable, ExpressibleByStringLiteral {
  var utf8: [UInt8]
  /// Marked as safe markup by the `safe` or `escape` filter; added text is then escaped.
  var isMarkup = false

  init(utf8: [UInt8], isMarkup: Bool = false) {
    self.utf8 = utf8
    self.isMarkup = isMarkup
  }

  init(_ string: String) { utf8 = Array(string.utf8) }
  init(stringLiteral value: StaticString) { utf8 = Array(value.description.utf8) }

  init(scalars: some Sequence<Unicode.Scalar>) {
    utf8 = []
    for scalar in scalars { append(scalar) }
  }

  var string: String { String(decoding: utf8, as: UTF8.self) }
  var isEmpty: Bool { utf8.isEmpty }

  /// The code points. O(n).
  var scalars: [Unicode.Scalar] { Array(string.unicodeScalars) }

  /// Code points. O(n).
  var count: Int { utf8.reduce(0) { $1 & 0xC0 == 0x80 ? $0 : $0 &+ 1 } }

  mutating func append(_ other: Text) { utf8.append(contentsOf: other.utf8) }
  mutating func append(_ other: String) { utf8.append(contentsOf: other.utf8) }
  mutating func append(_ byte: UInt8) { utf8.append(byte) }
  mutating func append(_ scalar: Unicode.Scalar) {
    if scalar.isASCII {
      utf8.append(UInt8(truncatingIfNeeded: scalar.value))
    } else {
      utf8.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }
  }

  /// A part given by bytes, which must lie at code point boundaries.
  func slice(_ range: Range<Int>) -> Text { Text(utf8: Array(utf8[range]), isMarkup: isMarkup) }

  /// The same markup state over other bytes.
  func with(_ utf8: [UInt8]) -> Text { Text(utf8: utf8, isMarkup: isMarkup) }
}

extension Text: Hashable, Comparable {
  static func == (lhs: Text, rhs: Text) -> Bool { lhs.utf8 == rhs.utf8 }
  /// UTF-8 sorts as its code points do.
  static func < (lhs: Text, rhs: Text) -> Bool { lhs.utf8.lexicographicallyPrecedes(rhs.utf8) }
  func hash(into hasher: inout Hasher) { hasher.combine(utf8) }
}

// Searching.
extension Text {
  func hasPrefix(_ other: Text) -> Bool { utf8.starts(with: other.utf8) }
  func hasSuffix(_ other: Text) -> Bool {
    utf8.count >= other.utf8.count && utf8.suffix(other.utf8.count) == other.utf8[...]
  }

  /// The byte at which `needle` next occurs, from `start` on. O(n + m) by Knuth, Morris and Pratt.
  func firstIndex(of needle: Text, from start: Int = 0) -> Int? {
    let pattern = TextPattern(needle)
    return pattern.firstMatch(in: utf8, from: start)
  }

  /// The bytes at which `needle`, not empty, occurs without overlap, at most `limit` of them.
  func indices(of needle: Text, limit: Int = .max) -> [Int] {
    let pattern = TextPattern(needle)
    var found: [Int] = []
    var position = 0
    while found.count < limit, let match = pattern.firstMatch(in: utf8, from: position) {
      found.append(match)
      position = match + needle.utf8.count
    }
    return found
  }

  /// The last byte at which `needle` occurs. O(n + m).
  func lastIndex(of needle: Text) -> Int? {
    let reversed = Text(utf8: utf8.reversed()).firstIndex(of: Text(utf8: needle.utf8.reversed()))
    return reversed.map { utf8.count - needle.utf8.count - $0 }
  }

  /// The bytes at which `needle` occurs without overlap when searched from the end, last first.
  func indicesFromEnd(of needle: Text, limit: Int) -> [Int] {
    Text(utf8: utf8.reversed()).indices(of: Text(utf8: needle.utf8.reversed()), limit: limit)
      .map { utf8.count - needle.utf8.count - $0 }
  }

  func contains(_ needle: Text) -> Bool { firstIndex(of: needle) != nil }
}

/// A search pattern with its failure table, so that hostile patterns cost linear time.
struct TextPattern {
  private let pattern: [UInt8]
  private let failure: [Int]

  init(_ text: Text) {
    pattern = text.utf8
    var failure = [Int](repeating: 0, count: pattern.count)
    var length = 0
    for index in pattern.indices.dropFirst() {
      while length > 0, pattern[index] != pattern[length] { length = failure[length - 1] }
      if pattern[index] == pattern[length] { length += 1 }
      failure[index] = length
    }
    self.failure = failure
  }

  func firstMatch(in bytes: [UInt8], from start: Int) -> Int? {
    guard !pattern.isEmpty else { return start <= bytes.count ? start : nil }
    var length = 0
    for index in bytes.indices.dropFirst(start) {
      while length > 0, bytes[index] != pattern[length] { length = failure[length - 1] }
      if bytes[index] == pattern[length] { length += 1 }
      if length == pattern.count { return index + 1 - length }
    }
    return nil
  }
}

// Stripping.
extension Text {
  func trimmed(start: Bool, end: Bool, where drop: (Unicode.Scalar) -> Bool) -> Text {
    let scalars = string.unicodeScalars
    var slice = scalars[...]
    if start { slice = slice.drop(while: drop) }
    if end { while let last = slice.last, drop(last) { slice.removeLast() } }
    return with(Array(Substring(slice).utf8))
  }

  func trimmed(start: Bool = true, end: Bool = true) -> Text {
    trimmed(start: start, end: end) { $0.isPythonSpace }
  }
}

extension Unicode.Scalar {
  /// White space as `str.isspace` and `\s` have it, which differs from Unicode's by the separators
  /// U+001C to U+001F.
  var isPythonSpace: Bool {
    switch value {
    case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F,
      0x3000:
      true
    default: false
    }
  }

  /// Where `str.splitlines` ends a line.
  var isLineBoundary: Bool {
    switch value {
    case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
    default: false
    }
  }

  /// Whether `repr` shows the code point as it is.
  var isPrintable: Bool {
    switch properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
    case .spaceSeparator: value == 0x20
    default: true
    }
  }

  /// Whether the code point belongs to a word, as `\w` has it.
  var isWordPart: Bool { self == "_" || isAlphanumeric }

  var isLetter: Bool {
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  var isDecimal: Bool { properties.generalCategory == .decimalNumber }
  var isDigit: Bool { properties.numericType == .decimal || properties.numericType == .digit }
  var isAlphanumeric: Bool { isLetter || properties.numericType != nil }
}
