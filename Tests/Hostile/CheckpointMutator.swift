import DuetRuntime
import Foundation

/// Makes mutants of tiny checkpoint folders. A mutant is one file that holds the folder's files one
/// after the other, each after its length; to be opened it is taken apart again.
struct CheckpointMutator: MutantSource {
  private let seed: UInt64
  private let seeds: [SeedCheckpoint]
  /// Does with the folder what a program does.
  private let open: @Sendable (String) -> Outcome

  /// - Parameters:
  ///   - seeds: one or more.
  ///   - open: called with the path of a folder.
  init(seed: UInt64, seeds: [SeedCheckpoint], open: @escaping @Sendable (String) -> Outcome) {
    self.seed = seed
    self.seeds = seeds
    self.open = open
  }

  var ownBytes: Int { seeds.reduce(0) { $0 + $1.byteCount } }
  var suffix: String { "checkpoint" }
  /// The pack itself is held beside what is read of its files.
  func allowance(size: Int) -> Int { 3 * size + 64 << 20 }

  /// The mutant of this number; the first few are large.
  func mutant(_ number: Int) -> Mutant {
    var random = SplitMix64(state: seed &+ UInt64(number) &* 0xD134_2543_DE82_EF95)
    var checkpoint = seeds.randomElement(using: &random) ?? seeds[0]
    if number < JSONAmplifier.allCases.count {
      let amplifier = JSONAmplifier.allCases[number]
      if amplifier.fileName != "tokenizer.json" { checkpoint.files.removeAll { $0.name == "tokenizer.json" } }
      checkpoint[amplifier.fileName] = amplifier.bytes
      return Mutant(bytes: checkpoint.packed, story: "amplifier \(amplifier)")
    }
    var story = ""
    for _ in 0..<Int.random(in: 1...3, using: &random) { story += change(&checkpoint, using: &random) }
    return Mutant(bytes: checkpoint.packed, story: story)
  }

  private func change(_ checkpoint: inout SeedCheckpoint, using random: inout SplitMix64) -> String {
    let choices = checkpoint.files.enumerated().flatMap { Array(repeating: $0, count: $1.weight) }
    guard let index = choices.randomElement(using: &random) else { return "nothing; " }
    let name = checkpoint.files[index].name
    if Int.random(in: 0..<64, using: &random) == 0 {
      checkpoint.files.remove(at: index)
      return "\(name) removed; "
    }
    let isJSON = !name.hasSuffix(".safetensors")
    return "\(name): "
      + (isJSON
        ? edit(&checkpoint.files[index].bytes, using: &random)
        : editTensors(&checkpoint.files[index].bytes, using: &random))
  }

  /// Changes the header, whose length is then right more often than not.
  private func editTensors(_ bytes: inout [UInt8], using random: inout SplitMix64) -> String {
    guard bytes.count > 8 else { return "nothing; " }
    let stated = bytes.number(GGUFAnatomy.Field(kind: .scalar, offset: 0, width: 8))
    let length = Int(truncatingIfNeeded: stated)
    switch Int.random(in: 0..<8, using: &random) {
    case 0:
      let value =
        [0, 1, 7, stated &- 1, stated &+ 8, 1 << 32, 1 << 63, .max]
        .randomElement(using: &random) ?? 0
      bytes.set(value, at: 0, width: 8)
      return "length \(value); "
    case 1:
      let cut = Int.random(in: 0..<bytes.count, using: &random)
      bytes.removeSubrange(cut...)
      return "cut at \(cut); "
    default:
      guard (0...bytes.count - 8).contains(length) else { return "nothing; " }
      var header = Array(bytes[8..<8 + length])
      let story = edit(&header, using: &random)
      bytes.replaceSubrange(8..<8 + length, with: header)
      bytes.set(UInt64(header.count), at: 0, width: 8)
      return story
    }
  }

  // MARK: JSON

  private static let values = [
    "0", "1", "-1", "2", "31", "33", "255", "65536", "1048576", "1048577", "4294967296", "1e308", "1e-40",
    "9223372036854775807", "-9223372036854775808", "18446744073709551615", "1e999", "0.5", "null", "true",
    "false", "\"\"", "\"a\"", "[]", "{}", "[[[]]]", "\"\\ud800\"", "\"\\u0000\"", "\"F16\"", "\"BF16\"",
    "\"I64\"",
    "\"Pooling\"", "\"1_Pooling\"", "\"..\"", "\"a/b\"", "\"cls\"", "\"lasttoken\"",
    "\"yarn\"", "\"longrope\"", "\"llama3\"", "\"linear\"", "\"Unigram\"", "\"WordPiece\"", "[1,2]", "[0,0]",
    "[\"a\",1]", "{\"id\":1}", "\"Qwen2ForCausalLM\"", "\"Gemma2ForCausalLM\"", "\"Phi3ForCausalLM\"",
  ]

