import CKernels
import DuetRuntime

// The C kernels as functions over arrays: the only unsafe code of these tests.

/// 32 values as a format stores them: `scale[i / 16] * q[i] + minimum[i / 16]`.
struct UnpackedRun {
  let q: [Int8]
  let scale: [Float]
  let minimum: [Float]

  /// The values in double precision, free of rounding.
  var values: [Double] {
    q.indices.map { Double(scale[$0 / 16]) * Double(q[$0]) + Double(minimum[$0 / 16]) }
  }
}

/// The floats of whole `blocks`, which are placed `misalignment` bytes after an aligned address;
/// nil where no kernel knows the type. What the kernel leaves out stays NaN.
func genericDequantize(
  _ blocks: [UInt8], type: TensorType, misalignment: Int = 0
) -> [Float]? {
  guard let kernel = unsafe duet_generic_dequantizer(Int32(type.rawValue)) else { return nil }
  let count = blocks.count / type.blockBytes * type.blockLength
  let bytes = [UInt8](repeating: 0, count: misalignment) + blocks
  var floats = [Float](repeating: .nan, count: count)
  unsafe bytes.withUnsafeBytes { source in
    unsafe floats.withUnsafeMutableBufferPointer { target in
      guard let from = source.baseAddress, let to = target.baseAddress else { return }
      unsafe kernel(from + misalignment, to, count)
    }
  }
  return floats
}

/// All runs of a row of whole `blocks`; nil where the type is not quantized.
func unpackRuns(_ blocks: [UInt8], type: TensorType) -> [UnpackedRun]? {
  guard let kernel = unsafe duet_run_unpacker(Int32(type.rawValue)) else { return nil }
  let count = blocks.count / type.blockBytes * type.blockLength / 32
  return unsafe blocks.withUnsafeBytes { source in
    (0..<count).map { index in
      var run = duet_run()
      unsafe kernel(source.baseAddress, index, &run)
      return UnpackedRun(
        q: elements(of: run.q), scale: elements(of: run.scale), minimum: elements(of: run.minimum))
    }
  }
}

/// The elements of a C array, which Swift sees as a tuple of equal types.
private func elements<Tuple: BitwiseCopyable, Element: BitwiseCopyable>(of tuple: Tuple) -> [Element] {
  unsafe withUnsafeBytes(of: tuple) { unsafe Array($0.bindMemory(to: Element.self)) }
}

/// Whether the readable kernels know the type of this number.
func hasDequantizer(_ type: Int32) -> Bool { unsafe duet_generic_dequantizer(type) != nil }
