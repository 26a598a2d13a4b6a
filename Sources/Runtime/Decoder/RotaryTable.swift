#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Angles of the rotary embedding (arXiv 2104.09864) for the tokens of a batch.
package struct RotaryTable {
  /// Radians per position, one for each rotated pair.
  let frequencies: [Double]
  /// [tokens, pairs cosines + pairs sines]
  package let angles: FloatBuffer
  let rotary: DecoderConfig.Rotary

  package init(_ rotary: DecoderConfig.Rotary, capacity: Int) {
    self.rotary = rotary
    frequencies = rotary.frequencies
    angles = FloatBuffer(count: capacity * rotary.dimensions)
  }

  /// Where the angles of the batch's token `index` begin.
  package func offset(_ index: Int) -> Int { index * rotary.dimensions }

  /// Writes the angles of the batch's token `index`, which stands at `position`. In double
  /// precision: a rounding of the frequency would grow with the position.
  package func fill(_ index: Int, position: Int) {
    let start = offset(index), pairs = frequencies.count
    for pair in 0..<pairs {
      let angle = Double(position) * frequencies[pair]
      angles[start + pair] = Float(cos(angle)) * rotary.magnitude
      angles[start + pairs + pair] = Float(sin(angle)) * rotary.magnitude
    }
  }
}
