import DuetRuntime
import Testing

/// Products of a whole matrix with many tokens, which panels and blocks of tokens divide.
@Suite struct BlockedProductTests {
  static let shapes = [
    // Several groups of panels and blocks of tokens, of both the last one short.
    (type: TensorType.q4_K, columns: 2_048, rows: 150, tokens: 93),
    (.q8_0, 2_048, 150, 93), (.q5_1, 576, 150, 157), (.f32, 576, 150, 61), (.bf16, 600, 35, 61),
    // Rows longer than a group may be.
    (.q4_0, 8_192, 33, 19), (.f16, 8_192, 33, 19),
    // Two panels are left of the second group.
    (.q4_1, 256, 118, 21),
    (.q6_K, 256, 3, 1),
    // Runs that share a scale stay together where they are taken in parts.
    (.q5_K, 1_280, 40, 21), (.q6_K, 2_304, 35, 21), (.iq4_xs, 1_280, 40, 21),
  ]

  @Test(arguments: Kernels.all, shapes)
  func `a matrix in groups and blocks gives bit for bit what panels alone give`(
    _ kernels: Kernels, _ shape: (type: TensorType, columns: Int, rows: Int, tokens: Int)
  ) throws {
    var random = SplitMix(seed: UInt64(shape.type.rawValue) + 40)
    let (type, n, rows) = (shape.type, shape.columns, shape.rows), width = shape.type.rowBytes(n)
    let weights = RandomWeights.rows(rows, of: n, type, &random)
    let vectors = (0..<shape.tokens).map { _ in randomFloats(n, &random) }
    var file = GGUFBuilder()
    file.tensors.append(.init(name: "w", shape: [n, rows], type: type.rawValue, bytes: weights))
    let matrix = try Matrix(#require(file.open()["w"]))
    let operations = try Operations(tier: kernels.testDescription)
    let x = Activations(capacity: shape.tokens, width: n, panels: operations)
    for (token, vector) in vectors.enumerated() {
      for (index, value) in vector.enumerated() { x.values[token * n + index] = value }
    }
    // Whole tiles and parts of them.
    for part in [0..<min(3, shape.tokens), min(3, shape.tokens)..<shape.tokens] {
      x.quantize(part, forPanels: true, operations)
    }
    let stride = rows + 5, out = FloatBuffer([Float](repeating: .nan, count: shape.tokens * stride))
    let scratch = FloatBuffer(count: operations.panelScratch(columns: n))
    // From a row on that is no panel's first, as chunks of work may.
    for part in [0..<min(1, rows), min(1, rows)..<rows] {
      operations.multiplyPanels(
        matrix, rows: part, x, tokens: shape.tokens, scratch: scratch,
        out: Pixels(out, stride: stride, from: part.lowerBound))
    }
    let tokens = vectors.map { kernels.quantize($0) }
    for first in Swift.stride(from: 0, to: rows, by: kernels.panelRows) {
      let count = min(kernels.panelRows, rows - first)
      let bytes = Array(weights[first * width..<(first + count) * width])
      let expected = kernels.multiply(type, bytes, rows: count, tokens, stride: count)
      for token in tokens.indices {
        let start = token * stride + first
        #expect(
          identical(out.array(start..<start + count), Array(expected[token * count..<(token + 1) * count])),
          "rows from \(first), token \(token)")
      }
    }
    for token in tokens.indices {
      let end = (token + 1) * stride
      #expect(out.array(end - 5..<end).allSatisfy { $0.isNaN }, "writes beyond")
    }
  }

  @Test(arguments: Kernels.all, [TensorType.q8_0, .q4_1, .f16])
  func `a layer packed once gives what it gives packed for each use, of tiles made a part at a time`(
    _ kernels: Kernels, _ type: TensorType
  ) throws {
    var random = SplitMix(seed: UInt64(type.rawValue) + 90)
    let (n, rows, tokens, stride) = (160, 3 * kernels.panelRows + 5, 43, 90)
    let first = kernels.panelRows, count = rows - first
    var file = GGUFBuilder()
    let weights = RandomWeights.rows(rows, of: n, type, &random)
    file.tensors.append(.init(name: "w", shape: [n, rows], type: type.rawValue, bytes: weights))
    let layer = LinearLayer(
      try Matrix(#require(file.open()["w"])), bias: FloatBuffer(randomFloats(rows, &random)))
    let operations = try Operations(tier: kernels.testDescription), packed = layer.packed(by: operations)
    let (x, y) = (
      Activations(capacity: tokens, width: n, panels: operations),
      Activations(capacity: tokens, width: n, panels: operations)
    )
    for (index, value) in randomFloats(tokens * n, &random).enumerated() {
      (x.values[index], y.values[index]) = (value, value)
    }
    x.quantize(0..<tokens, forPanels: true, operations)
    for part in [0..<32, 32..<128, 128..<160] { y.makeTiles(0..<tokens, within: part, operations) }
    let (a, b) = (FloatBuffer(count: tokens * stride), FloatBuffer(count: tokens * stride))
    let scratch = FloatBuffer(count: operations.scratch(layer))
    operations.apply(
      layer, rows: first..<rows, x, tokens: 0..<tokens, finish: .relu6, scratch: scratch,
      out: Pixels(a, stride: stride))
    operations.apply(
      packed, rows: first..<rows, y, tokens: 0..<tokens, finish: .relu6, scratch: nil,
      out: Pixels(b, stride: stride))
    for token in 0..<tokens {
      let range = token * stride..<token * stride + count
      #expect(identical(a.array(range), b.array(range)), "token \(token)")
      #expect(a.array(range).contains { $0 > 0 })
    }
  }
}
