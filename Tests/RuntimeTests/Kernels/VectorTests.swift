import CKernels
import DuetRuntime
import Foundation
import Testing

/// Operations on vectors of every tier against the same in double precision.
@Suite struct VectorTests {
  private static let lengths = [2, 4, 6, 8, 10, 14, 16, 30, 48, 64, 66, 576]

  // MARK: Quantizing

  @Test(arguments: Kernels.all)
  func `quantizing rounds to the nearest of 255 steps`(_ kernels: Kernels) {
    var random = SplitMix(seed: 31)
    for n in [32, 64, 96, 576] {
      for magnitude in [1e-30, 1e-3, 1, 1e5, 1e30] as [Float] {
        let x = randomFloats(n, in: -magnitude...magnitude, &random)
        let a = kernels.quantize(x)
        for run in 0..<n / 32 {
          let range = run * 32..<run * 32 + 32
          let largest = x[range].map(abs).max() ?? 0
          #expect(abs(a.scales[run].scale - largest / 127) <= largest / 127 * 2e-7)
          for index in range {
            let error = abs(a.values[index] - Double(x[index]))
            #expect(error <= Double(a.scales[run].scale) * 0.50002)
          }
          let sums = [range.prefix(16), range.suffix(16)].map { $0.reduce(0) { $0 + Float(a.q[$1]) } }
          #expect(a.scales[run].half.0 == a.scales[run].scale * sums[0])
          #expect(a.scales[run].half.1 == a.scales[run].scale * sums[1])
          #expect(a.scales[run].middle.0 == Int32(-128 * sums[0]))
          #expect(a.scales[run].middle.1 == Int32(-128 * sums[1]))
        }
      }
    }
  }

  @Test(arguments: Kernels.all)
  func `ties go to even, and the largest value is 127`(_ kernels: Kernels) {
    let values: [Float] = [127, -127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 63.5, 126.5, -126.5, 0, -0.0]
    let a = kernels.quantize(values + [Float](repeating: 0, count: 32 - values.count))
    #expect(a.scales[0].scale == 1)
    #expect(a.q.prefix(13) == [127, -127, 0, 2, 2, 0, -2, -2, 64, 126, -126, 0, 0])
  }

  @Test(arguments: Kernels.all)
  func `a run that is not finite becomes zeros, its neighbours do not`(_ kernels: Kernels) {
    for bad in [Float.nan, -.nan, .infinity, -.infinity, .greatestFiniteMagnitude * 2] {
      for place in [0, 7, 16, 31] {
        var x = [Float](repeating: 1, count: 96)
        x[32 + place] = bad
        let a = kernels.quantize(x)
        #expect(a.q[..<32].allSatisfy { $0 == 127 } && a.q[64...].allSatisfy { $0 == 127 })
        #expect(a.q[32..<64].allSatisfy { $0 == 0 })
        #expect(a.scales[1].scale == 0 && a.scales[1].half.0 == 0 && a.scales[1].half.1 == 0)
      }
    }
  }

  @Test(arguments: Kernels.all)
  func `zeros and subnormals are harmless`(_ kernels: Kernels) {
    for value in [0, -0.0, .leastNonzeroMagnitude, 0x1p-130, 1e-37, .leastNormalMagnitude] as [Float] {
      let a = kernels.quantize([Float](repeating: value, count: 32))
      #expect(a.scales[0].scale.isFinite && a.scales[0].half.0.isFinite)
      #expect(a.q.allSatisfy { (-127...127).contains($0) })
      #expect(abs(a.values[0] - Double(value)) <= Double(value) + 1e-45)
    }
  }

  // MARK: Norms, rotation, sums

  @Test(arguments: Kernels.all)
  func `norms are those of double precision`(_ kernels: Kernels) {
    var random = SplitMix(seed: 32)
    for n in Self.lengths + [1, 3, 7, 9, 17, 33] {
      let x = randomFloats(n, in: -3...3, &random), weight = randomFloats(n, &random)
      let mean = x.reduce(0) { $0 + Double($1) * Double($1) } / Double(n)
      let out = kernels.normalize(x, weight: weight, epsilon: 1e-5)
      for index in 0..<n {
        let expected = Double(x[index]) / (mean + 1e-5).squareRoot() * Double(weight[index])
        #expect(abs(Double(out[index]) - expected) <= 2e-6 * abs(expected), "n \(n)")
      }
      #expect(identical(kernels.normalizeInPlace(x, weight: weight, epsilon: 1e-5), out))
    }
    #expect(kernels.normalize([0, 0, 0], weight: [1, 1, 1], epsilon: 1e-6) == [0, 0, 0])
  }

