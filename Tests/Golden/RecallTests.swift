import DuetDocuments
import DuetRouter
import DuetRuntime
import Foundation
import Testing

/// Retrieval on real questions; runs where `DUET_DATA` names a folder with the text sets. Where
/// `DUET_ENCODER` names a sentence encoder, passages are ranked by meaning too.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["DUET_DATA"] != nil))
struct RecallTests {
  private struct Entry: Decodable {
    let instruction: String
    let context: String
  }

  /// Each context as a file of its own; questions with the number of their context.
  private func load(_ sets: [String]) throws -> (
    contexts: [String], questions: [(text: String, context: Int)]
  ) {
    let folder = ProcessInfo.processInfo.environment["DUET_DATA"] ?? "."
    var numbers: [String: Int] = [:]
    var contexts: [String] = []
    var questions: [(text: String, context: Int)] = []
    for name in sets {
      let text = try String(contentsOfFile: "\(folder)/text/\(name).jsonl", encoding: .utf8)
      for line in text.split(separator: "\n") {
        let entry = try JSONDecoder().decode(Entry.self, from: Data(line.utf8))
        guard !entry.context.isEmpty else { continue }
        if numbers[entry.context] == nil {
          numbers[entry.context] = contexts.count
          contexts.append(entry.context)
        }
        questions.append((entry.instruction, numbers[entry.context] ?? 0))
      }
    }
    return (contexts, questions)
  }

  /// `DUET_PASSAGE_BYTES` sets other sizes of passages than the default.
  private static let options =
    ProcessInfo.processInfo.environment["DUET_PASSAGE_BYTES"].flatMap { Int($0) }.map {
      ChunkOptions(targetBytes: $0, maximumBytes: $0 * 5 / 3)
    } ?? ChunkOptions()

  private func ranked(_ collection: DocumentCollection) throws -> DocumentCollection {
    guard let path = ProcessInfo.processInfo.environment["DUET_ENCODER"] else { return collection }
    let ranked = collection.ranked(by: try SentenceEncoder(path: path))
    print("  encoding \(try ContinuousClock().measure { try ranked.encodePassages() })")
    return ranked
  }

  @Test(arguments: [
    ["popqa.dev"], ["squad.dev", "nq.train", "clapnq.dev", "popqa.dev"],
    ["squad.train", "squad.dev", "nq.train", "clapnq.dev", "popqa.dev"],
  ])
  func recall(sets: [String]) throws {
    let (contexts, questions) = try load(sets)
    let folder = FileManager.default.temporaryDirectory.path + "/duet-recall-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder + "/d", withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for (number, context) in contexts.enumerated() {
      try Data(context.utf8).write(to: URL(filePath: "\(folder)/d/\(number).txt"))
    }
    let library = try DocumentLibrary(path: folder + "/index.sqlite", options: Self.options)
    let clock = ContinuousClock()
    var report: IndexReport?
    let indexing = try clock.measure { report = try library.add(paths: [folder + "/d"]) }
    let collection = try ranked(try #require(report?.collection))
    var ranks = [Int](repeating: 0, count: 11)
    let querying = try clock.measure {
      for question in questions {
        let found = try collection.passages(matching: question.text, limit: 10)
        let rank = found.firstIndex { $0.path.hasSuffix("/d/\(question.context).txt") }
        ranks[rank ?? 10] += 1
      }
    }
    let share = { (count: Int) in Double(ranks[..<count].reduce(0, +)) / Double(questions.count) }
    let summary = "\(contexts.count) contexts, \(questions.count) questions"
    print(
      "\(sets.joined(separator: "+")): \(summary); recall@1 \(share(1)), @5 \(share(5)), @10 \(share(10))")
    print("  indexing \(indexing), \(querying / questions.count) a query")
    #expect(share(1) > 0.7)
  }
}
