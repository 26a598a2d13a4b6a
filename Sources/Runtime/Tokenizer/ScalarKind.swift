/// The classes of characters that pre-tokenizers tell apart.
enum ScalarKind: UInt8 {
  /// Unicode's `Lu` and `Lt`.
  case upper
  /// `Ll`.
  case lower
  /// The other `L` categories: letters without case.
  case letter
  /// `N`: digits, and numbers such as Roman numerals and fractions.
  case number
  /// The property `White_Space`.
  case space
  /// `M`.
  case mark
  /// `P`.
  case punctuation
  /// `S`.
  case symbol
  /// All else: controls, unassigned, and bytes that are not UTF-8.
  case other

  @inline(__always)
  init(ascii byte: UInt8) {
    switch byte {
    case 0x61...0x7a: self = .lower
    case 0x41...0x5a: self = .upper
    case 0x30...0x39: self = .number
    case 0x20, 0x09...0x0d: self = .space
    case 0x21...0x23, 0x25...0x2a, 0x2c...0x2f, 0x3a, 0x3b, 0x3f, 0x40, 0x5b...0x5d, 0x5f, 0x7b, 0x7d:
      self = .punctuation
    case 0x24, 0x2b, 0x3c...0x3e, 0x5e, 0x60, 0x7c, 0x7e: self = .symbol
    default: self = .other
    }
  }

  init(_ scalar: Unicode.Scalar) {
    self.init(scalar.properties.generalCategory)
    if self == .other, scalar.properties.isWhitespace { self = .space }
  }

  /// White space counts as `other`: of its characters some are controls.
  init(_ category: Unicode.GeneralCategory) {
    switch category {
    case .uppercaseLetter, .titlecaseLetter: self = .upper
    case .lowercaseLetter: self = .lower
    case .modifierLetter, .otherLetter: self = .letter
    case .decimalNumber, .letterNumber, .otherNumber: self = .number
    case .nonspacingMark, .spacingMark, .enclosingMark: self = .mark
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
      .initialPunctuation, .finalPunctuation, .otherPunctuation:
      self = .punctuation
    case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol: self = .symbol
    default: self = .other
    }
  }

  @inline(__always)
  var isLetter: Bool { rawValue <= Self.letter.rawValue }

  /// Neither letter nor number nor space.
  @inline(__always)
  var isSymbol: Bool { rawValue >= Self.mark.rawValue }
}

extension Span<UInt8> {
  /// The class and the bytes of the character at `offset`, which ends at `limit` at the latest.
  ///
  /// A byte that starts no well-formed character (RFC 3629) is one of its own, of the class
  /// `other`: it stays apart from letters, and every other byte keeps its meaning.
  @inline(__always)
  func scalarKind(at offset: Int, limit: Int) -> (kind: ScalarKind, width: Int) {
    let byte = self[offset]
    if byte < 0x80 { return (ScalarKind(ascii: byte), 1) }
    return longScalarKind(at: offset, limit: limit)
  }

  @inline(never)
  private func longScalarKind(at offset: Int, limit: Int) -> (kind: ScalarKind, width: Int) {
    guard let (scalar, width) = scalar(at: offset, limit: limit) else { return (.other, 1) }
    return (ScalarKind(scalar), width)
  }

  /// The bytes of the character at `offset`; 1 where the bytes are not UTF-8.
  @inline(__always)
  func scalarWidth(at offset: Int, limit: Int) -> Int {
    self[offset] < 0x80 ? 1 : scalar(at: offset, limit: limit)?.width ?? 1
  }

  /// The character of two to four bytes at `offset`, or nil where the bytes are not UTF-8.
  func scalar(at offset: Int, limit: Int) -> (Unicode.Scalar, width: Int)? {
    let lead = self[offset]
    let width = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    guard lead >= 0xc2, lead <= 0xf4, limit - offset >= width else { return nil }
    var value = UInt32(lead) & (0x7f >> UInt32(width))
    for index in offset + 1..<offset + width {
      guard self[index] & 0xc0 == 0x80 else { return nil }
      value = value << 6 | UInt32(self[index] & 0x3f)
    }
    let least: UInt32 = width == 2 ? 0x80 : width == 3 ? 0x800 : 0x1_0000
    guard value >= least, let scalar = Unicode.Scalar(value) else { return nil }
    return (scalar, width)
  }
}
