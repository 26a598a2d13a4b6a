/// Categories of characters as Unicode 8.0 has them. BERT's published tokenizer goes by these (the
/// `tokenizers` library, whose crate unicode_categories stopped there): characters of later versions
/// are neither marks nor signs nor controls to it.
enum UnicodeEight {
  static func category(_ scalar: Unicode.Scalar) -> Unicode.GeneralCategory {
    guard let age = scalar.properties.age, age <= (8, 0) else { return .unassigned }
    return switch scalar.value {
    // What later versions moved to another category.
    case 0x166d, 0x111c9: .otherPunctuation
    case 0x1734, 0x1171e: .nonspacingMark
    case 0x1885, 0x1886: .otherLetter
    case 0x0c04, 0xa9bd: .spacingMark
    default: scalar.properties.generalCategory
    }
  }
}
