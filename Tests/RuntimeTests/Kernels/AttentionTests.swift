import CKernels
import DuetRuntime
import Foundation
import Testing

/// Attention of every tier against a softmax in double precision over what the cache holds.
@Suite struct AttentionTests {
  struct Shape: CustomTestStringConvertible {
    let type: TensorType
    let headSize: Int
    var testDescription: String { "\(type.name), heads of \(headSize)" }
  }

  static let shapes =
    [16, 48, 64, 80, 96, 256].flatMap { size in
      [TensorType.f32, .f16].map { Shape(type: $0, headSize: size) }
    } + [32, 64, 96, 256].map { Shape(type: .q8_0, headSize: $0) } + [Shape(type: .f32, headSize: 10)]

  /// Keys and values of a context, as stored and as the pages hold them.
  private struct Context {
    var pages: [TestPage] = []
    var keys: [[Double]] = []
    var values: [[Double]] = []

    init(_ kernels: Kernels, _ shape: Shape, count: Int, _ random: inout SplitMix) {
      for position in 0..<count {
        if position % 64 == 0 { pages.append(TestPage(type: shape.type, headSize: shape.headSize)) }
        let key = randomFloats(shape.headSize, in: -2...2, &random)
        let value = randomFloats(shape.headSize, &random)
        kernels.store(key: key, value: value, slot: position % 64, in: pages[pages.count - 1])
        keys.append(Self.stored(key, shape.type, kernels))
        values.append(Self.stored(value, shape.type, kernels))
      }
    }

    private static func stored(_ x: [Float], _ type: TensorType, _ kernels: Kernels) -> [Double] {
      switch type {
      case .f16: return x.map { Double(Float16($0)) }
      case .q8_0:
        let a = kernels.quantize(x)
        return a.q.indices.map { Double(a.q[$0]) * Double(Float16(a.scales[$0 / 32].scale)) }
      default: return x.map(Double.init)
      }
    }

    /// The pages that `window` touches, and where it lies in them.
    func span(_ window: Range<Int>) -> (pages: [TestPage], span: Range<Int>) {
      let first = window.lowerBound / 64
      return (
        Array(pages[first...(window.upperBound - 1) / 64]),
        window.lowerBound - first * 64..<window.upperBound - first * 64
      )
    }

    func attention(_ query: ArraySlice<Float>, _ window: Range<Int>, scale: Float, softcap: Float) -> [Double]
    {
      let scores = window.map { position in
        let dot = zip(query, keys[position]).reduce(0) { $0 + Double($1.0) * $1.1 } * Double(scale)
        return softcap > 0 ? Double(softcap) * tanh(dot / Double(softcap)) : dot
      }
      let largest = scores.max() ?? 0
      let weights = scores.map { exp($0 - largest) }
      let total = weights.reduce(0, +)
      return (0..<query.count).map { index in
        zip(window, weights).reduce(0) { $0 + values[$1.0][index] * $1.1 } / total
      }
    }
  }

  private func attend(
    _ kernels: Kernels, _ context: Context, _ query: [Float], heads: Int, _ window: Range<Int>, scale: Float,
    softcap: Float = 0
  ) -> [Float] {
    let (pages, span) = context.span(window)
    return kernels.attend(
      query, heads: heads, stride: 0, pages: pages, spans: [span], scale: scale, softcap: softcap)
  }

  @Test(arguments: Kernels.all, shapes)
  func `attention is a softmax over the window`(_ kernels: Kernels, _ shape: Shape) {
    var random = SplitMix(seed: UInt64(shape.headSize))
    let context = Context(kernels, shape, count: 256, &random)
    let size = shape.headSize, scale = 1.5 / Float(size).squareRoot()
    let windows = [
      0..<1, 0..<31, 0..<33, 0..<64, 5..<6, 63..<65, 40..<200, 31..<97, 0..<256, 128..<192, 250..<256,
    ]
    for heads in 1...9 {
      let query = randomFloats(heads * size, in: -2...2, &random)
      for (index, window) in windows.enumerated() where heads < 4 || index % 3 == heads % 3 {
        for softcap in [0, 5] as [Float] {
          let states = attend(kernels, context, query, heads: heads, window, scale: scale, softcap: softcap)
          for head in 0..<heads {
            let state = Array(states[head * (size + 2)..<(head + 1) * (size + 2)])
            let out = kernels.combine(state, stride: size + 2, count: 1, headSize: size)
            let exact = context.attention(
              query[head * size..<(head + 1) * size], window, scale: scale, softcap: softcap)
            let error = zip(out, exact).map { abs(Double($0) - $1) }.max() ?? .infinity
            #expect(error < 2e-5, "head \(head) of \(heads), window \(window), softcap \(softcap)")
            #expect(!out.contains { $0.isNaN })
          }
        }
      }
    }
  }

