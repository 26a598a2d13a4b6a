/// Words of English questions that say nothing of their subject.
///
/// A word such as "which" is rare in documents, and so weighs much where it happens to occur.
/// In other languages only the limits of `SearchQuery` drop common words.
enum StopWords {
  private static let words = Set(
    """
    a an and are as at be by can could did do does for from had has have how i in is it its many me much my of on or \
    that the their they this to was we were what when where which who whom whose why will with would you your
    """.split(separator: " ").map(String.init))

  static func contains(_ word: String) -> Bool { words.contains(word.lowercased()) }
}
