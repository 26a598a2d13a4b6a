/// Full pages that may be used again, by everything they depend on: the model, its tuning and all
/// tokens up to the page's end. The least recently used go first.
package final class PageStore {
  private struct Entry {
    let page: CachePage
    /// The tokens of this page, compared on look-up in case two prefixes share a hash.
    let tokens: [Int32]
    var lastUse: Int
  }

  /// Bytes of pages that are kept, those in use by sessions included.
  package let byteLimit: Int
  /// Where pages are looked for that the store does not hold; nil for nowhere.
  let folder: PageFolder?
  private var entries: [UInt64: Entry] = [:]
  private var clock = 0
  private var bytes = 0

  package init(byteLimit: Int, folder: PageFolder? = nil) {
    self.byteLimit = byteLimit
    self.folder = folder
  }

  /// The hash chain of a prompt's pages: each depends on all tokens before it (FNV-1a over 64 bits).
  static func extend(_ hash: UInt64, _ tokens: ArraySlice<Int32>) -> UInt64 {
    var hash = hash
    for token in tokens {
      hash ^= UInt64(UInt32(bitPattern: token))
      hash = hash &* 0x100_0000_01B3
      hash ^= hash >> 29
    }
    return hash
  }

  static func start(_ salt: UInt64) -> UInt64 { salt ^ 0xCBF2_9CE4_8422_2325 }

  /// The full pages of `prompt` from page `first` on, as far as they are known without a gap.
  /// O(prompt).
  func pages(after first: Int, of prompt: [Int32], salt: UInt64, _ layout: CacheLayout) -> [CachePage] {
    let size = CacheLayout.pageTokens
    var hash = Self.extend(Self.start(salt), prompt[..<min(first * size, prompt.count)])
    var found: [CachePage] = []
    var index = first
    while (index + 1) * size <= prompt.count {
      let slice = prompt[index * size..<(index + 1) * size]
      hash = Self.extend(hash, slice)
      guard let page = known(hash, slice) ?? folder?.page(hash, slice, layout) else { break }
      found.append(page)
      insert(page, hash, slice)
      index += 1
    }
    return found
  }

  private func known(_ hash: UInt64, _ tokens: ArraySlice<Int32>) -> CachePage? {
    guard let entry = entries[hash], entry.tokens.elementsEqual(tokens) else { return nil }
    clock += 1
    entries[hash]?.lastUse = clock
    return entry.page
  }

  /// Keeps the last page of `tokens`, whose count is a multiple of 64. O(tokens).
  func insert(_ page: CachePage, tokens: ArraySlice<Int32>, salt: UInt64) {
    insert(page, Self.extend(Self.start(salt), tokens), tokens.suffix(CacheLayout.pageTokens))
  }

  private func insert(_ page: CachePage, _ hash: UInt64, _ tokens: ArraySlice<Int32>) {
    let size = page.layout.pageBytes
    guard size <= byteLimit, entries[hash] == nil else { return }
    while bytes + size > byteLimit { removeOldest() }
    clock += 1
    entries[hash] = Entry(page: page, tokens: Array(tokens), lastUse: clock)
    bytes += size
  }

  private func removeOldest() {
    guard let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) else {
      bytes = 0
      return
    }
    bytes -= oldest.value.page.layout.pageBytes
    entries[oldest.key] = nil
  }
}