  @Test(arguments: Kernels.all, shapes)
  func `a head's result does not depend on the others`(_ kernels: Kernels, _ shape: Shape) {
    var random = SplitMix(seed: 41)
    let context = Context(kernels, shape, count: 150, &random)
    let size = shape.headSize
    for heads in 2...9 {
      let query = randomFloats(heads * size, in: -2...2, &random)
      let all = attend(kernels, context, query, heads: heads, 3..<150, scale: 0.2)
      for head in 0..<heads {
        let part = Array(query[head * size..<(head + 1) * size])
        let alone = attend(kernels, context, part, heads: 1, 3..<150, scale: 0.2)
        #expect(
          identical(alone, Array(all[head * (size + 2)..<(head + 1) * (size + 2)])), "\(head) of \(heads)")
      }
    }
  }

  @Test(arguments: Kernels.all, shapes)
  func `a token's result does not depend on its neighbours, whatever each sees`(
    _ kernels: Kernels, _ shape: Shape
  ) {
    var random = SplitMix(seed: 43)
    // Behind the last position lie values that are no numbers.
    let context = Context(kernels, shape, count: 250, &random)
    let size = shape.headSize
    let causal = (243...250).map { 0..<$0 }, window = (60..<68).map { $0 - 40..<$0 + 1 }
    let mixed = [0..<1, 0..<0, 200..<250, 63..<65, 0..<250, 128..<128, 64..<128]
    for (heads, spans) in [(1, causal), (3, causal), (4, window), (2, mixed), (9, Array(window.prefix(3)))] {
      let stride = heads * size + 5
      let query = randomFloats(stride * spans.count, in: -2...2, &random)
      let all = kernels.attend(
        query, heads: heads, stride: stride, pages: context.pages, spans: spans, scale: 0.2, softcap: 3)
      let width = heads * (size + 2)
      for (token, span) in spans.enumerated() {
        let part = Array(query[token * stride..<token * stride + heads * size])
        let state = Array(all[token * width..<(token + 1) * width])
        let alone = kernels.attend(
          part, heads: heads, stride: 0, pages: context.pages, spans: [span], scale: 0.2, softcap: 3)
        #expect(identical(alone, state), "\(token) of \(spans)")
        if span.isEmpty { #expect(state[size] == -.infinity && state[size + 1] == 0) }
      }
    }
  }

  @Test(arguments: Kernels.all)
  func `segments join to the whole, even where one weighs nothing`(_ kernels: Kernels) {
    var random = SplitMix(seed: 42)
    let shape = Shape(type: .f32, headSize: 64)
    let context = Context(kernels, shape, count: 640, &random)
    for peak in [0.2, 3, 40] as [Float] {
      let query = randomFloats(64, in: -2...2, &random)
      var states: [Float] = []
      for window in [10..<256, 256..<512, 512..<640] {
        states += attend(kernels, context, query, heads: 1, window, scale: peak) + [.nan, .nan, .nan]
      }
      let out = kernels.combine(states, stride: 69, count: 3, headSize: 64)
      let exact = context.attention(query[...], 10..<640, scale: peak, softcap: 0)
      let error = zip(out, exact).map { abs(Double($0) - $1) }.max() ?? .infinity
      // The rounding of a score, which grows with it, is the error of its weight.
      #expect(error < 2e-5 * Double(max(1, peak * 8)), "scale \(peak)")
    }
  }

  @Test(arguments: Kernels.all)
  func `keys that are alike share evenly, and huge scores do not overflow`(_ kernels: Kernels) {
    let page = TestPage(type: .f32, headSize: 16)
    for slot in 0..<40 {
      kernels.store(
        key: [Float](repeating: 1e4, count: 16), value: [Float](repeating: Float(slot), count: 16),
        slot: slot, in: page)
    }
    for sign in [1, -1] as [Float] {
      let query = [Float](repeating: sign * 1e4, count: 16)
      let state = kernels.attend(query, heads: 1, stride: 0, pages: [page], spans: [0..<40], scale: 1)
      let out = kernels.combine(state, stride: 18, count: 1, headSize: 16)
      #expect(out.allSatisfy { abs($0 - 19.5) < 1e-4 })
    }
  }
}
