import CKernels
import DuetRuntime

/// The C kernels of training, behind calls that check every length.
@safe package struct TrainingKernels: Sendable {
  private nonisolated(unsafe) let table: UnsafePointer<duet_training>

  /// The kernels that go with a tier of operations.
  package init(tier: String) {
    unsafe table = unsafe duet_training_select(tier)
  }

  /// The tier's name.
  package var name: String { unsafe String(cString: table.pointee.name) }

  /// Adds the gradient of the RMS norm of `x` for `dy` to `dx`, and that of its weight to `dweight`.
  package func normalizeBackward(
    _ x: FloatBuffer, _ range: Range<Int>, weight: FloatBuffer, dy: FloatBuffer, _ dyRange: Range<Int>,
    epsilon: Float, dx: FloatBuffer, at dxOffset: Int, dweight: (buffer: FloatBuffer, offset: Int)? = nil
  ) {
    let count = range.count
    precondition(weight.count == count && dyRange.count == count, "norm and vector differ in length")
    let gradient = unsafe dweight.map { unsafe $0.buffer.pointer($0.offset..<$0.offset + count) }
    unsafe table.pointee.rms_norm_backward(
      x.pointer(range), weight.pointer(0..<count), dy.pointer(dyRange), count, epsilon,
      dx.pointer(dxOffset..<dxOffset + count), gradient)
  }

  /// Of `inner = activation(gate) * up`: writes it, and the gradients for `d` over gate and up.
  package func gateBackward(
    _ activation: DecoderConfig.Activation, gate: FloatBuffer, _ gateRange: Range<Int>, up: FloatBuffer,
    _ upRange: Range<Int>, d: FloatBuffer, _ dRange: Range<Int>, inner: FloatBuffer, at offset: Int
  ) {
    let count = gateRange.count
    precondition(upRange.count == count && dRange.count == count, "gate and up differ in length")
    let run = unsafe activation == .silu ? table.pointee.silu_backward : table.pointee.gelu_backward
    unsafe run?(
      gate.pointer(gateRange), up.pointer(upRange), d.pointer(dRange), count,
      inner.pointer(offset..<offset + count))
  }

  /// Turns scores into probabilities. Returns the logarithm of the sum of exponentials.
  package func softmax(_ scores: FloatBuffer, _ range: Range<Int>, softcap: Float) -> Float {
    precondition(!range.isEmpty, "softmax of nothing")
    return unsafe table.pointee.softmax(scores.pointer(range), range.count, softcap)
  }

  /// Turns scores into probabilities and `d` into the gradient of the scores.
  package func softmaxBackward(
    _ scores: FloatBuffer, _ range: Range<Int>, d: FloatBuffer, _ dRange: Range<Int>, softcap: Float,
    logSum: Float, dot: Float
  ) {
    precondition(range.count == dRange.count, "scores and their gradient differ in length")
    unsafe table.pointee.softmax_backward(
      scores.pointer(range), d.pointer(dRange), range.count, softcap, logSum, dot)
  }

  /// Turns logits into their gradient times `weight`. Returns -log p(target), in nats.
  package func crossEntropy(
    _ logits: FloatBuffer, _ range: Range<Int>, target: Int, weight: Float, softcap: Float
  ) -> Double {
    precondition(target >= 0 && target < range.count, "target outside of the vocabulary")
    return unsafe table.pointee.cross_entropy(logits.pointer(range), range.count, target, weight, softcap)
  }

  package func dot(_ a: FloatBuffer, _ aRange: Range<Int>, _ b: FloatBuffer, _ bRange: Range<Int>) -> Float {
    precondition(aRange.count == bRange.count, "vectors differ in length")
    return unsafe table.pointee.dot(a.pointer(aRange), b.pointer(bRange), aRange.count)
  }

  package func sumOfSquares(_ x: FloatBuffer, _ range: Range<Int>) -> Double {
    unsafe table.pointee.sum_of_squares(x.pointer(range), range.count)
  }

  /// `out += factor * x`
  package func add(
    _ x: FloatBuffer, _ range: Range<Int>, times factor: Float = 1, to out: FloatBuffer, at offset: Int
  ) {
    unsafe table.pointee.add_scaled(
      x.pointer(range), range.count, factor, out.pointer(offset..<offset + range.count))
  }

  /// One step of AdamW over `range` of a parameter and its moments.
  package func adamW(
    _ parameter: FloatBuffer, gradient: FloatBuffer, mean: FloatBuffer, square: FloatBuffer,
    _ range: Range<Int>, _ options: duet_adamw
  ) {
    var options = options
    unsafe table.pointee.adamw(
      parameter.pointer(range), gradient.pointer(range), mean.pointer(range), square.pointer(range),
      range.count, &options)
  }

  /// `out = x` with a `share` of its values dropped and the others scaled up. Which ones depends on
  /// `seed` and on `first`, the number of the first value.
  package func dropout(
    _ x: FloatBuffer, _ range: Range<Int>, share: Float, seed: UInt64, first: Int, out: FloatBuffer,
    at offset: Int
  ) {
    unsafe table.pointee.dropout(
      x.pointer(range), range.count, seed, UInt64(first), share, out.pointer(offset..<offset + range.count))
  }

  /// Sets values to zero.
  package func clear(_ x: FloatBuffer, _ range: Range<Int>? = nil) {
    let range = range ?? 0..<x.count
    unsafe x.pointer(range).update(repeating: 0, count: range.count)
  }

  /// Copies values.
  package func copy(_ x: FloatBuffer, _ range: Range<Int>, to out: FloatBuffer, at offset: Int) {
    unsafe out.pointer(offset..<offset + range.count).update(from: x.pointer(range), count: range.count)
  }
}
