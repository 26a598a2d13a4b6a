import CKernels

/// Attention of neighbouring tokens over segments of their sequences, of one layer, laid ready for several threads:
/// attending counts no references, which threads would take from each other.
///
/// What was laid ready is valid while its owner holds the sequences and the buffers.
@safe final class SegmentAttention: @unchecked Sendable {
  @unsafe private struct Item {
    let firstPage: Int
    let pageCount: Int
    let spans: Int
    let tokens: Int
    let query: UnsafePointer<Float>
    /// Bytes from the keys of one head to those of the next.
    let headBytes: Int
    let type: Int32
  }

  private var items = unsafe Growing<Item>()
  /// As the first head sees them.
  private var pages = unsafe Growing<duet_page>()
  private var spans = Growing<duet_span>()
  private let config: DecoderConfig
  private let table: UnsafePointer<duet_operations>
  private let heads: Int
  private let groups: Int
  private let headSize: Int
  private var states: UnsafeMutablePointer<Float>?
  private var stateCount = 0

  /// Floats that the heads of one group and one token leave of a segment.
  let stateWidth: Int

  init(_ config: DecoderConfig, _ operations: Operations) {
    self.config = config
    unsafe table = operations.table
    (heads, groups, headSize) = (config.headsPerGroup, config.keyValueHeadCount, config.headSize)
    stateWidth = config.headsPerGroup * (config.headSize + 2)
  }

  /// Forgets what was laid ready. `states` is written to by `attend`.
  func begin(_ states: FloatBuffer) {
    unsafe items.removeAll()
    unsafe pages.removeAll()
    spans.removeAll()
    unsafe self.states = states.pointer(0..<states.count)
    stateCount = states.count
  }

  /// Lays ready a segment: at most `DUET_SEGMENT_PAGES` pages.
  ///
  /// - Parameters:
  ///   - contexts: the positions that each token sees; none for what sees nothing of these pages.
  ///   - query: [tokens, heads, head size], those of the first token from token number `token` on.
  func add(
    _ sequence: CachedSequence, _ contexts: [Range<Int>], layer: Int,
    query: FloatBuffer, token: Int
  ) {
    let size = CacheLayout.pageTokens
    var seen = 0..<0
    for context in contexts where !context.isEmpty {
      seen =
        seen.isEmpty
        ? context : min(seen.lowerBound, context.lowerBound)..<max(seen.upperBound, context.upperBound)
    }
    let first = seen.lowerBound / size, end = (seen.upperBound + size - 1) / size
    precondition(end - first <= Int(DUET_SEGMENT_PAGES), "more pages than a segment has")
    let width = groups * heads * headSize
    let queries = unsafe query.pointer(token * width..<(token + contexts.count) * width)
    unsafe items.append(
      Item(
        firstPage: pages.count, pageCount: end - first, spans: spans.count, tokens: contexts.count,
        query: UnsafePointer(queries), headBytes: 2 * sequence.layout.planeBytes,
        type: sequence.layout.type.typeNumber))
    let places = sequence.places
    for page in first..<end { unsafe pages.append(places[page].view(layer: layer, head: 0)) }
    for context in contexts {
      spans.append(
        context.isEmpty
          ? duet_span(first: 0, last: 0)
          : duet_span(
            first: UInt32(context.lowerBound - first * size), last: UInt32(context.upperBound - first * size))
      )
    }
  }

  /// Attention of the query heads that share key-value head `head` over segment number `index`.
  ///
  /// - Parameters:
  ///   - state: [tokens, heads][head size + 2] from there on: weighted values, the largest score and the sum of
  ///     exponentials.
  ///   - next: the segment and the head whose turn it probably is next on this thread: its keys are fetched.
  func attend(_ index: Int, head: Int, state: Int, before next: (index: Int, head: Int)? = nil) {
    precondition(head >= 0 && head < groups, "no such head")
    let item = unsafe items[index], count = unsafe item.pageCount
    guard let states = unsafe states else { preconditionFailure("no states before begin") }
    precondition(
      unsafe state >= 0 && state + item.tokens * stateWidth <= stateCount, "states outside of the buffer")
    unsafe withUnsafeTemporaryAllocation(of: duet_page.self, capacity: Int(DUET_SEGMENT_PAGES)) { views in
      for page in 0..<count {
        let view = unsafe pages[item.firstPage + page], offset = unsafe head * item.headBytes
        unsafe views[page] = duet_page(keys: view.keys + offset, values: view.values + offset)
      }
      var about = unsafe duet_query(
        query: item.query + head * heads * headSize, tokens: item.tokens, stride: groups * heads * headSize,
        spans: spans.pointer(item.spans), heads: heads, head_size: headSize, scale: config.attentionScale,
        softcap: config.attentionSoftcap, type: item.type, following: following(next))
      unsafe table.pointee.attend(&about, views.baseAddress, states + state)
    }
  }

  private func following(_ next: (index: Int, head: Int)?) -> UnsafeRawPointer? {
    guard let next, unsafe next.index < items.count else { return nil }
    let item = unsafe items[next.index]
    guard unsafe item.pageCount > 0 else { return nil }
    return unsafe pages[item.firstPage].keys + next.head * item.headBytes
  }
}

/// Values without references that are kept in place when they are forgotten.
@safe private struct Growing<Element: BitwiseCopyable>: ~Copyable {
  private var base: UnsafeMutablePointer<Element>
  private var capacity = 64
  private(set) var count = 0

  init() { unsafe base = .allocate(capacity: capacity) }

  deinit { unsafe base.deallocate() }

  mutating func removeAll() { count = 0 }

  mutating func append(_ element: Element) {
    if count == capacity {
      let larger = UnsafeMutablePointer<Element>.allocate(capacity: 2 * capacity)
      unsafe larger.update(from: base, count: count)
      unsafe base.deallocate()
      unsafe base = larger
      capacity *= 2
    }
    unsafe (base + count).initialize(to: element)
    count += 1
  }

  subscript(index: Int) -> Element {
    precondition(index >= 0 && index < count, "no such element")
    return unsafe base[index]
  }

  /// The address of an element and those after it, valid until the next is appended; nil past the last.
  @unsafe func pointer(_ index: Int) -> UnsafePointer<Element>? {
    index >= 0 && index < count ? unsafe UnsafePointer(base + index) : nil
  }
}
