/// Random numbers that are the same on every machine for the same seed: SplitMix64
/// (Steele, Lea and Flood, OOPSLA 2014).
package struct RandomSource: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number of 24 random bits, 0 to just below 1.
  package mutating func unit() -> Float { Float(next() >> 40) * 0x1p-24 }
}
