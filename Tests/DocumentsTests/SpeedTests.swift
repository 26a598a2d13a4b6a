import DuetDocuments
import Foundation
import GRDB
import Testing

/// Speed on the folder that `DUET_DOCUMENTS_BENCH` names, as `tools/bench/make_texts.py` makes it.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["DUET_DOCUMENTS_BENCH"] != nil))
struct SpeedTests {
  private let path = ProcessInfo.processInfo.environment["DUET_DOCUMENTS_BENCH"] ?? "."
  private let clock = ContinuousClock()

  /// The paragraphs of every file, read and inserted into a full-text table in one transaction.
  private func bareInsert(_ database: String) throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    try DatabaseQueue(path: database).write { db in
      try db.execute(sql: "CREATE VIRTUAL TABLE bare USING fts5(text)")
      let insert = try db.makeStatement(sql: "INSERT INTO bare(text) VALUES (?)")
      for name in names {
        let text = try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8)
        for paragraph in text.split(separator: "\n\n") { try insert.execute(arguments: [String(paragraph)]) }
      }
    }
  }

  @Test func indexingBesideABareTable() throws {
    var ratios: [Double] = []
    for round in 1...3 {
      let folder = try TemporaryFolder()
      let bare = try clock.measure { try bareInsert(folder.file("bare.sqlite")) }
      let library = try DocumentLibrary(path: folder.file("index.sqlite"))
      let ours = try clock.measure { _ = try library.add(paths: [path]) }
      ratios.append(ours / bare)
      print("round \(round): bare FTS5 \(bare), index \(ours), ratio \(ours / bare)")
    }
    print("indexing: ratio \(ratios.sorted()[1])")
  }

  @Test func queriesAndAnAddedFile() throws {
    let folder = try TemporaryFolder()
    let library = try DocumentLibrary(path: folder.file("index.sqlite"))
    let collection = try library.add(paths: [path]).collection
    let again = try clock.measure { _ = try library.add(paths: [path]) }
    let size = try collection.textBytes()
    try library.close()
    let file = try FileManager.default.attributesOfItem(atPath: library.path)[.size] ?? 0
    print("\(size) bytes, again in \(again), index of \(file) bytes")
    let reopened = try #require(try DocumentLibrary(path: library.path).collection(paths: [path]))
    for question in [
      "what is the name of the first university in the city", "who won the war in 1865", "the of and in to a",
      "when did the football team of the school play in the national league for the first time",
      "time people world year new first", "how many years did the people of the city work for the government",
    ] {
      var times: [Duration] = [], found = 0
      for _ in 0..<11 {
        times.append(try clock.measure { found = try reopened.passages(matching: question).count })
      }
      let usual = times.dropFirst().sorted()[5]
      print("  first \(times[0]), then \(usual): \(found) passages for \"\(question)\"")
    }
  }
}
