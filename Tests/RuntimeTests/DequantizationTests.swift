import DuetRuntime
import Foundation
import Testing

/// Blocks of one type and the floats that an independent reader made of them; recorded by
/// tools/reference/record_blocks.py.
struct RecordedBlocks {
  let bytes: [UInt8]
  let floats: [Float]

  init(_ type: TensorType) throws {
    bytes = try Self.load("\(type.name).blocks")
    let raw = try Self.load("\(type.name).floats")
    floats = stride(from: 0, to: raw.count, by: 4).map { start in
      Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(raw[start + $1]) << UInt32(8 * $1) })
    }
  }

  private static func load(_ name: String) throws -> [UInt8] {
    let folder = try #require(Bundle.module.resourceURL)
    return [UInt8](try Data(contentsOf: folder.appending(path: "Fixtures/blocks/\(name)")))
  }
}

/// Every type that holds weights.
private let weightTypes = TensorType.allCases.filter(\.isWeight)

@Suite struct DequantizationTests {
  @Test(arguments: weightTypes)
  func equalsTheRecordedFloatsBitForBit(type: TensorType) throws {
    let recorded = try RecordedBlocks(type)
    let floats = try #require(genericDequantize(recorded.bytes, type: type))
    #expect(floats.count == recorded.floats.count)
    #expect(firstDifference(floats, recorded.floats) == nil)
  }

  @Test(arguments: weightTypes)
  func readsFromAnyAddress(type: TensorType) throws {
    let recorded = try RecordedBlocks(type)
    for misalignment in 1..<4 {
      let floats = try #require(genericDequantize(recorded.bytes, type: type, misalignment: misalignment))
      #expect(firstDifference(floats, recorded.floats) == nil)
    }
  }

  @Test func widensEveryHalfPrecisionNumber() throws {
    let halves = (0...UInt16.max).map { $0 }
    let bytes = halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
    let floats = try #require(genericDequantize(bytes, type: .f16))
    #expect(firstDifference(floats, halves.map { Float(Float16(bitPattern: $0)) }) == nil)
  }

  @Test func hasNoKernelForIndicesAndUnknownTypes() {
    #expect(genericDequantize([0, 0, 0, 0], type: .i32) == nil)
    #expect(unpackRuns([0, 0, 0, 0], type: .f32) == nil)
    #expect(!hasDequantizer(-1) && !hasDequantizer(40) && !hasDequantizer(4))
  }

  /// Unpacked values are exact in double precision; the floats carry two roundings of numbers no
  /// larger than the run's largest magnitude or minimum.
  @Test(arguments: weightTypes.filter(\.isQuantized))
  func unpacksToTheSameValues(type: TensorType) throws {
    let recorded = try RecordedBlocks(type)
    let runs = try #require(unpackRuns(recorded.bytes, type: type))
    #expect(runs.count == recorded.floats.count / 32)
    for (index, run) in runs.enumerated() {
      let expected = recorded.floats[32 * index..<32 * index + 32].map(Double.init)
      guard expected.allSatisfy(\.isFinite) else { continue }
      let largest = (expected + run.minimum.map(Double.init)).map(abs).max() ?? 0
      let error = zip(run.values, expected).map { abs($0 - $1) }.max() ?? .infinity
      #expect(error <= 1e-6 * largest, "run \(index)")
    }
  }

  @Test(arguments: weightTypes.filter(\.isQuantized))
  func unpacksWithinTheFormatsRange(type: TensorType) throws {
    let runs = try #require(unpackRuns(RecordedBlocks(type).bytes, type: type))
    let values = runs.flatMap(\.q)
    #expect(values.min() == range(of: type).lowerBound)
    #expect(values.max() == range(of: type).upperBound)
  }
}

/// The least and greatest stored value; the recorded blocks hold both.
private func range(of type: TensorType) -> ClosedRange<Int8> {
  switch type {
  case .q4_0, .q4_1, .q4_K: 0...15
  case .q5_0, .q5_1, .q5_K: 0...31
  case .q2_K: 0...3
  case .q3_K: 0...7
  case .q6_K: 0...63
  case .iq4_nl, .iq4_xs: -127...113
  case .mxfp4: -12...12
  default: -128...127
  }
}

/// The first index whose bits differ, any NaN being equal to any other; nil when there is none.
private func firstDifference(_ left: [Float], _ right: [Float]) -> Int? {
  guard left.count == right.count else { return min(left.count, right.count) }
  return left.indices.first { index in
    left[index].isNaN != right[index].isNaN
      || !left[index].isNaN && left[index].bitPattern != right[index].bitPattern
  }
}
