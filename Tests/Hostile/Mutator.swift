import DuetRuntime

/// A damaged or lying file, and what was done to it.
struct Mutant {
  var bytes: [UInt8]
  var story: String
}

/// Makes mutants of a sound file. A mutant depends on the file, the seed and its number alone, so
/// that any one can be made again.
struct Mutator {
  let anatomy: GGUFAnatomy
  let seed: UInt64

  init(model: [UInt8], seed: UInt64) throws {
    anatomy = try GGUFAnatomy(model)
    self.seed = seed
  }

  /// The mutant of this number; the first few are amplifiers: sound by their lengths, but large.
  func mutant(_ number: Int) -> Mutant {
    if number < Amplifier.allCases.count {
      let amplifier = Amplifier.allCases[number]
      return Mutant(bytes: amplifier.bytes, story: "amplifier \(amplifier)")
    }
    var random = SplitMix64(state: seed &+ UInt64(number) &* 0xD134_2543_DE82_EF95)
    var mutant = Mutant(bytes: anatomy.bytes, story: "")
    switch Int.random(in: 0..<10, using: &random) {
    case 0..<5: lie(&mutant, using: &random)
    case 5..<8: mutant = spliced(using: &random)
    default: damage(&mutant, using: &random)
    }
    if Int.random(in: 0..<4, using: &random) == 0 { damage(&mutant, using: &random) }
    return mutant
  }

  // MARK: Lies in place