  private func edit(_ bytes: inout [UInt8], using random: inout SplitMix64) -> String {
    let tokens = Self.scalars(bytes)
    guard let token = tokens.randomElement(using: &random), let other = tokens.randomElement(using: &random)
    else { return "nothing; " }
    switch Int.random(in: 0..<10, using: &random) {
    case 0..<6:
      let value = Self.values.randomElement(using: &random) ?? "0"
      bytes.replaceSubrange(token, with: Array(value.utf8))
      return "\(value) at \(token.lowerBound); "
    case 6:
      bytes.replaceSubrange(token, with: Array(bytes[other]))
      return "\(other.lowerBound) copied to \(token.lowerBound); "
    case 7:
      let range = min(token.lowerBound, other.lowerBound)..<max(token.lowerBound, other.lowerBound)
      if Bool.random(using: &random) || range.count > 4_096 {
        bytes.removeSubrange(range)
      } else {
        bytes.insert(contentsOf: Array(bytes[range]), at: token.lowerBound)
      }
      return "\(range) removed or doubled; "
    case 8:
      let position = Int.random(in: 0..<bytes.count, using: &random)
      bytes[position] = Array("{}[],:\"\\0".utf8).randomElement(using: &random) ?? 0
      return "a sign at \(position); "
    default:
      let position = Int.random(in: 0..<bytes.count, using: &random)
      bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      return "a bit at \(position); "
    }
  }

  /// Where strings, numbers and words lie.
  private static func scalars(_ bytes: [UInt8]) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var position = 0
    while position < bytes.count {
      let start = position
      position += 1
      if bytes[start] == UInt8(ascii: "\"") {
        while position < bytes.count, bytes[position] != UInt8(ascii: "\"") { position += 1 }
        position = min(position + 1, bytes.count)
        result.append(start..<position)
      } else if !Array("{}[],: \n".utf8).contains(bytes[start]) {
        while position < bytes.count, !Array("{}[],: \n\"".utf8).contains(bytes[position]) { position += 1 }
        result.append(start..<position)
      }
    }
    return result
  }

  // MARK: Opening

  func exercise(path: String) -> Outcome {
    guard let bytes = try? Data(contentsOf: URL(filePath: path)) else { return .refused("unreadable") }
    let folder = path + ".folder"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    do { try SeedCheckpoint.unpack(bytes, to: folder) } catch { return .refused("unpacked") }
    return open(folder)
  }
}

/// Files of a tokenizer of some megabytes whose many small parts cost a careless reader many times
/// their size.
enum JSONAmplifier: CaseIterable {
  case emptyArrays, numbers, nested, members, merges, added, marks, unclosed, words, probabilities, lines

  /// The file that it stands for.
  var fileName: String { self == .lines ? "vocab.txt" : "tokenizer.json" }

  var bytes: [UInt8] {
    let many = 1 << 20
    func list(_ element: String) -> String { Array(repeating: element, count: many).joined(separator: ",") }
    let text =
      switch self {
      case .emptyArrays: "{\"model\":{\"vocab\":[\(list("[]"))]}}"
      case .numbers: "{\"model\":[\(list("1"))]}"
      case .nested: String(repeating: "[", count: 8 * many)
      case .members: "{\"model\":{\"type\":\"BPE\",\"vocab\":{\(list("\"a\":1"))},\"merges\":[]}}"
      case .merges:
        "{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{},\"merges\":[\(list("\"a b\""))]}}"
      case .added: "{\"added_tokens\":[\(list("{\"id\":1,\"content\":\"a\"}"))],\"model\":{\"vocab\":{}}}"
      case .marks:
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\(String(repeating: "\u{301}\u{323}", count: many))\":1},\"merges\":[]}}"
      case .unclosed: "{\"model\":\"" + String(repeating: "a", count: 8 * many)
      case .words: "{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\(list("\"##\":1"))}}}"
      case .probabilities: "{\"model\":{\"type\":\"Unigram\",\"vocab\":[\(list("[\"a\",-1]"))]}}"
      case .lines: "[UNK]\n[CLS]\n[SEP]\n" + String(repeating: "\n", count: 16 * many)
      }
    return Array(text.utf8)
  }
}
