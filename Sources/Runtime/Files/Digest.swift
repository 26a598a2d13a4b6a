/// A 64-bit digest of bytes, to tell files and texts apart by content. Chance will not find two
/// alike; someone who sets out to can.
package struct Digest: Sendable {
  /// Four lanes, so that their multiplications overlap.
  private var lanes: (UInt64, UInt64, UInt64, UInt64)
  private var count: UInt64 = 0

  // Odd numbers with bits well spread: the first digits of the square roots of 2, 3, 5 and 7.
  private static let factors: (UInt64, UInt64, UInt64, UInt64) = (
    0x6A09_E667_F3BC_C909, 0xBB67_AE85_84CA_A73B, 0x3C6E_F372_FE94_F82B, 0xA54F_F53A_5F1D_36F1
  )

  package init(seed: UInt64 = 0) {
    let f = Self.factors
    lanes = (f.0 ^ seed, f.1 &+ seed, f.2 ^ (seed &<< 1), f.3 &- seed)
  }

  /// Takes in bytes. Pieces and their whole give different digests.
  ///
  /// - Complexity: O(n), some gigabytes a second.
  package mutating func update(_ bytes: RawSpan) {
    let count = bytes.byteCount
    var offset = 0
    while offset + 32 <= count {
      add(
        bytes.littleEndian(UInt64.self, at: offset), bytes.littleEndian(UInt64.self, at: offset + 8),
        bytes.littleEndian(UInt64.self, at: offset + 16), bytes.littleEndian(UInt64.self, at: offset + 24))
      offset += 32
    }
    while offset < count {
      add(UInt64(bytes.littleEndian(UInt8.self, at: offset)))
      offset += 1
    }
    add(UInt64(count))
  }

  /// Takes in one number.
  package mutating func add(_ value: UInt64) { add(value, 0, 0, 0) }

  /// Takes in the bytes of a text, and its length.
  package mutating func add(_ text: String) {
    for byte in text.utf8 { add(UInt64(byte)) }
    add(UInt64(text.utf8.count))
  }

  @inline(__always)
  private mutating func add(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64) {
    lanes.0 = Self.mixed(lanes.0 ^ a, Self.factors.0)
    lanes.1 = Self.mixed(lanes.1 ^ b, Self.factors.1)
    lanes.2 = Self.mixed(lanes.2 ^ c, Self.factors.2)
    lanes.3 = Self.mixed(lanes.3 ^ d, Self.factors.3)
    count &+= 1
  }

  @inline(__always)
  private static func mixed(_ value: UInt64, _ factor: UInt64) -> UInt64 {
    let product = value &* factor
    return product ^ (product &>> 29)
  }

  /// The digest of all that was taken in.
  package var value: UInt64 {
    var result = count
    for lane in [lanes.0, lanes.1, lanes.2, lanes.3] {
      result = Self.mixed(result ^ lane, Self.factors.1)
      result = Self.mixed(result ^ (result &>> 32), Self.factors.2)
    }
    return result
  }
}
