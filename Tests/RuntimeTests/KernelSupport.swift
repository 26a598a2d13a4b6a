import CKernels
import DuetRuntime
import Testing

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

/// Activations of one token as the kernels take them.
struct QuantizedVector {
  let x: [Float]
  var q: [Int8]
  var scales: [duet_run_scale]

  /// The values that the int8 form stands for, in double precision.
  var values: [Double] { q.indices.map { Double(q[$0]) * Double(scales[$0 / 32].scale) } }
}

/// The kernels of one tier over arrays. What a kernel is to write is NaN before.
@safe struct Kernels: Sendable, CustomTestStringConvertible {
  private nonisolated(unsafe) let table: UnsafePointer<duet_operations>

  /// Nil where this CPU or this build lacks the tier.
  init?(_ name: String) {
    guard let table = unsafe duet_select(name) else { return nil }
    unsafe self.table = unsafe table
  }

  /// Every tier that runs here, the readable one first.
  static let all = ["generic", "avx2", "avx512", "neon", "i8mm"].compactMap(Kernels.init)

  var testDescription: String { unsafe String(cString: table.pointee.name) }
  var panelRows: Int { unsafe table.pointee.panel_rows }

  func quantize(_ x: [Float]) -> QuantizedVector {
    let runs = x.count / 32, none = duet_run_scale(scale: .nan, half: (.nan, .nan), middle: (.min, .min))
    var result = QuantizedVector(
      x: x, q: [Int8](repeating: -128, count: runs * 32), scales: Array(repeating: none, count: runs))
    unsafe table.pointee.quantize(x, x.count, &result.q, &result.scales)
    return result
  }

  /// `rows` rows that lie `rowBytes` apart, times `a`.
  func dot(
    _ type: TensorType, _ weights: [UInt8], rows: Int, _ a: QuantizedVector, inFloat: Bool = false
  ) -> [Float] {
    var out = [Float](repeating: .nan, count: rows)
    unsafe a.q.withUnsafeBufferPointer { q in
      unsafe a.scales.withUnsafeBufferPointer { scales in
        unsafe a.x.withUnsafeBufferPointer { x in
          var view = unsafe duet_activations(x: x.baseAddress, q: q.baseAddress, scales: scales.baseAddress)
          unsafe duet_run_dot(
            table, inFloat, Int32(type.rawValue), weights, type.rowBytes(a.x.count), rows, a.x.count, &view,
            &out)
        }
      }
    }
    return out
  }

  /// The same by a panel, [tokens][stride]: what lies between rows and stride stays NaN.
  func multiply(
    _ type: TensorType, _ weights: [UInt8], rows: Int, _ tokens: [QuantizedVector], stride: Int
  ) -> [Float] {
    guard let n = tokens.first?.x.count else { return [] }
    let number = Int32(type.rawValue)
    var panel = [Float](repeating: .nan, count: unsafe duet_panel_bytes(table, number, n) / 4 + 1)
    unsafe weights.withUnsafeBytes { weights in
      unsafe duet_run_pack(table, number, weights.baseAddress, type.rowBytes(n), rows, n, &panel)
    }
    return unsafe withViews(tokens, stride) { views, out in
      unsafe duet_run_multiply(table, number, panel, rows, n, views, tokens.count, &out, stride)
    }
  }

  /// The same straight from the blocks, several columns at once.
  func dotColumns(
    _ type: TensorType, _ weights: [UInt8], rows: Int, _ tokens: [QuantizedVector], stride: Int
  ) -> [Float] {
    unsafe weights.withUnsafeBytes { bytes in
      guard let start = bytes.baseAddress else { return [] }
      return unsafe dotColumns(type, at: start, rows: rows, tokens, stride: stride)
    }
  }

  /// The same of weights where they lie.
  func dotColumns(
    _ type: TensorType, at weights: UnsafeRawPointer, rows: Int, _ tokens: [QuantizedVector], stride: Int
  ) -> [Float] {
    guard let n = tokens.first?.x.count else { return [] }
    return unsafe withViews(tokens, stride) { views, out in
      unsafe duet_run_dot_columns(
        table, Int32(type.rawValue), weights, type.rowBytes(n), rows, n, views, tokens.count, nil, &out,
        stride)
    }
  }

