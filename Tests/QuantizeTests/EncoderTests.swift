import CKernels
import DuetRuntime
import Foundation
import Testing

/// What tools/reference/record_quantized.py recorded.
private enum Recorded {
  static func bytes(_ name: String) throws -> [UInt8] {
    let url = try #require(Bundle.module.url(forResource: "Fixtures", withExtension: nil))
    return [UInt8](try Data(contentsOf: url.appendingPathComponent(name)))
  }

  static func floats(_ name: String) throws -> [Float] {
    let bytes = try bytes(name)
    return stride(from: 0, to: bytes.count, by: 4).map { start in
      Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) })
    }
  }

  struct Errors: Decodable {
    let plain: Double
    let weighted: Double
    let weightedBySize: Double
  }

  static func errors() throws -> [String: Errors] {
    try JSONDecoder().decode([String: Errors].self, from: Data(try bytes("errors.json")))
  }
}

private let tiers = ["generic", "avx2"].filter { (name: String) in unsafe duet_select_encoders(name) != nil }
private let columns = 512

/// The blocks of rows of `columns` values.
private func encoded(
  _ type: TensorType, _ values: [Float], weights: [Float]? = nil, search: Bool, tier: String
) -> [UInt8] {
  let rowBytes = type.rowBytes(columns), rows = values.count / columns
  var blocks = [UInt8](repeating: 0xAA, count: rows * rowBytes)
  for row in 0..<rows {
    unsafe values.withUnsafeBufferPointer { x in
      unsafe blocks.withUnsafeMutableBytes { out in
        guard let x = x.baseAddress, let out = out.baseAddress else { return }
        let target = unsafe out + row * rowBytes
        if let weights {
          unsafe weights.withUnsafeBufferPointer { w in
            _ = unsafe duet_run_encode(
              duet_select_encoders(tier), Int32(type.rawValue), search, x + row * columns, w.baseAddress,
              columns,
              target)
          }
        } else {
          _ = unsafe duet_run_encode(
            duet_select_encoders(tier), Int32(type.rawValue), search, x + row * columns, nil, columns, target)
        }
      }
    }
  }
  return blocks
}

private func decoded(_ type: TensorType, _ blocks: [UInt8]) -> [Float] {
  let count = blocks.count / type.blockBytes * type.blockLength
  var values = [Float](repeating: .nan, count: count)
  let decode = unsafe duet_generic_dequantizer(Int32(type.rawValue))
  unsafe blocks.withUnsafeBytes { source in
    unsafe values.withUnsafeMutableBufferPointer { out in
      if let decode = unsafe decode, let out = out.baseAddress {
        unsafe decode(source.baseAddress, out, count)
      }
    }
  }
  return values
}

private func error(_ x: [Float], _ y: [Float], weights: [Float]? = nil) -> Double {
  var sum = 0.0
  for index in x.indices {
    let rest = Double(x[index]) - Double(y[index])
    sum += rest * rest * Double(weights.map { $0[index % $0.count] } ?? 1)
  }
  return sum
}

/// The weight of each value: its column's, times its size and half the mean size of the 256 around it.
private func weighedBySize(_ x: [Float], _ weights: [Float]) -> [Float] {
  x.indices.map { index in
    let start = index / 256 * 256
    let mean = x[start..<start + 256].reduce(0) { $0 + abs($1) } / 256
    return weights[index % columns] * (abs(x[index]) + mean / 2)
  }
}

@Suite struct EncoderTests {
  private static let plain: [TensorType] = [.f16, .bf16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .mxfp4]
  private static let searched: [TensorType] = [.q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq4_nl, .iq4_xs]

  @Test(arguments: tiers, plain)
  func plainEncodersWriteWhatTheGGUFPackageDoes(tier: String, type: TensorType) throws {
    let values = try Recorded.floats("numbers.floats")
    #expect(try encoded(type, values, search: false, tier: tier) == Recorded.bytes("\(type.name).blocks"))
  }

  @Test(arguments: searched)
  func searchesLoseNoMoreThanLlamaCpp(type: TensorType) throws {
    let values = try Recorded.floats("numbers.floats"), weights = try Recorded.floats("weights.floats")
    let theirs = try #require(try Recorded.errors()[type.name])
    let even = encoded(type, values, search: true, tier: "generic")
    #expect(error(values, decoded(type, even)) <= theirs.plain)
    let weighted = encoded(type, values, weights: weights, search: true, tier: "generic")
    // In two and three bits a value's size counts as well.
    if type == .q2_K || type == .q3_K {
      let bySize = weighedBySize(values, weights)
      #expect(error(values, decoded(type, weighted), weights: bySize) <= theirs.weightedBySize)
    } else {
      #expect(error(values, decoded(type, weighted), weights: weights) <= theirs.weighted)
    }
  }

  @Test(arguments: plain.filter(\.isQuantized))
  func searchesLoseNoMoreThanPlainEncoders(type: TensorType) throws {
    let values = try Recorded.floats("numbers.floats")
    let plain = encoded(type, values, search: false, tier: "generic")
    let search = encoded(type, values, search: true, tier: "generic")
    #expect(error(values, decoded(type, search)) <= error(values, decoded(type, plain)))
  }

  @Test(arguments: searched + plain)
  func everyTierWritesTheSameBytes(type: TensorType) throws {
    let values = try Recorded.floats("numbers.floats"), weights = try Recorded.floats("weights.floats")
    let first = encoded(type, values, weights: weights, search: true, tier: "generic")
    for tier in tiers { #expect(encoded(type, values, weights: weights, search: true, tier: tier) == first) }
  }

  @Test(arguments: searched + plain.filter(\.isQuantized))
  func extremesBecomeFiniteValues(type: TensorType) {
    var values = [Float](repeating: 0, count: columns)
    values[3] = 3e38
    values[200] = -3e38
    values[300] = Float.leastNonzeroMagnitude * 71_362
    for search in [false, true] {
      let result = decoded(type, encoded(type, values, search: search, tier: "generic"))
      let isFinite = result.allSatisfy { $0.isFinite }
      #expect(isFinite || !search)
    }
    let zeros = [Float](repeating: 0, count: columns)
    #expect(decoded(type, encoded(type, zeros, search: true, tier: "generic")).allSatisfy { $0 == 0 })
  }
}
