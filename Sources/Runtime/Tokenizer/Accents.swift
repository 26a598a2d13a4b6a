/// Canonical decomposition without nonspacing marks (Unicode Standard Annex 15, form D), which is how
/// BERT strips accents.
enum Accents {
  /// What `scalar` is without its accents: nothing where it is itself one.
  static func stripped(_ scalar: Unicode.Scalar) -> [Unicode.Scalar] {
    if UnicodeEight.category(scalar) == .nonspacingMark { return [] }
    if (0xac00...0xd7a3).contains(scalar.value) { return syllable(scalar.value - 0xac00) }
    return table[scalar.value] ?? [scalar]
  }

  /// The letters of a Hangul syllable (The Unicode Standard, section 3.12).
  private static func syllable(_ index: UInt32) -> [Unicode.Scalar] {
    let trailing = index % 28
    let letters =
      [0x1100 + index / 588, 0x1161 + index % 588 / 28] + (trailing > 0 ? [0x11a7 + trailing] : [])
    return letters.compactMap { Unicode.Scalar($0) }
  }

  private static let table: [UInt32: [Unicode.Scalar]] = {
    var table: [UInt32: [Unicode.Scalar]] = [:]
    for run in runs {
      for (number, scalar) in zip(run.first..., run.plain.unicodeScalars) { table[number] = [scalar] }
    }
    for sequence in sequences { table[sequence.character] = Array(sequence.plain.unicodeScalars) }
    return table
  }()
}
