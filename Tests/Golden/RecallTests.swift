import DuetDocuments
import DuetRouter
import DuetRuntime
import Foundation
import Testing

/// Retrieval on real questions beside a bare full-text table; runs where `DUET_DATA` names a folder with
/// the text sets. Where `DUET_ENCODER` names a sentence encoder, passages are ranked by meaning too.
/// `DUET_RECALL_SHARE=N` asks only every Nth question.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["DUET_DATA"] != nil))
struct RecallTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let sets = ["squad.train", "squad.dev", "nq.train", "clapnq.dev", "popqa.dev"]

  /// `DUET_PASSAGE_BYTES` sets other sizes of passages than the default.
  private static let options =
    environment["DUET_PASSAGE_BYTES"].flatMap { Int($0) }.map {
      ChunkOptions(targetBytes: $0, maximumBytes: $0 * 5 / 3)
    } ?? ChunkOptions()

  /// Counts for all questions, for each set, and for the half that nothing was tuned on.
  private struct Table {
    private var counts: [String: RecallCounts] = [:]

    mutating func add(_ question: RecallData.Question, _ found: [Int], _ data: RecallData) {
      for key in ["all", question.isTuning ? "tuned on" : "held out", question.set] {
        counts[key, default: RecallCounts()].add(question, found, data)
      }
    }

    func show(_ name: String) {
      for (key, count) in counts.sorted(by: { $0.key < $1.key }) { print("\(name), \(key): \(count.text)") }
    }
  }

  private func collection(_ data: RecallData, _ folder: String, named: Bool) throws -> DocumentCollection {
    try FileManager.default.createDirectory(atPath: folder + "/d", withIntermediateDirectories: true)
    for (number, context) in data.contexts.enumerated() {
      try Data(context.utf8).write(to: URL(filePath: "\(folder)/d/\(data.name(number, named: named))"))
    }
    let library = try DocumentLibrary(path: folder + "/index.sqlite", options: Self.options)
    return try library.add(paths: [folder + "/d"]).collection
  }

  /// The numbers of the texts that passages come from, each once.
  private func texts(_ passages: [Passage]) -> [Int] {
    var seen: Set<Int> = []
    return passages.compactMap { passage in
      Int(passage.path.dropLast(4).split { $0 == "/" || $0 == " " }.last ?? "")
    }.filter { seen.insert($0).inserted }
  }

  @Test(arguments: [false, true])
  func recall(named: Bool) throws {
    let data = try RecallData(folder: Self.environment["DUET_DATA"] ?? ".", sets: Self.sets)
    let share = Self.environment["DUET_RECALL_SHARE"].flatMap { Int($0) } ?? 1
    let questions = data.questions.enumerated().filter { $0.offset % share == 0 }.map(\.element)
    let folder = FileManager.default.temporaryDirectory.path + "/duet-recall-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let words = try collection(data, folder, named: named)
    let names = named ? "named for their articles" : "without names"
    print("\(data.contexts.count) texts \(names), \(questions.count) questions")
    var bare = Table()
    let table = try BareTable(data, named: named)
    for question in questions { bare.add(question, try table.found(question.text), data) }
    bare.show("bare FTS5")
    try ask(words, questions, data, "by words")
    guard let path = Self.environment["DUET_ENCODER"] else { return }
    let meaning = words.ranked(by: try SentenceEncoder(path: path))
    print("encoding \(try ContinuousClock().measure { try meaning.encodePassages() })")
    try ask(meaning, questions, data, "by words and meaning")
  }

  private func ask(
    _ collection: DocumentCollection, _ questions: [RecallData.Question], _ data: RecallData, _ name: String
  ) throws {
    var table = Table()
    let time = try ContinuousClock().measure {
      for question in questions {
        table.add(question, texts(try collection.passages(matching: question.text, limit: 10)), data)
      }
    }
    table.show(name)
    print("\(time / questions.count) a query")
  }
}
