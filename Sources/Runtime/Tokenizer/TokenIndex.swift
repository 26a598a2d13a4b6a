/// Finds a token by its text: an open-addressing hash table over the mapped texts, 8 bytes a slot
/// and no copy of any text.
struct TokenIndex: Sendable {
  let vocabulary: Vocabulary
  private let hash: ByteHash
  /// The upper half of a text's hash, then the token plus one; 0 where free. At most half are taken.
  private let slots: [UInt64]

  /// Enters every token but empty ones; of tokens with one text the first is found. O(n).
  init(_ vocabulary: Vocabulary) {
    let hash = ByteHash()
    let capacity = ByteHash.capacity(vocabulary.count)
    var slots = [UInt64](repeating: 0, count: capacity)
    vocabulary.forEach { token, text in
      guard text.byteCount > 0 else { return }
      let code = hash(text)
      let (slot, found) = Self.find(text, code, slots, vocabulary)
      if found == nil { slots[slot] = code & Self.tagMask | UInt64(UInt32(bitPattern: token &+ 1)) }
    }
    self.vocabulary = vocabulary
    self.hash = hash
    self.slots = slots
  }

  private static let tagMask: UInt64 = 0xffff_ffff_0000_0000

  /// The token with this text, or nil. O(length).
  func token(_ text: RawSpan) -> Int32? {
    guard text.byteCount > 0, text.byteCount <= vocabulary.longest else { return nil }
    return Self.find(text, hash(text), slots, vocabulary).token
  }

  @inline(__always)
  private static func find(
    _ text: RawSpan, _ code: UInt64, _ slots: [UInt64], _ vocabulary: Vocabulary
  ) -> (slot: Int, token: Int32?) {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: code) & mask
    while slots[slot] != 0 {
      if (slots[slot] ^ code) & tagMask == 0 {
        let token = Int32(truncatingIfNeeded: slots[slot]) &- 1
        if vocabulary.withText(token, { $0.equals(text) }) { return (slot, token) }
      }
      slot = (slot + 1) & mask
    }
    return (slot, nil)
  }
}

/// A keyed hash of bytes: words of 8 bytes are mixed by a full multiplication whose halves are
/// folded together. The key is random in every process, so that no file can be made to collide.
struct ByteHash: Sendable {
  private let seed = UInt64.random(in: .min ... .max)
  private static let multiplier: UInt64 = 0x9e37_79b9_7f4a_7c15

  /// A power of two of which `count` entries fill at most half.
  static func capacity(_ count: Int) -> Int {
    var capacity = 16
    while capacity < 2 * count { capacity *= 2 }
    return capacity
  }

  @inline(__always)
  private func mix(_ state: UInt64, _ word: UInt64) -> UInt64 {
    let product = (state ^ word ^ seed).multipliedFullWidth(by: Self.multiplier)
    return product.high ^ product.low
  }

  /// O(length).
  @inline(__always)
  func callAsFunction(_ bytes: RawSpan) -> UInt64 {
    let count = bytes.byteCount
    var state = UInt64(truncatingIfNeeded: count) &* 0xd6e8_feb8_6659_fd93
    var offset = 0
    while count - offset > 8 {
      state = mix(state, bytes.littleEndian(UInt64.self, at: offset))
      offset += 8
    }
    return mix(mix(state, bytes.tail(offset)), seed >> 32)
  }

  @inline(__always)
  func callAsFunction(_ word: UInt64) -> UInt64 { mix(0, word) }
}

extension RawSpan {
  /// The last bytes from `offset` on, at most 8, as one number; spans of one length that differ
  /// there give different numbers.
  @inline(__always)
  fileprivate func tail(_ offset: Int) -> UInt64 {
    let left = byteCount - offset
    if left == 8 { return littleEndian(UInt64.self, at: offset) }
    if left >= 4 {
      let low = UInt64(littleEndian(UInt32.self, at: offset))
      return low | UInt64(littleEndian(UInt32.self, at: byteCount - 4)) << 32
    }
    guard left > 0 else { return 0 }
    let first = UInt64(littleEndian(UInt8.self, at: offset))
    let middle = UInt64(littleEndian(UInt8.self, at: offset + left / 2))
    return first | middle << 8 | UInt64(littleEndian(UInt8.self, at: byteCount - 1)) << 16
  }

  /// Whether both hold the same bytes. O(n).
  @inline(__always)
  func equals(_ other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    var offset = 0
    while byteCount - offset > 8 {
      if littleEndian(UInt64.self, at: offset) != other.littleEndian(UInt64.self, at: offset) { return false }
      offset += 8
    }
    return tail(offset) == other.tail(offset)
  }
}
