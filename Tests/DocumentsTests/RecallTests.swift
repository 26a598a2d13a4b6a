import DuetDocuments
import Foundation
import Testing

/// Retrieval on real questions; runs where `DUET_DATA` names a folder with the text sets.
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

  @Test(arguments: [
    ["popqa.dev"], ["squad.dev", "nq.train", "clapnq.dev", "popqa.dev"],
    ["squad.train", "squad.dev", "nq.train", "clapnq.dev", "popqa.dev"],
  ])
  func recall(sets: [String]) throws {
    let (contexts, questions) = try load(sets)
    let folder = try TemporaryFolder()
    for (number, context) in contexts.enumerated() { try folder.write("d/\(number).txt", context) }
    let library = try DocumentLibrary(path: folder.file("index.sqlite"))
    let clock = ContinuousClock()
    var report: IndexReport?
    let indexing = try clock.measure { report = try library.add(paths: [folder.file("d")]) }
    let collection = try #require(report?.collection)
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

/// Speed on the folder that `DUET_DOCUMENTS_BENCH` names.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["DUET_DOCUMENTS_BENCH"] != nil))
struct SpeedTests {
  @Test func indexingAndQuerying() throws {
    let path = ProcessInfo.processInfo.environment["DUET_DOCUMENTS_BENCH"] ?? "."
    let folder = try TemporaryFolder()
    let library = try DocumentLibrary(path: folder.file("index.sqlite"))
    let clock = ContinuousClock()
    var report: IndexReport?
    let first = try clock.measure { report = try library.add(paths: [path]) }
    let second = try clock.measure { _ = try library.add(paths: [path]) }
    let collection = try #require(report?.collection)
    let size = try collection.textBytes()
    try library.close()
    let file = try FileManager.default.attributesOfItem(atPath: library.path)[.size] ?? 0
    print("indexed \(size) bytes in \(first), again in \(second), index of \(file) bytes")
    let reopened = try #require(try DocumentLibrary(path: library.path).collection(paths: [path]))
    for question in [
      "what is the name of the first university in the city", "who won the war in 1865", "the of and in to a",
      "when did the football team of the school play in the national league for the first time",
    ] {
      var found = try reopened.passages(matching: question)
      let elapsed = try clock.measure { found = try reopened.passages(matching: question) }
      print("  \(elapsed), \(found.count) passages for \"\(question)\"")
    }
  }
}
