import CKernels
import DuetRuntime

/// The C encoders of one tier, behind calls that check every length.
@safe struct Encoder: Sendable {
  private nonisolated(unsafe) let table: UnsafePointer<duet_encoders>

  /// The tier called `name`, or the fastest one that this CPU runs.
  init(tier name: String? = nil) throws(KernelError) {
    guard let table = unsafe duet_select_encoders(name ?? "") else { throw .noSuchTier(name ?? "") }
    unsafe self.table = unsafe table
  }

  /// Writes the blocks of the values of `range`, whole blocks of `type`, to `out` from `offset` on.
  ///
  /// - Parameters:
  ///   - search: whether types that have a plain encoder too are searched for smaller errors.
  ///   - weights: what the square of each value's error counts; nil for all alike.
  func encode(
    _ type: TensorType, search: Bool, _ x: FloatBuffer, _ range: Range<Int>, weights: FloatBuffer?,
    _ weightRange: Range<Int>, out: ByteBuffer, at offset: Int
  ) {
    precondition(range.count % type.blockLength == 0, "values that are no whole blocks")
    precondition(weights == nil || weightRange.count == range.count, "weights and values differ in length")
    let bytes = unsafe out.pointer(offset..<offset + type.rowBytes(range.count))
    let done = unsafe duet_run_encode(
      table, Int32(type.rawValue), search, x.pointer(range), weights?.pointer(weightRange), range.count, bytes
    )
    precondition(done, "a type that has no encoder")
  }

  /// Writes the values of `count` values of blocks of `type` that start at `offset` to `out`.
  func decode(_ type: TensorType, _ blocks: ByteBuffer, at offset: Int, count: Int, out: FloatBuffer) {
    let bytes = unsafe blocks.pointer(offset..<offset + type.rowBytes(count))
    unsafe duet_run_dequantize(
      duet_select(table.pointee.name), Int32(type.rawValue), bytes, out.pointer(0..<count), count)
  }

  /// Adds what `x` and the first values of `y` differ by.
  func addDifference(
    _ x: FloatBuffer, _ range: Range<Int>, _ y: FloatBuffer, weights: FloatBuffer?, _ weightRange: Range<Int>,
    to sums: inout QuantizationError
  ) {
    var difference = duet_difference()
    unsafe table.pointee.difference(
      x.pointer(range), y.pointer(0..<range.count), weights?.pointer(weightRange), range.count, &difference)
    sums.error += difference.error
    sums.energy += difference.energy
    sums.weightedError += difference.weighted_error
    sums.weightedEnergy += difference.weighted_energy
  }

  /// `sums[i] += x[i]²` over the values of `range`.
  func addSquares(_ x: FloatBuffer, _ range: Range<Int>, to sums: FloatBuffer) {
    unsafe table.pointee.add_squares(x.pointer(range), range.count, sums.pointer(0..<range.count))
  }

  /// Whether no value of `range` is infinite or NaN.
  func isFinite(_ x: FloatBuffer, _ range: Range<Int>) -> Bool {
    unsafe table.pointee.is_finite(x.pointer(range), range.count)
  }
}

/// Memory for bytes that several threads write disjoint parts of: a loop of the thread pool hands each
/// chunk its own part, hence `@unchecked`.
@safe final class ByteBuffer: @unchecked Sendable {
  let count: Int
  private let base: UnsafeMutableRawPointer

  init(count: Int) {
    self.count = count
    unsafe base = .allocate(byteCount: max(1, count), alignment: 64)
  }

  deinit { unsafe base.deallocate() }

  /// Calls `body` with the bytes of `range`.
  func withBytes<R, E: Error>(_ range: Range<Int>, _ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    let buffer = unsafe UnsafeRawBufferPointer(start: pointer(range), count: range.count)
    return unsafe try body(RawSpan(_unsafeBytes: buffer))
  }

  /// The address of `range`, for the kernels; valid while the object lives.
  @unsafe func pointer(_ range: Range<Int>) -> UnsafeMutableRawPointer {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside of the buffer")
    return unsafe base + range.lowerBound
  }
}

/// What quantized weights differ from the original by: sums over values.
public struct QuantizationError: Sendable, Equatable {
  /// The squares of the differences.
  public var error = 0.0
  /// The squares of the original values.
  public var energy = 0.0
  /// The squares of the differences, times the importance of their columns; as `error` without any.
  public var weightedError = 0.0
  /// The squares of the original values, times the importance of their columns.
  public var weightedEnergy = 0.0

  /// The root of the squared differences' share of the squared values.
  public var relative: Double { energy > 0 ? (error / energy).squareRoot() : 0 }
  /// The same with the importance of columns.
  public var weightedRelative: Double {
    weightedEnergy > 0 ? (weightedError / weightedEnergy).squareRoot() : 0
  }

  static func += (sum: inout QuantizationError, term: QuantizationError) {
    sum.error += term.error
    sum.energy += term.energy
    sum.weightedError += term.weightedError
    sum.weightedEnergy += term.weightedEnergy
  }
}
