import CKernels
import DuetRuntime
import Testing

/// Products of weights and activations, against sums in double precision of the same numbers.
@Suite struct ProductTests {
  static let types = TensorType.allCases.filter(\.isWeight)

  /// One row's product in double precision, and the sum of the magnitudes of all that is added.
  private func exact(
    _ type: TensorType, _ row: [UInt8], _ a: QuantizedVector, inFloat: Bool
  ) throws -> (value: Double, magnitude: Double) {
    let x = inFloat || !type.isQuantized ? a.x.map(Double.init) : a.values
    let weights: [(value: Double, magnitude: Double)]
    if let runs = unpackRuns(row, type: type), !inFloat {
      weights = runs.flatMap { run in
        zip(run.values, run.q.indices).map { value, index in
          let minimum = Double(run.minimum[index / 16])
          return (value, abs(value - minimum) + abs(minimum))
        }
      }
    } else {
      weights = try #require(genericDequantize(row, type: type)).map { (Double($0), Double(abs($0))) }
    }
    return zip(weights, x).reduce((0, 0)) { ($0.0 + $1.0.value * $1.1, $0.1 + $1.0.magnitude * abs($1.1)) }
  }

  /// The largest whole number of the formats whose weights a tier may round to 8 bits in panels.
  private static let largest: [TensorType: Float] = [
    .q2_K: 3, .q3_K: 7, .q4_K: 15, .q5_K: 31, .q6_K: 63, .iq4_xs: 127,
  ]

  /// What rounding the weights of a panel to multiples of one scale for 128 of them may change of a row's product.
  private func rounding(_ kernels: Kernels, _ type: TensorType, _ row: [UInt8], _ a: QuantizedVector)
    -> Double
  {
    guard kernels.testDescription == "avx512", let most = Self.largest[type],
      let runs = unpackRuns(row, type: type)
    else { return 0 }
    return stride(from: 0, to: runs.count, by: 4).reduce(0) { total, first in
      let range = runs[first..<first + 4].flatMap { run in
        zip(run.scale, run.minimum).flatMap { [abs($1), abs($0 * most + $1)] }
      }
      let step = Double(range.max() ?? 0) / 127
      return total + 0.56 * step * a.values[first * 32..<(first + 4) * 32].reduce(0) { $0 + abs($1) }
    }
  }

  /// A sum of n terms in single precision, eight lanes or more at a time.
  private static let bound = 4e-6

