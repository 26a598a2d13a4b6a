import DuetRuntime
import Foundation
import Testing

/// A tiny model of a family as `tools/reference/record_families.py` recorded it: its configuration, the
/// recipe of its weights, and what transformers computed.
struct FamilyCase: Decodable, CustomTestStringConvertible {
  /// Name, shape, half the width of the values, and their middle.
  struct Recipe: Decodable {
    let name: String
    let shape: [Int]
    let width: Double
    let middle: Double

    init(from decoder: any Swift.Decoder) throws {
      var fields = try decoder.unkeyedContainer()
      name = try fields.decode(String.self)
      shape = try fields.decode([Int].self)
      width = try fields.decode(Double.self)
      middle = try fields.decode(Double.self)
    }

    var values: [Float] {
      var seed: UInt64 = 0xCBF2_9CE4_8422_2325
      for byte in name.utf8 { seed = (seed ^ UInt64(byte)) &* 0x100_0000_01B3 }
      var random = SplitMix(seed: seed)
      return (0..<shape.reduce(1, *)).map { _ in
        Float(middle + width * (Double(random.next() >> 40) / Double(1 << 23) - 1))
      }
    }
  }

  static let names = [
    "llama", "llama-tied-biases", "llama-linear", "llama-llama3", "llama-yarn", "mistral-window", "qwen2",
    "qwen2-yarn", "qwen3", "gemma2", "gemma2-scaled", "gemma3", "phi3-window", "phi3-longrope",
    "phi3-longrope-short",
  ]

  let tensors: [Recipe]
  let tokens: [Int32]
  let positions: [Int]
  let logits: [[Float]]
  private(set) var name = ""
  private(set) var config: [String: Any] = [:]

  private enum CodingKeys: CodingKey { case tensors, tokens, positions, logits }

  var testDescription: String { name }

  static func read(_ name: String) throws -> FamilyCase {
    let path = "\(Bundle.module.resourcePath ?? "")/Fixtures/families/\(name).json"
    let data = try Data(contentsOf: URL(filePath: path))
    var result = try JSONDecoder().decode(FamilyCase.self, from: data)
    let whole = try JSONSerialization.jsonObject(with: data) as? [String: Any]
    result.name = name
    result.config = whole?["config"] as? [String: Any] ?? [:]
    return result
  }

  /// The checkpoint's files by name; `change` may spoil the configuration.
  func files(_ change: (inout [String: Any]) -> Void = { _ in }) throws -> [String: Data] {
    var config = config
    change(&config)
    return [
      "config.json": try JSONSerialization.data(withJSONObject: config),
      "tokenizer.json": Data(Self.tokenizer.utf8),
      "model.safetensors": Safetensors.file(tensors.map { ($0.name, $0.shape, $0.values) }),
    ]
  }

  /// Tokens 0 to 63 for the characters from `!` on.
  private static var tokenizer: String {
    let vocabulary = (0..<64).map { "\(quoted(Character(Unicode.Scalar(UInt8(33 + $0))))):\($0)" }
    return """
      {"added_tokens":[],"normalizer":null,
       "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
       "model":{"type":"BPE","byte_fallback":false,"vocab":{\(vocabulary.joined(separator: ","))},"merges":[]}}
      """
  }

  private static func quoted(_ character: Character) -> String {
    character == "\"" || character == "\\" ? "\"\\\(character)\"" : "\"\(character)\""
  }
}

/// Writes files in the safetensors format.
enum Safetensors {
  static func file(_ tensors: [(name: String, shape: [Int], values: [Float])]) -> Data {
    var entries: [String] = []
    var data: [UInt8] = []
    for (name, shape, values) in tensors {
      let start = data.count
      data += values.flatMap { little($0.bitPattern) }
      entries.append(
        "\"\(name)\":{\"dtype\":\"F32\",\"shape\":\(shape),\"data_offsets\":[\(start),\(data.count)]}")
    }
    return file(header: "{\(entries.joined(separator: ","))}", data: data)
  }

  static func file(header: String, data: [UInt8]) -> Data {
    let padded = header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
    return Data(little(UInt64(padded.utf8.count)) + Array(padded.utf8) + data)
  }
}

/// A folder of files that goes away with the object.
final class CheckpointFolder {
  let path: String

  init(_ files: [String: Data]) throws {
    path = FileManager.default.temporaryDirectory.path + "/duet-checkpoint-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for (name, data) in files { try write(name, data) }
  }

  func write(_ name: String, _ data: Data) throws {
    try data.write(to: URL(filePath: path + "/" + name))
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
