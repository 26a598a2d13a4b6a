/// Which neighbours in a word join to a token, and in which order.
protocol PairRanking {
  /// The token that two neighbouring symbols make and its priority, the lowest joined first and
  /// below `UInt32.max`; nil when they make none.
  ///
  /// `left` and `right` are the symbols' tokens, or -1; `range` is where both lie in the word.
  func join(_ left: Int32, _ right: Int32, _ range: Range<Int>) -> (priority: UInt32, token: Int32)?
}

/// Byte-pair encoding of one word: joins the pair of the lowest priority, the leftmost of equals,
/// until no pair is left (Sennrich et al., 2016, arXiv 1508.07909).
///
/// A symbol is named by the offset of its first byte. A heap of candidate pairs makes a word of n
/// symbols cost O(n log n); pairs that have changed since they were entered are passed over.
struct PairMerger {
  /// The token of each symbol, -1 where it has none; meaningful where a symbol starts.
  private(set) var tokens: [Int32] = []
  /// Where the symbol after each one starts; the word's length after the last.
  private var next: [Int32] = []
  private var previous: [Int32] = []
  /// What each symbol and its right neighbour make.
  private var priorities: [UInt32] = []
  private var joined: [Int32] = []
  private var heap = KeyHeap()
  private var count = 0

  /// Cuts words of more than 256 MB, so that offsets fit their type.
  static func parts(_ word: Range<Int>) -> some Sequence<Range<Int>> {
    let longest = 1 << 28
    return stride(from: word.lowerBound, to: word.upperBound, by: longest).lazy.map { start in
      start..<min(word.upperBound, start + longest)
    }
  }

  /// Forgets the last word and starts one of `count` bytes.
  mutating func begin(_ count: Int) {
    self.count = count
    heap.removeAll()
    guard tokens.count < count else { return }
    let more = max(64, count) - tokens.count
    tokens.append(contentsOf: repeatElement(-1, count: more))
    next.append(contentsOf: repeatElement(0, count: more))
    previous.append(contentsOf: repeatElement(-1, count: more))
    priorities.append(contentsOf: repeatElement(.max, count: more))
    joined.append(contentsOf: repeatElement(-1, count: more))
  }

  /// Ends the word after the symbols that were entered, `count` bytes and no more than it was begun with.
  mutating func end(_ count: Int) { self.count = count }

  /// Enters the symbol of the bytes in `range`; symbols are entered in order and leave no gap.
  @inline(__always)
  mutating func add(_ range: Range<Int>, _ token: Int32, after: Int) {
    tokens[range.lowerBound] = token
    next[range.lowerBound] = Int32(truncatingIfNeeded: range.upperBound)
    previous[range.lowerBound] = Int32(truncatingIfNeeded: after)
  }

  /// Joins until nothing can be joined.
  mutating func merge(_ ranking: some PairRanking) {
    var symbol = 0
    while symbol < count {
      consider(symbol, ranking)
      symbol = Int(next[symbol])
    }
    while let key = heap.pop() {
      let left = Int(truncatingIfNeeded: key & 0xffff_ffff)
      guard priorities[left] == UInt32(truncatingIfNeeded: key >> 32) else { continue }
      join(left)
      consider(left, ranking)
      if previous[left] >= 0 { consider(Int(previous[left]), ranking) }
    }
  }

  /// Calls `body` with each symbol's place and token, -1 where it has none, in order.
  func forEach(_ body: (Range<Int>, Int32) -> Void) {
    var symbol = 0
    while symbol < count {
      let end = Int(next[symbol])
      body(symbol..<end, tokens[symbol])
      symbol = end
    }
  }

  @inline(__always)
  private mutating func join(_ left: Int) {
    let right = Int(next[left])
    tokens[left] = joined[left]
    next[left] = next[right]
    if Int(next[right]) < count { previous[Int(next[right])] = Int32(truncatingIfNeeded: left) }
    priorities[right] = .max
  }

  /// Enters what the symbol and its right neighbour make.
  @inline(__always)
  private mutating func consider(_ left: Int, _ ranking: some PairRanking) {
    priorities[left] = .max
    let right = Int(next[left])
    guard right < count else { return }
    guard let pair = ranking.join(tokens[left], tokens[right], left..<Int(next[right])) else { return }
    priorities[left] = pair.priority
    joined[left] = pair.token
    heap.push(UInt64(pair.priority) << 32 | UInt64(truncatingIfNeeded: left))
  }
}

/// A binary min-heap of keys. Push and pop are O(log n).
struct KeyHeap {
  private var keys: [UInt64] = []

  mutating func removeAll() { keys.removeAll(keepingCapacity: true) }

  mutating func push(_ key: UInt64) {
    keys.append(key)
    var child = keys.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard key < keys[parent] else { break }
      keys[child] = keys[parent]
      child = parent
    }
    keys[child] = key
  }

  mutating func pop() -> UInt64? {
    guard let least = keys.first, let key = keys.popLast() else { return nil }
    guard !keys.isEmpty else { return least }
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < keys.count else { break }
      if child + 1 < keys.count, keys[child + 1] < keys[child] { child += 1 }
      guard keys[child] < key else { break }
      keys[parent] = keys[child]
      parent = child
    }
    keys[parent] = key
    return least
  }
}
