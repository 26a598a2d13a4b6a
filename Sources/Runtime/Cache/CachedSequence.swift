/// The tokens of one session whose keys and values are in the cache, in their pages.
///
/// Not for use by two tasks at once: the engine that decodes it owns it.
package final class CachedSequence {
  package let layout: CacheLayout
  /// What the pages belong to besides their tokens: the model and its tuning.
  package let salt: UInt64
  /// What adapts the model for these tokens; nil for nothing.
  package let tuning: Tuning?
  /// Every token in the cache, by position.
  package private(set) var tokens: [Int32] = []
  /// The pictures that negative tokens belong to.
  package var pictures: [InputEmbeddings] = []
  /// Positions of which it is recorded how much the last tokens attend to them; nil for none.
  package var watched: WatchedPositions?
  private var pages: [CachePage] = []
  /// Where the pages lie, one for one; valid while the sequence keeps them.
  private(set) var places: [PagePlace] = []

  package init(layout: CacheLayout, salt: UInt64) {
    self.layout = layout
    self.salt = salt
    tuning = nil
  }

  /// A sequence of a tuning: its pages are never those of another.
  package init(layout: CacheLayout, tuning: Tuning?) {
    self.layout = layout
    self.tuning = tuning
    salt = tuning?.salt ?? 0
  }

  /// Another sequence of the same tokens, which shares their pages until either goes on. O(pages).
  package func fork() -> CachedSequence { CachedSequence(self) }

  private init(_ other: CachedSequence) {
    (layout, salt, tuning, tokens) = (other.layout, other.salt, other.tuning, other.tokens)
    (pictures, watched, pages, places) = (other.pictures, other.watched, other.pages, other.places)
  }

  /// Tokens in the cache: the position of the next.
  package var count: Int { tokens.count }

  /// The vector that a negative token stands for, as a place in its picture's values; nil for none.
  func vector(of token: Int32) -> (values: FloatBuffer, start: Int)? {
    for picture in pictures {
      if let start = picture.start(of: token) { return (picture.values, start) }
    }
    return nil
  }

  /// Forgets every token from `count` on.
  package func truncate(_ count: Int) {
    guard count < tokens.count else { return }
    tokens.removeSubrange(max(0, count)...)
    let kept = (tokens.count + CacheLayout.pageTokens - 1) / CacheLayout.pageTokens
    pages.removeSubrange(kept...)
    places.removeSubrange(kept...)
  }

  /// Keeps the longest common prefix with `prompt`, then takes whole pages that `store` still has.
  ///
  /// - Returns: tokens of the prompt that need not be computed.
  package func reuse(_ prompt: [Int32], from store: PageStore) -> Int {
    let common = zip(tokens, prompt).prefix { $0 == $1 }.count
    truncate(common)
    let size = CacheLayout.pageTokens
    guard tokens.count % size == 0 else { return tokens.count }
    for page in store.pages(after: tokens.count / size, of: prompt, salt: salt, layout) {
      let start = tokens.count
      tokens += prompt[start..<start + size]
      add(page)
    }
    return tokens.count
  }

  /// Makes room for `new` tokens after the present ones, in pages that nobody else has.
  func reserve(_ new: Int) {
    let size = CacheLayout.pageTokens
    let last = pages.count - 1
    if tokens.count % size != 0, !(isKnownUniquelyReferenced(&pages[last]) && pages[last].isWritable) {
      pages[last] = CachePage(copying: pages[last])
      places[last] = pages[last].place
    }
    while pages.count * size < tokens.count + new { add(CachePage(layout)) }
  }

  private func add(_ page: CachePage) {
    pages.append(page)
    places.append(page.place)
  }

  /// Declares the keys and values of these tokens written; full pages go to `store`.
  func commit(_ new: some Collection<Int32>, to store: PageStore?) {
    let size = CacheLayout.pageTokens
    let full = tokens.count / size
    tokens += new
    guard let store, tokens.count / size > full else { return }
    for index in full..<tokens.count / size {
      store.insert(pages[index], tokens: tokens[..<((index + 1) * size)], salt: salt)
    }
  }

  /// The full pages from page `first` on, to be kept in a file.
  func fullPages(from first: Int) -> PageFolder.Pages {
    let full = max(first, tokens.count / CacheLayout.pageTokens)
    return PageFolder.Pages(
      pages: Array(pages[first..<full]), first: first,
      tokens: Array(tokens[..<(full * CacheLayout.pageTokens)]),
      salt: salt)
  }

  /// The page that holds `position`, which must have been reserved.
  func page(_ position: Int) -> CachePage { pages[position / CacheLayout.pageTokens] }
}
