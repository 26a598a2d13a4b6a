import CKernels
import Testing

/// Kernels of the picture encoders: every tier against the readable twin. What a kernel is to write is
/// NaN before.
struct VisionKernelTests {
  static let fast: [String] = ["avx2", "avx512", "neon"].filter { (name: String) in
    unsafe duet_select(name) != nil
  }
  static let finishes = [
    DUET_FINISH_NONE, DUET_FINISH_RELU6, DUET_FINISH_GELU_TANH, DUET_FINISH_GELU_ERF, DUET_FINISH_GELU_QUICK,
    DUET_FINISH_SILU,
  ]

  private func values(_ count: Int, _ seed: UInt64, scale: Float = 3) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (Float(state >> 40) / Float(1 << 23) - 1) * scale
    }
  }

  private func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
    zip(a, b).map { $0.isNaN && $1.isNaN ? 0 : abs($0 - $1) }.reduce(0) { $1.isNaN ? .infinity : max($0, $1) }
  }

  private func finished(_ tier: String, _ finish: duet_finish, rows: Int, residual: Bool) -> [Float] {
    guard let table = unsafe duet_select(tier) else { return [] }
    var out = values(40 * 5, 1, scale: 8)
    let bias = values(rows, 2), added = values(40 * 5, 3)
    unsafe table.pointee.finish(finish, &out, rows, 40, 5, bias, residual ? added : nil, 40)
    return out
  }

  @Test(arguments: fast)
  func finishesAgree(tier: String) {
    for finish in Self.finishes {
      for rows in [1, 7, 8, 32, 37] {
        for residual in [false, true] {
          let want = finished("generic", finish, rows: rows, residual: residual)
          let got = finished(tier, finish, rows: rows, residual: residual)
          #expect(largestDifference(want, got) < 4e-6, "finish \(finish.rawValue), \(rows) rows")
        }
      }
    }
  }

  private struct Case: CustomTestStringConvertible {
    let width: Int, height: Int, channels: Int, kernel: Int, step: Int
    var testDescription: String { "\(width) x \(height) x \(channels), \(kernel) by \(step)" }
  }

  private static let cases = [
    Case(width: 9, height: 7, channels: 8, kernel: 3, step: 1),
    Case(width: 10, height: 8, channels: 24, kernel: 3, step: 2),
    Case(width: 14, height: 14, channels: 40, kernel: 5, step: 1),
    Case(width: 13, height: 14, channels: 16, kernel: 5, step: 2),
    Case(width: 2, height: 1, channels: 8, kernel: 5, step: 1),
    Case(width: 6, height: 6, channels: 5, kernel: 3, step: 1),
    Case(width: 14, height: 14, channels: 32, kernel: 5, step: 1),
    Case(width: 28, height: 9, channels: 16, kernel: 3, step: 2),
    Case(width: 15, height: 6, channels: 48, kernel: 3, step: 1),
    Case(width: 3, height: 3, channels: 16, kernel: 3, step: 2),
  ]

  private func convolved(_ tier: String, _ test: Case, together: Int = 1) -> [Float] {
    guard let table = unsafe duet_select(tier) else { return [] }
    let outWidth = (test.width + test.step - 1) / test.step,
      outHeight = (test.height + test.step - 1) / test.step
    let stride = test.channels + 3
    var out = [Float](repeating: .nan, count: outWidth * outHeight * stride)
    // Weights of more channels than are computed.
    let taps = test.channels + 5, weights = values(test.kernel * test.kernel * taps, 4, scale: 0.5),
      bias = values(test.channels, 5)
    let pixels = values(test.width * test.height * stride, 6)
    let before = test.kernel / 2
    unsafe weights.withUnsafeBufferPointer { weights in
      unsafe bias.withUnsafeBufferPointer { bias in
        unsafe out.withUnsafeMutableBufferPointer { out in
          guard let base = out.baseAddress else { return }
          var about = unsafe duet_depthwise(
            width: test.width, height: test.height, channels: test.channels, stride: stride,
            kernel: test.kernel,
            step: test.step, left: before, top: before, weights: weights.baseAddress, tap_stride: taps,
            bias: bias.baseAddress)
          for row in Swift.stride(from: 0, to: outHeight, by: together) {
            unsafe table.pointee.depthwise(
              &about, pixels, row, min(together, outHeight - row), base + row * outWidth * stride, outWidth,
              stride)
          }
        }
      }
    }
    return out
  }

  @Test(arguments: fast)
  func depthwiseConvolutionsAgree(tier: String) {
    for test in Self.cases {
      let want = convolved("generic", test), got = convolved(tier, test)
      #expect(largestDifference(want, got) < 2e-5, "\(test.testDescription)")
      for together in 2...4 {
        #expect(
          largestDifference(got, convolved(tier, test, together: together)) == 0,
          "\(test.testDescription), \(together) rows")
      }
      // The gaps between pixels are left alone.
      #expect(want.filter(\.isNaN).count == got.filter(\.isNaN).count)
    }
  }

  @Test(arguments: fast)
  func pointwiseConvolutionsAgree(tier: String) {
    guard let generic = unsafe duet_select("generic"), let fast = unsafe duet_select(tier) else { return }
    for (rows, count) in [(16, 27), (8, 16), (24, 33), (5, 7), (40, 144)] {
      let panels = (rows + 15) / 16
      var packed = [Float](repeating: .nan, count: panels * count * 16)
      unsafe duet_pack_pointwise(values(rows * (count + 2), 13), rows, count, count + 2, &packed)
      let bias = values(panels * 16, 14), x = values(57 * (count + 3), 15), added = values(57 * 43, 16)
      for finish in [DUET_FINISH_NONE, DUET_FINISH_RELU6, DUET_FINISH_SILU] {
        for tokens in [1, 5, 6, 17, 25, 28, 57] {
          var a = [Float](repeating: .nan, count: 57 * 43), b = a
          unsafe generic.pointee.pointwise(
            packed, rows, count, bias, finish, x, count + 3, tokens, added, 43, &a, 43)
          unsafe fast.pointee.pointwise(
            packed, rows, count, bias, finish, x, count + 3, tokens, added, 43, &b, 43)
          #expect(largestDifference(a, b) < 1e-3 && a.filter(\.isNaN).count == b.filter(\.isNaN).count)
        }
      }
    }
  }

  @Test(arguments: fast)
  func normsAndSoftmaxAgree(tier: String) {
    guard let generic = unsafe duet_select("generic"), let fast = unsafe duet_select(tier) else { return }
    for count in [1, 5, 8, 64, 100, 1_152] {
      let x = values(count, 7), weight = values(count, 8), bias = values(count, 9)
      var a = [Float](repeating: .nan, count: count), b = a, soft = x, same = x
      unsafe generic.pointee.layer_norm(x, weight, bias, count, 1e-5, &a)
      unsafe fast.pointee.layer_norm(x, weight, bias, count, 1e-5, &b)
      unsafe generic.pointee.softmax(&soft, count, 0.7)
      unsafe fast.pointee.softmax(&same, count, 0.7)
      #expect(largestDifference(a, b) < 2e-5)
      #expect(largestDifference(soft, same) < 1e-6)
    }
  }

  /// Queries, keys and values of one head of two, by the definition.
  @Test(arguments: ["generic"] + fast)
  func attentionIsThatOfTheDefinition(tier: String) {
    guard let table = unsafe duet_select(tier) else { return }
    let tokens = 21, size = 12, stride = 2 * size, queries = 5
    let query = values(tokens * stride, 10), key = values(tokens * stride, 11),
      value = values(size * tokens, 12)
    let room = unsafe duet_full_attention_scratch(table, queries, tokens, size)
    var scratch = [Float](repeating: .nan, count: room),
      out = [Float](repeating: .nan, count: queries * stride)
    unsafe query.withUnsafeBufferPointer { query in
      unsafe key.withUnsafeBufferPointer { key in
        unsafe value.withUnsafeBufferPointer { value in
          var about = unsafe duet_full_attention(
            query: query.baseAddress, key: key.baseAddress, value: value.baseAddress, queries: queries,
            tokens: tokens, head_size: size, stride: stride, scale: 0.3)
          unsafe duet_attend_fully(table, &about, &scratch, &out, stride)
        }
      }
    }
    for position in 0..<queries {
      let scores = (0..<tokens).map { token in
        (0..<size).reduce(0.0) {
          $0 + Double(query[position * stride + $1]) * Double(key[token * stride + $1])
        } * 0.3
      }
      let top = scores.max() ?? 0, shares = scores.map { exponential($0 - top) }, total = shares.reduce(0, +)
      for index in 0..<size {
        let want = (0..<tokens).reduce(0.0) { $0 + shares[$1] / total * Double(value[index * tokens + $1]) }
        #expect(abs(Double(out[position * stride + index]) - want) < 1e-5)
      }
    }
  }
}

/// The exponential, by its series: the tests need no other mathematics.
private func exponential(_ x: Double) -> Double {
  var term = 1.0, sum = 1.0
  let reduced = x / 64
  for index in 1..<20 {
    term *= reduced / Double(index)
    sum += term
  }
  var result = sum
  for _ in 0..<6 { result *= result }
  return result
}
