import DuetRuntime

/// Blocks of any type with random values and small finite scales.
enum RandomWeights {
  /// Whole rows; all bytes but the scales are `filledWith`, where given.
  static func rows(
    _ count: Int, of columns: Int, _ type: TensorType, filledWith byte: UInt8? = nil, _ random: inout SplitMix
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<count * columns / type.blockLength { bytes += block(type, byte, &random) }
    return bytes
  }

  private static func block(_ type: TensorType, _ byte: UInt8?, _ random: inout SplitMix) -> [UInt8] {
    switch type {
    case .f32: return little(Float.random(in: -1...1, using: &random).bitPattern)
    case .f16: return little(Float16(Float.random(in: -1...1, using: &random)).bitPattern)
    case .bf16: return little(UInt16(Float.random(in: -1...1, using: &random).bitPattern >> 16))
    default: break
    }
    var bytes = (0..<type.blockBytes).map { _ in byte ?? UInt8.random(in: 0...255, using: &random) }
    if type == .mxfp4 { bytes[0] = UInt8.random(in: 118...128, using: &random) }
    for offset in scaleOffsets(of: type) {
      let scale = Float.random(in: 0.001...0.1, using: &random) * (Bool.random(using: &random) ? 1 : -1)
      bytes.replaceSubrange(offset..<offset + 2, with: little(Float16(scale).bitPattern))
    }
    return bytes
  }

  /// Where a block's half-precision scales lie.
  static func scaleOffsets(of type: TensorType) -> [Int] {
    switch type {
    case .q4_1, .q5_1, .q4_K, .q5_K: [0, 2]
    case .q2_K: [80, 82]
    case .q3_K: [108]
    case .q6_K: [208]
    case .mxfp4: []
    default: [0]
    }
  }

  /// Row lengths worth trying for a type.
  static func columns(_ type: TensorType) -> [Int] {
    switch type.blockLength {
    case 256: [256, 512, 1_536]
    case 32: [32, 64, 96, 256, 512, 576]
    default: [32, 64, 576]
    }
  }
}

/// Random numbers within `range`.
func randomFloats(_ count: Int, in range: ClosedRange<Float> = -1...1, _ random: inout SplitMix) -> [Float] {
  (0..<count).map { _ in Float.random(in: range, using: &random) }
}

/// Whether both are the same bit for bit, any NaN being equal to any other.
func identical(_ left: [Float], _ right: [Float]) -> Bool {
  left.count == right.count
    && zip(left, right).allSatisfy { $0.bitPattern == $1.bitPattern || $0.isNaN && $1.isNaN }
}
