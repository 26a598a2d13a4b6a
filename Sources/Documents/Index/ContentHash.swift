/// The 128-bit FNV-1a hash of a file's bytes (Fowler, Noll, Vo; draft-eastlake-fnv).
///
/// It is not cryptographic: whoever can write a file could forge it, and would gain an index that
/// keeps the file's earlier text.
struct ContentHash: Equatable {
  private static let offsetBasis = UInt128(0x6C62_272E_07BB_0142) << 64 | 0x62B8_2175_6295_C58D
  private static let prime = UInt128(1) << 88 | 0x13B

  let value: UInt128

  /// - Complexity: O(bytes).
  init(_ bytes: [UInt8]) {
    value = bytes.reduce(Self.offsetBasis) { ($0 ^ UInt128($1)) &* Self.prime }
  }

  /// 32 hexadecimal digits.
  var text: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 32 - digits.count) + digits
  }
}