  @Test(arguments: Kernels.all, [true, false])
  func `pairs are rotated and the rest is left alone`(_ kernels: Kernels, _ split: Bool) {
    var random = SplitMix(seed: 33)
    for n in Self.lengths {
      let x = randomFloats(n + 5, &random)
      let angles = randomFloats(n / 2, in: -100...100, &random).map(Double.init)
      let out = kernels.rotate(
        x, cosines: angles.map { Float(cos($0)) }, sines: angles.map { Float(sin($0)) }, split: split)
      for (pair, angle) in angles.enumerated() {
        let (left, right) = split ? (pair, pair + n / 2) : (2 * pair, 2 * pair + 1)
        let (a, b) = (Double(x[left]), Double(x[right]))
        #expect(abs(Double(out[left]) - (a * cos(angle) - b * sin(angle))) < 3e-7, "n \(n)")
        #expect(abs(Double(out[right]) - (a * sin(angle) + b * cos(angle))) < 3e-7, "n \(n)")
      }
      #expect(identical(Array(out[n...]), Array(x[n...])))
    }
  }

  @Test(arguments: Kernels.all)
  func `sums are exact`(_ kernels: Kernels) {
    var random = SplitMix(seed: 34)
    for n in 0...40 {
      let x = randomFloats(n, &random), y = randomFloats(n, &random)
      #expect(identical(kernels.add(x, to: y), zip(x, y).map { $1 + $0 }))
    }
  }

  // MARK: Activations

  private static let gates: [Float] = [
    0, -0.0, 1e-30, -1e-30, 0.5, -0.5, 1, -1, 3, -3, 5.5, -5.5, 9, -9, 20, -20, 60, -60, 87, -87, 88.5, -88.5,
    89, -89, 103, -103, 200, -200, 1e4, -1e4, 1e18, -1e18, 1e30,
  ]

  private func check(
    _ kernels: Kernels, _ activation: DecoderConfig.Activation, _ expected: (Double) -> Double
  ) {
    var random = SplitMix(seed: 35)
    let gates = Self.gates + randomFloats(600, in: -12...12, &random)
    for n in [1, 5, 8, 13, gates.count] {
      let gate = Array(gates.suffix(n)), up = randomFloats(n, in: 0.5...2, &random)
      let out = kernels.gate(activation, gate, up: up)
      for index in 0..<n {
        let exact = expected(Double(gate[index])) * Double(up[index])
        // The tanh of large negative arguments is 1 less its rounding, as in the readable twin.
        let error = abs(Double(out[index]) - exact)
        #expect(error <= 1e-6 * abs(exact) + 7e-7 * min(1, abs(Double(gate[index]))), "\(gate[index])")
      }
    }
    let odd = kernels.gate(activation, [.nan, 1, .nan], up: [1, .nan, 0])
    #expect(odd.allSatisfy { $0.isNaN })
  }

  @Test(arguments: Kernels.all)
  func `silu is that of double precision, however large its argument`(_ kernels: Kernels) {
    check(kernels, .silu) { $0 / (1 + exp(-$0)) }
  }

  @Test(arguments: Kernels.all)
  func `gelu is that of double precision, however large its argument`(_ kernels: Kernels) {
    check(kernels, .gelu) {
      0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0)))
    }
  }

  // MARK: The largest

  @Test(arguments: Kernels.all)
  func `the first of the largest is found at every place`(_ kernels: Kernels) {
    var random = SplitMix(seed: 36)
    for n in 1...40 {
      for place in 0..<n {
        var x = randomFloats(n, &random)
        x[place] = 2
        #expect(kernels.argmax(x) == place)
        x[n - 1] = 2
        #expect(kernels.argmax(x) == place)
      }
    }
  }

  @Test(arguments: Kernels.all)
  func `what is not a number never wins`(_ kernels: Kernels) {
    for n in [1, 7, 8, 9, 16, 33] {
      #expect(kernels.argmax([Float](repeating: .nan, count: n)) == 0)
      #expect(kernels.argmax([Float](repeating: -.infinity, count: n)) == 0)
      for place in 0..<n {
        var x = [Float](repeating: .nan, count: n)
        x[place] = -3
        #expect(kernels.argmax(x) == place)
      }
    }
    #expect(kernels.argmax([.nan, -.infinity, .infinity, .infinity]) == 2)
  }
}