  @Test(arguments: Kernels.all, types)
  func `dot products are those of the formats`(_ kernels: Kernels, _ type: TensorType) throws {
    var random = SplitMix(seed: UInt64(type.rawValue) + 1)
    for n in RandomWeights.columns(type) + (type.isQuantized ? [] : [1, 7, 33, 100]) {
      let a = kernels.quantize(randomFloats(n, &random))
      for rows in 1...9 {
        let weights = RandomWeights.rows(rows, of: n, type, &random)
        let width = type.rowBytes(n)
        for inFloat in [false, true] {
          let out = kernels.dot(type, weights, rows: rows, a, inFloat: inFloat)
          for row in 0..<rows {
            let bytes = Array(weights[row * width..<(row + 1) * width])
            let expected = try exact(type, bytes, a, inFloat: inFloat)
            #expect(
              abs(Double(out[row]) - expected.value) <= Self.bound * expected.magnitude,
              "n \(n), row \(row) of \(rows), float: \(inFloat)")
            #expect(identical(kernels.dot(type, bytes, rows: 1, a, inFloat: inFloat), [out[row]]))
          }
        }
      }
    }
  }

  @Test(arguments: Kernels.all, types.filter { $0.isQuantized && $0.blockLength == 32 })
  func `what a call leaves behind in memory does not reach the next`(_ kernels: Kernels, _ type: TensorType) {
    var random = SplitMix(seed: 77)
    let long = 256 * 32, short = 6 * 32
    var poison = kernels.quantize(randomFloats(long, &random))
    for index in poison.scales.indices {
      poison.scales[index] = duet_run_scale(scale: .nan, half: (.nan, .nan), middle: (.min, .min))
    }
    let vectors = (0..<4).map { _ in kernels.quantize(randomFloats(short, &random)) }
    let longRow = RandomWeights.rows(1, of: long, type, &random)
    let shortRow = RandomWeights.rows(1, of: short, type, &random)
    let left = kernels.dotColumns(type, longRow, rows: 1, Array(repeating: poison, count: 4), stride: 1)
    let next = kernels.dotColumns(type, shortRow, rows: 1, vectors, stride: 1)
    #expect(left.filter { $0.isNaN }.count == left.count)
    #expect(next.filter { $0.isFinite }.count == next.count)
  }

  @Test(arguments: Kernels.all, types)
  func `panels give the products for every number of rows and tokens`(
    _ kernels: Kernels, _ type: TensorType
  ) throws {
    var random = SplitMix(seed: UInt64(type.rawValue) + 100)
    for n in RandomWeights.columns(type).prefix(4) {
      let tokens = (0..<17).map { _ in kernels.quantize(randomFloats(n, &random)) }
      for rows in 1...kernels.panelRows {
        let weights = RandomWeights.rows(rows, of: n, type, &random)
        let expected = try tokens.map { token in
          try (0..<rows).map { row in
            let bytes = Array(weights[row * type.rowBytes(n)..<(row + 1) * type.rowBytes(n)])
            let (value, magnitude) = try exact(type, bytes, token, inFloat: false)
            return (value, Self.bound * magnitude + rounding(kernels, type, bytes, token))
          }
        }
        for count in 1...17 {
          let stride = rows + 3
          let out = kernels.multiply(type, weights, rows: rows, Array(tokens.prefix(count)), stride: stride)
          for token in 0..<count {
            for row in 0..<rows {
              let (value, allowed) = expected[token][row]
              let error = abs(Double(out[token * stride + row]) - value)
              #expect(error <= allowed, "n \(n), \(rows) rows, \(count) tokens: \(token), \(row)")
            }
            #expect(
              out[(token * stride + rows)..<(token + 1) * stride].allSatisfy { $0.isNaN }, "writes beyond")
          }
        }
      }
    }
  }

  /// Tokens of one value each read a panel's weights back, exactly but for what packing rounded.
  @Test(arguments: Kernels.all, types.filter { $0.blockLength == 256 })
  func `weights are rounded to the nearest step`(_ kernels: Kernels, _ type: TensorType) throws {
    guard kernels.testDescription == "avx512" else { return }
    var random = SplitMix(seed: UInt64(type.rawValue) + 300)
    let n = 256, rows = 16, weights = RandomWeights.rows(rows, of: n, type, &random)
    let most = try #require(Self.largest[type])
    let tokens = (0..<n).map { place in
      kernels.quantize((0..<n).map { $0 == place ? 127 : 0 })
    }
    let out = kernels.multiply(type, weights, rows: rows, tokens, stride: rows)
    var errors: [Double] = []
    for row in 0..<rows {
      let bytes = Array(weights[row * type.rowBytes(n)..<(row + 1) * type.rowBytes(n)])
      let runs = try #require(unpackRuns(bytes, type: type)), values = runs.flatMap(\.values)
      for place in 0..<n {
        let shared = runs[place / 128 * 4..<place / 128 * 4 + 4]
        let range = shared.flatMap { run in
          zip(run.scale, run.minimum).flatMap { [abs($1), abs($0 * most + $1)] }
        }
        let step = Double(range.max() ?? 0) / 127
        if step > 0 { errors.append((Double(out[place * rows + row]) / 127 - values[place]) / step) }
      }
    }
    let count = Double(errors.count), mean = errors.reduce(0, +) / count
    let deviation = (errors.reduce(0) { $0 + $1 * $1 } / count).squareRoot()
    #expect(count > 2_000 && errors.allSatisfy { abs($0) <= 0.56 })
    #expect(abs(mean) < 0.05 && deviation < 0.33, "\(mean), \(deviation)")
  }

  /// What a damaged file may hold in place of a block's scales.
  @Test(arguments: Kernels.all, types.filter { $0.blockLength == 256 })
  func `scales that are nothing give nothing, and those that are no numbers no number`(
    _ kernels: Kernels, _ type: TensorType
  ) {
    var random = SplitMix(seed: UInt64(type.rawValue) + 700)
    let n = 256, scales: [Float16] = [0, .nan, .infinity, 0x1p-24, 0.01], rows = scales.count
    var weights = RandomWeights.rows(rows, of: n, type, &random)
    for (row, scale) in scales.enumerated() {
      for offset in RandomWeights.scaleOffsets(of: type) {
        let start = row * type.rowBytes(n) + offset
        weights.replaceSubrange(
          start..<start + 2, with: [UInt8(scale.bitPattern & 255), UInt8(scale.bitPattern >> 8)])
      }
    }
    let tokens = (0..<3).map { _ in kernels.quantize(randomFloats(n, &random)) }
    let out = kernels.multiply(type, weights, rows: rows, tokens, stride: rows)
    for token in tokens.indices {
      let products = Array(out[token * rows..<(token + 1) * rows])
      #expect(products[0] == 0)
      #expect(!products[1].isFinite && !products[2].isFinite, "\(products)")
      #expect(products[3].isFinite && abs(products[3]) < 1 && products[4].isFinite)
    }
  }

  @Test(arguments: Kernels.all, types)
  func `vectors that a thread keeps are those it multiplies by`(_ kernels: Kernels, _ type: TensorType) throws
  {
    var random = SplitMix(seed: UInt64(type.rawValue) + 800)
    let n = 512, rows = 12, operations = try Operations(tier: kernels.testDescription)
    let weights = RandomWeights.rows(2 * rows, of: n, type, &random)
    var file = GGUFBuilder()
    file.tensors.append(.init(name: "w", shape: [n, 2 * rows], type: type.rawValue, bytes: weights))
    let matrix = try Matrix(#require(file.open()["w"]))
    let products = RowProducts(operations, threads: 2)
    for count in [1, 3, 4, 8, 8, 2, 8] {
      // The same buffers with other values, as from layer to layer.
      let x = Activations(capacity: 8, width: n), out = FloatBuffer(count: 8 * 2 * rows)
      for _ in 0..<2 {
        let vectors = (0..<count).map { _ in randomFloats(n, &random) }
        for (index, value) in vectors.joined().enumerated() { x.values[index] = value }
        x.quantize(0..<count, operations)
        products.prepare([(matrix, out)], x, tokens: count, precision: .int8)
        for (worker, part) in [(0, 0..<5), (1, 5..<11), (0, 11..<2 * rows)] {
          products.multiply(0, part, worker: worker)
        }
        for (token, vector) in vectors.enumerated() {
          let expected = kernels.dot(type, weights, rows: 2 * rows, kernels.quantize(vector))
          #expect(identical(out.array(token * 2 * rows..<(token + 1) * 2 * rows), expected))
        }
      }
    }
  }

  @Test(arguments: Kernels.all, types)
  func `a token's products do not depend on its neighbours in the panel`(
    _ kernels: Kernels, _ type: TensorType
  ) {
    var random = SplitMix(seed: 3)
    let n = 512, rows = kernels.panelRows
    let weights = RandomWeights.rows(rows, of: n, type, &random)
    let tokens = (0..<13).map { _ in kernels.quantize(randomFloats(n, &random)) }
    let all = kernels.multiply(type, weights, rows: rows, tokens, stride: rows)
    for (index, token) in tokens.enumerated() {
      let alone = kernels.multiply(type, weights, rows: rows, [token], stride: rows)
      #expect(identical(alone, Array(all[index * rows..<(index + 1) * rows])))
    }
  }

  @Test(arguments: Kernels.all, types)
  func `several columns are bit for bit what each is alone`(_ kernels: Kernels, _ type: TensorType) {
    var random = SplitMix(seed: UInt64(type.rawValue) + 200)
    // The longest is more than a kernel multiplies at a time, and no whole number of its steps.
    for n in RandomWeights.columns(type) + [type.blockLength == 256 ? 8_448 : 8_288] {
      let rows = n > 8_000 ? 3 : 37, stride = rows + 2
      let weights = RandomWeights.rows(rows, of: n, type, &random)
      let tokens = (0..<16).map { _ in kernels.quantize(randomFloats(n, &random)) }
      let alone = tokens.map { kernels.dot(type, weights, rows: rows, $0) }
      for count in [1, 2, 3, 4, 5, 7, 8, 11, 16] {
        let out = kernels.dotColumns(type, weights, rows: rows, Array(tokens.prefix(count)), stride: stride)
        for token in 0..<count {
          let start = token * stride
          #expect(identical(alone[token], Array(out[start..<start + rows])), "n \(n), \(token) of \(count)")
          #expect(out[(start + rows)..<(start + stride)].allSatisfy { $0.isNaN }, "writes beyond")
        }
      }
    }
  }

  @Test(arguments: Kernels.all, types.filter(\.isQuantized))
  func `the largest weights times the largest activations do not overflow`(
    _ kernels: Kernels, _ type: TensorType
  ) throws {
    let n = 256
    for sign in [1, -1] as [Float] {
      for pattern in [0x00, 0xff, 0x7f, 0x80] as [UInt8] {
        var random = SplitMix(seed: 4)
        let block = RandomWeights.rows(1, of: n, type, filledWith: pattern, &random)
        let a = kernels.quantize([Float](repeating: sign, count: n))
        let expected = try exact(type, block, a, inFloat: false)
        let dot = kernels.dot(type, block, rows: 1, a)
        let columns = kernels.dotColumns(type, block, rows: 1, [a, a, a, a, a], stride: 1)
        let panel = kernels.multiply(type, block, rows: 1, [a, a, a, a, a], stride: 1)
        let bound = Self.bound * expected.magnitude
        for value in dot + columns {
          #expect(abs(Double(value) - expected.value) <= bound, "pattern \(pattern)")
        }
        for value in panel {
          let allowed = bound + rounding(kernels, type, block, a)
          #expect(abs(Double(value) - expected.value) <= allowed, "pattern \(pattern)")
        }
      }
    }
  }
}
