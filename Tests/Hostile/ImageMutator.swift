import DuetRuntime
import DuetVision
import Foundation

/// Makes mutants of sound pictures. Edits keep checksums right more often than not, so that they reach
/// what lies behind.
struct ImageMutator: MutantSource {
  private let pictures: [[UInt8]]
  /// Small files that stand for large pictures, tried as they are.
  private let bombs: [[UInt8]]
  private let seed: UInt64

  /// Takes the JPEG and PNG files of a folder; those whose name begins with `bomb` are not changed.
  init(folder: String, seed: UInt64) throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    let chosen = names.filter { $0.hasSuffix(".jpg") || $0.hasSuffix(".png") }
    func read(_ names: [String]) throws -> [[UInt8]] {
      try names.map { [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/\($0)"))) }
    }
    pictures = try read(chosen.filter { !$0.hasPrefix("bomb") })
    bombs = try read(chosen.filter { $0.hasPrefix("bomb") })
    self.seed = seed
  }

  var ownBytes: Int { (pictures + bombs).reduce(0) { $0 + $1.count } }
  var suffix: String { "image" }

  /// What the decoder may take, and as much again as the largest square that is made of it.
  func allowance(size: Int) -> Int { ImageLimits().memory + 2 * size + 96 << 20 }

  func exercise(path: String) -> Outcome {
    do throws(ImageError) {
      let picture = try Bitmap(path: path, atLeast: number(of: path) ? 448 : nil)
      for processor in [ImageProcessor.efficientNetLite(), .clip()] {
        _ = processor.frames(picture).squares.map(processor.normalized)
      }
      return .accepted
    } catch {
      precondition(!error.description.isEmpty)
      return .refused(Mirror(reflecting: error).children.first?.label ?? "unknownFormat")
    }
  }

  /// Every second file is decoded at a fraction of its size, as large photos are.
  private func number(of path: String) -> Bool {
    ((try? Data(contentsOf: URL(filePath: path)).last) ?? 0) & 1 == 1
  }

  func mutant(_ number: Int) -> Mutant {
    if bombs.indices.contains(number) { return Mutant(bytes: bombs[number], story: "bomb \(number)") }
    var random = SplitMix64(state: seed &+ UInt64(number) &* 0xD134_2543_DE82_EF95)
    var mutant = Mutant(bytes: pictures.randomElement(using: &random) ?? [], story: "")
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      switch Int.random(in: 0..<8, using: &random) {
      case 0: damage(&mutant, using: &random)
      case 1: splice(&mutant, using: &random)
      default: lie(&mutant, using: &random)
      }
    }
    return mutant
  }

  // MARK: Edits

  private func damage(_ mutant: inout Mutant, using random: inout SplitMix64) {
    guard let position = mutant.bytes.indices.randomElement(using: &random) else { return }
    mutant.story += "damage at \(position); "
    switch Int.random(in: 0..<4, using: &random) {
    case 0: mutant.bytes.removeSubrange(position...)
    case 1:
      let end = min(mutant.bytes.count, position + .random(in: 1...64, using: &random))
      mutant.bytes.removeSubrange(position..<end)
    case 2:
      let noise = (0..<Int.random(in: 1...64, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      mutant.bytes.insert(contentsOf: noise, at: position)
    default: mutant.bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    }
  }

  /// A part of the same or another picture, put in anywhere.
  private func splice(_ mutant: inout Mutant, using random: inout SplitMix64) {
    guard let other = pictures.randomElement(using: &random),
      let part = parts(other).randomElement(using: &random),
      let place = parts(mutant.bytes).randomElement(using: &random)
    else { return }
    mutant.story += "\(part.count) bytes put in at \(place.lowerBound); "
    mutant.bytes.insert(contentsOf: other[part], at: place.lowerBound)
  }

  private static let edges: [UInt32] = [
    0, 1, 2, 3, 7, 8, 15, 16, 127, 128, 255, 256, 1_000, 4_096, 10_000, 32_767, 65_535, 65_536, 1_000_000,
    1 << 31,
    .max - 1, .max,
  ]

  /// A false number within one segment or chunk, whose checksum is put right.
  private func lie(_ mutant: inout Mutant, using random: inout SplitMix64) {
    let all = parts(mutant.bytes)
    // The first parts say how large the picture is and how it is coded.
    let few = all.prefix(Bool.random(using: &random) ? 3 : all.count)
    guard let part = few.randomElement(using: &random), part.count > 4,
      let position = part.dropFirst(2).randomElement(using: &random)
    else { return }
    let width = min([1, 2, 4].randomElement(using: &random) ?? 1, part.upperBound - position)
    let value =
      Bool.random(using: &random)
      ? Self.edges.randomElement(using: &random) ?? 0 : UInt32.random(in: 0...UInt32.max, using: &random)
    mutant.story += "\(value) at \(position); "
    for index in 0..<width {
      mutant.bytes[position + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * (width - 1 - index)))
    }
    if mutant.bytes.starts(with: [0x89]), Int.random(in: 0..<8, using: &random) > 0 {
      Self.putRight(&mutant.bytes, chunk: part)
    }
  }

  // MARK: Anatomy

  /// The chunks of a PNG file or the segments of a JPEG file, with what follows them.
  private func parts(_ bytes: [UInt8]) -> [Range<Int>] {
    let isPNG = bytes.starts(with: [0x89])
    var parts: [Range<Int>] = []
    var offset = isPNG ? 8 : 2
    while offset + 4 <= bytes.count, parts.count < 1_000 {
      let length: Int
      if isPNG {
        length = bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) } + 12
      } else {
        guard bytes[offset] == 0xFF else { break }
        length = Int(bytes[offset + 2]) << 8 | Int(bytes[offset + 3]) + 2
      }
      let end = min(bytes.count, offset + max(4, length))
      parts.append(offset..<end)
      offset = end
    }
    if offset < bytes.count { parts.append(offset..<bytes.count) }
    return parts
  }

  /// Writes the checksum of a PNG chunk (ISO 15948, annex D).
  private static func putRight(_ bytes: inout [UInt8], chunk: Range<Int>) {
    guard chunk.count >= 12 else { return }
    var sum = UInt32.max
    for byte in bytes[chunk.lowerBound + 4..<chunk.upperBound - 4] {
      sum ^= UInt32(byte)
      for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
    }
    for index in 0..<4 {
      bytes[chunk.upperBound - 4 + index] = UInt8(truncatingIfNeeded: ~sum >> UInt32(24 - 8 * index))
    }
  }
}
