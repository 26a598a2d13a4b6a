/// The merges of a byte-level vocabulary: for two tokens side by side, the token they make and the
/// line of `tokenizer.ggml.merges` that says so. An open-addressing hash table of 16 bytes a slot.
struct MergeTable: PairRanking, Sendable {
  private struct Slot {
    var pair = UInt64.max
    var rank: UInt32 = 0
    var token: Int32 = 0
  }

  /// Several times those of any model.
  static let mostMerges = 1 << 21

  private let hash: ByteHash
  private let slots: [Slot]

  /// Enters every merge whose two parts and whole are tokens and whose whole is no special token,
  /// so that text can never make one; the first of several for a pair counts. O(bytes of all merges).
  init(_ merges: GGUFArray, _ index: TokenIndex) {
    let hash = ByteHash()
    var slots = [Slot](repeating: Slot(), count: ByteHash.capacity(merges.count))
    var whole: [UInt8] = []
    merges.forEachString { rank, text in
      guard let merge = Self.merge(text, index, &whole), rank < Int(UInt32.max) else { return }
      let slot = Self.find(merge.pair, hash, slots)
      guard slots[slot].pair != merge.pair else { return }
      slots[slot] = Slot(pair: merge.pair, rank: UInt32(rank), token: merge.token)
    }
    self.hash = hash
    self.slots = slots
  }

  func join(_ left: Int32, _ right: Int32, _ range: Range<Int>) -> (priority: UInt32, token: Int32)? {
    guard left >= 0, right >= 0 else { return nil }
    let pair = Self.pair(left, right)
    let slot = slots[Self.find(pair, hash, slots)]
    return slot.pair == pair ? (slot.rank, slot.token) : nil
  }

  private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  @inline(__always)
  private static func find(_ pair: UInt64, _ hash: ByteHash, _ slots: [Slot]) -> Int {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash(pair)) & mask
    while slots[slot].pair != pair, slots[slot].pair != .max { slot = (slot + 1) & mask }
    return slot
  }

  /// The two parts are separated by the first space that is not the first character.
  private static func merge(
    _ text: RawSpan, _ index: TokenIndex, _ whole: inout [UInt8]
  ) -> (pair: UInt64, token: Int32)? {
    var space = 1
    while space < text.byteCount, text.littleEndian(UInt8.self, at: space) != 0x20 { space += 1 }
    guard space + 1 < text.byteCount else { return nil }
    let (first, second) = (text.extracting(0..<space), text.extracting(space + 1..<text.byteCount))
    guard let left = index.token(first), let right = index.token(second) else { return nil }
    whole.removeAll(keepingCapacity: true)
    whole.append(first)
    whole.append(second)
    guard let token = whole.withRaw(index.ordinaryToken) else { return nil }
    return (pair(left, right), token)
  }
}

extension TokenIndex {
  /// The token with this text that ordinary text may become, or nil. O(length).
  @inline(__always)
  func ordinaryToken(_ text: RawSpan) -> Int32? {
    guard let token = token(text) else { return nil }
    switch vocabulary.kind(token) {
    case .normal, .userDefined, .unused: return token
    case .control, .unknown, .byte: return nil
    }
  }
}