  /// Calls `body` with the kernels' view of `tokens` and room for [tokens][stride] results.
  private func withViews(
    _ tokens: [QuantizedVector], _ stride: Int, _ body: ([duet_activations], inout [Float]) -> Void
  ) -> [Float] {
    let n = tokens.first?.x.count ?? 0
    var out = [Float](repeating: .nan, count: tokens.count * stride)
    let x = tokens.flatMap(\.x), q = tokens.flatMap(\.q), scales = tokens.flatMap(\.scales)
    unsafe x.withUnsafeBufferPointer { x in
      unsafe q.withUnsafeBufferPointer { q in
        unsafe scales.withUnsafeBufferPointer { scales in
          let views = unsafe tokens.indices.map { token in
            unsafe duet_activations(
              x: x.baseAddress.map { unsafe $0 + token * n },
              q: q.baseAddress.map { unsafe $0 + token * n },
              scales: scales.baseAddress.map { unsafe $0 + token * (n / 32) })
          }
          unsafe body(views, &out)
        }
      }
    }
    return out
  }

  func normalize(_ x: [Float], weight: [Float], epsilon: Float) -> [Float] {
    var out = [Float](repeating: .nan, count: x.count)
    unsafe table.pointee.rms_norm(x, weight, x.count, epsilon, &out)
    return out
  }

  func normalizeInPlace(_ x: [Float], weight: [Float], epsilon: Float) -> [Float] {
    var out = x
    unsafe out.withUnsafeMutableBufferPointer { x in
      guard let base = x.baseAddress else { return }
      unsafe table.pointee.rms_norm(base, weight, x.count, epsilon, base)
    }
    return out
  }

  func rotate(_ x: [Float], cosines: [Float], sines: [Float], split: Bool) -> [Float] {
    var out = x
    unsafe table.pointee.rotate(&out, cosines.count * 2, cosines, sines, split)
    return out
  }

  func add(_ x: [Float], to out: [Float]) -> [Float] {
    var out = out
    unsafe table.pointee.add(x, x.count, &out)
    return out
  }

  func gate(_ activation: DecoderConfig.Activation, _ gate: [Float], up: [Float]) -> [Float] {
    var out = [Float](repeating: .nan, count: gate.count)
    switch activation {
    case .silu: unsafe table.pointee.silu_multiply(gate, up, gate.count, &out)
    case .gelu: unsafe table.pointee.gelu_multiply(gate, up, gate.count, &out)
    }
    return out
  }

  func argmax(_ x: [Float]) -> Int { unsafe table.pointee.argmax(x, x.count) }

  /// Attention of the heads of tokens whose queries lie `stride` apart, each over its span of `pages`: the
  /// kernel's state.
  func attend(
    _ query: [Float], heads: Int, stride: Int, pages: [TestPage], spans: [Range<Int>], scale: Float,
    softcap: Float = 0
  ) -> [Float] {
    guard let page = pages.first else { return [] }
    var state = [Float](repeating: .nan, count: spans.count * heads * (page.headSize + 2))
    let views = unsafe pages.map { unsafe duet_page(keys: $0.keys, values: $0.values) }
    let spans = spans.map { duet_span(first: UInt32($0.lowerBound), last: UInt32($0.upperBound)) }
    unsafe query.withUnsafeBufferPointer { query in
      unsafe spans.withUnsafeBufferPointer { spans in
        var about = unsafe duet_query(
          query: query.baseAddress, tokens: spans.count, stride: stride, spans: spans.baseAddress,
          heads: heads, head_size: page.headSize, scale: scale, softcap: softcap, type: page.type,
          following: views.last?.keys)
        unsafe table.pointee.attend(&about, views, &state)
      }
    }
    return state
  }

  /// Joins states of one head that lie `stride` floats apart.
  func combine(_ states: [Float], stride: Int, count: Int, headSize: Int) -> [Float] {
    var out = [Float](repeating: .nan, count: headSize)
    unsafe table.pointee.combine(states, stride, count, headSize, &out)
    return out
  }

  func store(key: [Float], value: [Float], slot: Int, in page: TestPage) {
    unsafe table.pointee.store(key, value, key.count, page.type, slot, page.keys, page.values)
  }
}

/// A page of one head's keys and values: all bits set, which is NaN in every type, until stored to.
@safe final class TestPage {
  let type: Int32
  let headSize: Int
  fileprivate let keys: UnsafeMutableRawPointer
  fileprivate let values: UnsafeMutableRawPointer

  init(type: TensorType, headSize: Int) {
    self.type = Int32(type.rawValue)
    self.headSize = headSize
    let bytes = duet_page_bytes(self.type, headSize)
    unsafe keys = .allocate(byteCount: bytes, alignment: 64)
    unsafe values = .allocate(byteCount: bytes, alignment: 64)
    unsafe keys.initializeMemory(as: UInt8.self, repeating: 0xff, count: bytes)
    unsafe values.initializeMemory(as: UInt8.self, repeating: 0xff, count: bytes)
  }

  deinit {
    unsafe keys.deallocate()
    unsafe values.deallocate()
  }
}
