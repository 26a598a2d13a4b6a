import DuetRuntime
import Foundation
import Testing

/// Tokens recorded from an independent implementation by tools/reference/record_tokens.py.
@Suite struct TokenizerReferenceTests {
  static let available = ModelFiles.available(ModelFiles.smolLM2, ModelFiles.gemma3)

  @Test(.enabled(if: available, ModelFiles.absent), arguments: ReferenceModel.allCases)
  func `hard strings give the recorded tokens and come back`(_ model: ReferenceModel) throws {
    let url = try #require(Bundle.module.url(forResource: "Fixtures/tokens", withExtension: "jsonl"))
    let checked = try model.compare(path: url.path)
    #expect(checked > 400)
  }

  static let reference = ProcessInfo.processInfo.environment["DUET_TOKEN_REFERENCE"]

  @Test(
    .enabled(
      if: reference != nil && available, "set DUET_TOKEN_REFERENCE to a file of record_tokens.py --all"),
    arguments: ReferenceModel.allCases)
  func `all strings of a large recording give the recorded tokens`(_ model: ReferenceModel) throws {
    let checked = try model.compare(path: Self.reference ?? "")
    #expect(checked >= 20_000)
  }

  @Test func `pre-tokenizers cut where the recorded expressions do`() throws {
    struct Row: Decodable {
      let text: String
      let words: [String: [Int]]
    }
    let url = try #require(Bundle.module.url(forResource: "Fixtures/words", withExtension: "jsonl"))
    try forEachRow(of: url.path) { (row: Row) in
      for (name, lengths) in row.words {
        let found = try #require(PreTokenizer.named(name)).words(Array(row.text.utf8)).map(\.count)
        #expect(found == lengths, "\(name): \(row.text.debugDescription)")
      }
    }
  }
}

enum ReferenceModel: String, CaseIterable, CustomTestStringConvertible {
  case smolLM2 = "smollm2"
  case gemma3

  var testDescription: String { rawValue }

  var fileName: String {
    switch self {
    case .smolLM2: ModelFiles.smolLM2
    case .gemma3: ModelFiles.gemma3
    }
  }

  struct Tokens: Decodable {
    let plain: [Int32]
    let special: [Int32]?
  }

  struct Row: Decodable {
    let text: String?
    let hex: String?
    let smollm2: Tokens?
    let gemma3: Tokens?
  }

  /// Compares every row; how many there were. Stops at the tenth that differs.
  func compare(path: String) throws -> Int {
    let tokenizer = try Tokenizer(metadata: ModelFiles.open(fileName).metadata)
    var rows = 0
    var failures = 0
    try forEachRow(of: path) { (row: Row) in
      rows += 1
      guard failures < 10 else { return }
      let bytes = row.text.map { Array($0.utf8) } ?? Self.bytes(hex: row.hex ?? "")
      if !agrees(tokenizer, bytes, self == .smolLM2 ? row.smollm2 : row.gemma3) { failures += 1 }
    }
    return rows
  }

  private func agrees(_ tokenizer: Tokenizer, _ bytes: [UInt8], _ expected: Tokens?) -> Bool {
    let plain = tokenizer.encode(bytes)
    let special = tokenizer.encode(bytes, parseSpecial: true)
    var same = true
    let text = String(decoding: bytes, as: UTF8.self).debugDescription.prefix(300)
    if let expected {
      same = plain == expected.plain && special == expected.special ?? expected.plain
      #expect(plain == expected.plain, "\(text)")
      #expect(special == expected.special ?? expected.plain, "special: \(text)")
    }
    let missing = tokenizer.missingBytes
    let kept = self == .gemma3 ? Self.withSpaces(bytes) : bytes.filter { !missing.contains($0) }
    let back = tokenizer.decode(plain) == kept && tokenizer.decode(special, special: true) == kept
    #expect(back, "does not come back: \(text)")
    return same && back
  }

  /// SentencePiece has one token for a space and for U+2581.
  private static func withSpaces(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.contains(0xe2) else { return bytes }
    let parts = bytes.split(separator: [0xe2, 0x96, 0x81], omittingEmptySubsequences: false)
    return Array(parts.joined(separator: [0x20]))
  }

  private static func bytes(hex: String) -> [UInt8] {
    let digits = hex.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
  }
}

/// Decodes a file of one JSON value a line.
func forEachRow<Row: Decodable>(of path: String, _ body: (Row) throws -> Void) throws {
  let data = try Data(contentsOf: URL(filePath: path))
  let decoder = JSONDecoder()
  for line in data.split(separator: 0x0a) { try body(decoder.decode(Row.self, from: line)) }
}