  private func lie(_ mutant: inout Mutant, using random: inout SplitMix64) {
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      guard let kind = GGUFAnatomy.Kind.allCases.randomElement(using: &random),
        let field = anatomy.fields[kind]?.randomElement(using: &random)
      else { continue }
      mutant.story += "\(kind) at \(field.offset); "
      let value = falseValue(field, was: mutant.bytes.number(field), using: &random)
      mutant.bytes.set(value, at: field.offset, width: field.width)
    }
    if Int.random(in: 0..<8, using: &random) == 0 { rewriteText(&mutant, using: &random) }
  }

  /// Sizes and counts at which arithmetic or a guard may slip.
  private static let edges: [UInt64] =
    [0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 65_535, 65_536]
    + [1 << 31 - 1, 1 << 31, 1 << 32 - 1, 1 << 32, 1 << 48, 1 << 58, 1 << 60, 1 << 61, 1 << 62]
    + [1 << 63 - 32, 1 << 63 - 1, 1 << 63, .max - 31, .max - 7, .max - 1, .max]

  private static let floatEdges: [Float] =
    [0, -0.0, 1, -1, 1e-38, .leastNonzeroMagnitude, 1e30, -1e30, .greatestFiniteMagnitude]
    + [.infinity, -.infinity, .nan]

  private func falseValue(
    _ field: GGUFAnatomy.Field, was: UInt64, using random: inout SplitMix64
  ) -> UInt64 {
    switch (field.kind, Int.random(in: 0..<8, using: &random)) {
    case (.float, _):
      let value = Self.floatEdges.randomElement(using: &random) ?? 0
      return field.width == 8 ? Double(value).bitPattern : UInt64(value.bitPattern)
    case (.valueType, 0..<6), (.arrayType, 0..<6): return .random(in: 0...13, using: &random)
    case (.tensorType, 0..<6): return .random(in: 0...40, using: &random)
    case (.rank, 0..<6): return .random(in: 0...5, using: &random)
    case (_, 0..<4): return Self.edges.randomElement(using: &random) ?? 0
    case (_, 4): return was &+ 1
    case (_, 5): return was &- 1
    case (_, 6): return Bool.random(using: &random) ? was &* 2 : was / 2
    default: return was ^ 1 << UInt64.random(in: 0..<UInt64(field.width * 8), using: &random)
    }
  }

  /// Gives a string other text of the same length: invalid UTF-8, or that of another string.
  private func rewriteText(_ mutant: inout Mutant, using random: inout SplitMix64) {
    guard let target = anatomy.texts.randomElement(using: &random),
      let source = anatomy.texts.randomElement(using: &random)
    else { return }
    mutant.story += "text at \(target.lowerBound); "
    let invalid = Bool.random(using: &random)
    for (index, position) in target.enumerated() {
      let other = anatomy.bytes[source.lowerBound + index % source.count]
      mutant.bytes[position] = invalid ? .random(in: 0x80...0xFF, using: &random) : other
    }
  }

  // MARK: Damage without regard to fields

  private func damage(_ mutant: inout Mutant, using random: inout SplitMix64) {
    let limit = Bool.random(using: &random) ? min(anatomy.dataStart, mutant.bytes.count) : mutant.bytes.count
    guard limit > 0 else { return }
    let position = Int.random(in: 0..<limit, using: &random)
    switch Int.random(in: 0..<4, using: &random) {
    case 0:
      mutant.story += "cut at \(position); "
      mutant.bytes.removeSubrange(position...)
    case 1:
      let end = min(limit, position + .random(in: 1...64, using: &random))
      let fill = [0, 0xFF, UInt8.random(in: 0...255, using: &random)].randomElement(using: &random) ?? 0
      mutant.story += "\(end - position) bytes \(fill) at \(position); "
      for index in position..<end { mutant.bytes[index] = fill }
    default:
      mutant.story += "bits flipped from \(position); "
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        let index = Int.random(in: 0..<limit, using: &random)
        mutant.bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      }
    }
  }

  // MARK: Edits that change lengths

  private func spliced(using random: inout SplitMix64) -> Mutant {
    var pieces = anatomy.pieces
    let story =
      Int.random(in: 0..<4, using: &random) == 0
      ? spliceTensors(&pieces, using: &random) : splicePairs(&pieces, using: &random)
    return Mutant(bytes: pieces.assembled(), story: "\(story); ")
  }

  private func splicePairs(_ pieces: inout Pieces, using random: inout SplitMix64) -> String {
    guard let first = pieces.pairs.indices.randomElement(using: &random),
      let second = pieces.pairs.indices.randomElement(using: &random)
    else { return "nothing" }
    switch Int.random(in: 0..<7, using: &random) {
    case 0:
      pieces.pairs.remove(at: first)
      return "pair \(first) removed"
    case 1:
      pieces.pairs.insert(pieces.pairs[first], at: second)
      return "pair \(first) doubled"
    case 2:
      let value = pieces.pairs[first].value
      pieces.pairs[first].value = pieces.pairs[second].value
      pieces.pairs[second].value = value
      return "values \(first) and \(second) swapped"
    case 3:
      pieces.pairs[first].key = randomText(using: &random)
      return "key \(first) renamed"
    case 4:
      let depth = [1, 2, 3, 4, 5, 6, 64, 5_000].randomElement(using: &random) ?? 1
      pieces.pairs[first].value = nested(depth)
      return "value \(first) nested \(depth) deep"
    case 5:
      var pair = Pieces.Pair(key: [], value: [])
      pair.key.appendText("general.alignment")
      pair.value.append(.uint32(UInt32(truncatingIfNeeded: Self.edges.randomElement(using: &random) ?? 0)))
      pieces.pairs.insert(pair, at: first)
      return "alignment inserted"
    default:
      pieces.pairs[first].value = randomValue(using: &random)
      return "value \(first) replaced"
    }
  }

  private func spliceTensors(_ pieces: inout Pieces, using random: inout SplitMix64) -> String {
    guard let first = pieces.tensors.indices.randomElement(using: &random),
      let second = pieces.tensors.indices.randomElement(using: &random)
    else { return "nothing" }
    switch Int.random(in: 0..<5, using: &random) {
    case 0:
      pieces.tensors.remove(at: first)
      return "tensor \(first) removed"
    case 1:
      pieces.tensors.insert(pieces.tensors[first], at: second)
      return "tensor \(first) doubled"
    case 2:
      pieces.tensors[first].name = randomText(using: &random)
      return "tensor \(first) renamed"
    case 3:
      pieces.tensors[first].rest = pieces.tensors[second].rest
      return "tensor \(first) described as \(second)"
    default:
      let name = pieces.tensors[first].name
      pieces.tensors[first].name = pieces.tensors[second].name
      pieces.tensors[second].name = name
      return "names of tensors \(first) and \(second) swapped"
    }
  }

  /// Arrays of one array each, with an empty one at the bottom.
  private func nested(_ depth: Int) -> [UInt8] {
    var value: [UInt8] = []
    value.appendInteger(GGUFValueType.array.rawValue)
    for _ in 1..<max(depth, 2) {
      value.appendInteger(GGUFValueType.array.rawValue)
      value.appendInteger(UInt64(1))
    }
    value.appendInteger(GGUFValueType.uint8.rawValue)
    value.appendInteger(UInt64(0))
    return value
  }

  private func randomText(using random: inout SplitMix64) -> [UInt8] {
    let length = [0, 1, 8, 64, 300, 70_000].randomElement(using: &random) ?? 0
    var bytes: [UInt8] = []
    bytes.appendInteger(UInt64(length))
    let ascii = Bool.random(using: &random)
    for _ in 0..<length { bytes.append(.random(in: ascii ? 97...122 : 0...255, using: &random)) }
    return bytes
  }

  private func randomValue(using random: inout SplitMix64) -> [UInt8] {
    let number = Self.edges.randomElement(using: &random) ?? 0
    let count = Int.random(in: 0...300, using: &random)
    var bytes: [UInt8] = []
    switch Int.random(in: 0..<7, using: &random) {
    case 0: bytes.append(.uint32(UInt32(truncatingIfNeeded: number)))
    case 1: bytes.append(.float32(Self.floatEdges.randomElement(using: &random) ?? 0))
    case 2: bytes.append(.bool(Bool.random(using: &random)))
    case 3: bytes.append(.strings(Array(repeating: "{{", count: count)))
    case 4: bytes.append(.floats((0..<count).map { _ in Self.floatEdges.randomElement(using: &random) ?? 0 }))
    case 5: bytes.append(.int32s((0..<count).map { _ in .random(in: -5...500, using: &random) }))
    default:
      bytes.appendInteger(GGUFValueType.string.rawValue)
      bytes += randomText(using: &random)
    }
    return bytes
  }
}

extension [UInt8] {
  /// The little-endian number of a field.
  func number(_ field: GGUFAnatomy.Field) -> UInt64 {
    self[field.offset..<field.offset + field.width].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  mutating func set(_ value: UInt64, at offset: Int, width: Int) {
    for index in 0..<width { self[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
  }
}
