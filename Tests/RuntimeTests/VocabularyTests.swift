import DuetRuntime
import Foundation
import Testing

/// Vocabularies of other models, each with a recording that tools/reference/record_tokens.py made
/// (--vocabularies): small ones among the fixtures, whole ones in the folder DUET_VOCABULARIES.
@Suite struct VocabularyTests {
  static let folders = [
    Bundle.module.resourceURL?.appending(path: "Fixtures/vocabularies"),
    ProcessInfo.processInfo.environment["DUET_VOCABULARIES"].map { URL(filePath: $0) },
  ].compactMap { $0 }

  static let recordings: [Recording] = folders.flatMap { folder in
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.filter { $0.hasSuffix(".jsonl") }.sorted().map {
      Recording(folder: folder, name: String($0.dropLast(".jsonl".count)))
    }
  }

  @Test(arguments: recordings)
  func `every string gives the recorded tokens and comes back`(_ recording: Recording) throws {
    let result = try recording.compare()
    print("\(recording.name): \(result.rows) strings, \(result.differing) differ")
    #expect(result.rows > 50)
    #expect(result.differing == 0, "\(result.examples.joined(separator: "\n"))")
  }
}

struct Recording: CustomTestStringConvertible {
  let folder: URL
  let name: String

  var testDescription: String { name }

  struct Row: Decodable {
    let text: String
    let plain: [Int32]
    let special: [Int32]?
  }

  struct Result {
    var rows = 0
    var differing = 0
    var examples: [String] = []
  }

  func compare() throws -> Result {
    let file = try GGUFFile(path: folder.appending(path: name + ".gguf").path)
    let tokenizer = try Tokenizer(metadata: file.metadata)
    let kind = try file.metadata.string("tokenizer.ggml.model") ?? ""
    let isPhi3 = try file.metadata.string("general.architecture") == "phi3"
    var result = Result()
    try forEachRow(of: folder.appending(path: name + ".jsonl").path) { (row: Row) in
      result.rows += 1
      guard let problem = problem(row, tokenizer, kind, isPhi3: isPhi3) else { return }
      result.differing += 1
      if result.examples.count < 12 { result.examples.append(problem) }
    }
    return result
  }

  /// Phi 3's `</s>` is matched in any text, takes white space along and has a space put after it, as its
  /// `tokenizer.json` says; such texts do not come back.
  private func problem(_ row: Row, _ tokenizer: Tokenizer, _ kind: String, isPhi3: Bool) -> String? {
    let text = String(row.text.debugDescription.prefix(200))
    let plain = tokenizer.encode(row.text)
    if plain != row.plain { return "\(text): \(window(plain, row.plain))" }
    let special = tokenizer.encode(row.text, parseSpecial: true)
    let expected = row.special ?? row.plain
    if special != expected { return "special: \(text): \(window(special, expected))" }
    guard kind == "gpt2" || kind == "llama", !(isPhi3 && row.text.contains("</s>")) else {
      return nil
    }
    let missing = tokenizer.missingBytes
    let bytes = kind == "llama" ? row.text.replacing("▁", with: " ") : row.text
    let back = tokenizer.decode(plain) == bytes.utf8.filter { !missing.contains($0) }
    return back ? nil : "does not come back: \(text)"
  }

  /// The first tokens that differ.
  private func window(_ found: [Int32], _ expected: [Int32]) -> String {
    let same = zip(found, expected).prefix { $0 == $1 }.count
    return "at \(same): \(found.dropFirst(same).prefix(6)) for \(expected.dropFirst(same).prefix(6))"
  }
}
