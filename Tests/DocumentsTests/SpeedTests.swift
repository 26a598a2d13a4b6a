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
    // Links to the files, so that one can be added.
    try FileManager.default.createDirectory(atPath: folder.file("d"), withIntermediateDirectories: true)
    for name in try FileManager.default.contentsOfDirectory(atPath: path) {
      try FileManager.default.createSymbolicLink(
        atPath: folder.file("d/\(name)"), withDestinationPath: "\(path)/\(name)")
    }
    let collection = try library.add(paths: [folder.file("d")]).collection
    let again = try clock.measure { _ = try library.add(paths: [folder.file("d")]) }
    print("\(try collection.textBytes()) bytes, \(try collection.passageCount()) passages, again in \(again)")
    try addFile(folder, library)
    try library.close()
    let file = try FileManager.default.attributesOfItem(atPath: library.path)[.size] ?? 0
    print("index of \(file) bytes")
    try ask(try #require(try DocumentLibrary(path: library.path).collection(paths: [folder.file("d")])))
  }

  /// One more file leaves every other row of the index as it is.
  private func addFile(_ folder: TemporaryFolder, _ library: DocumentLibrary) throws {
    let index = try DatabaseQueue(path: library.path)
    func state() throws -> [Row] {
      try index.read { db in
        try Row.fetchAll(
          db,
          sql: """
            SELECT count(*), max(chunks.id), sum(chunks.id), sum(length(text)), sum(modified) FROM chunks
            JOIN files ON files.id = file_id WHERE path NOT LIKE '%/new.md'
            """)
      }
    }
    let before = try state()
    try folder.write("d/new.md", "# A quokka\n\nThe quokka is a small wallaby.")
    var report: IndexReport?
    let time = try clock.measure { report = try library.add(paths: [folder.file("d")]) }
    let counts = try #require(report)
    print("one file more in \(time): \(counts.added) added, \(counts.unchanged) unchanged")
    #expect(counts.added == 1 && counts.updated == 0 && counts.removed == 0)
    #expect(try state() == before)
    #expect(try counts.collection.passages(matching: "quokka").count == 1)
  }

  /// Vectors without meaning, of as many values as MiniLM's.
  private struct RandomEncoder: TextEncoder {
    let name = "random"
    let dimensions = 384

    func vectors(of texts: [String]) -> [[Float]] {
      texts.map { text in
        var random = SeededGenerator(state: text.utf8.reduce(0) { $0 &* 31 &+ UInt64($1) })
        let vector = (0..<dimensions).map { _ in Float.random(in: -1...1, using: &random) }
        let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return vector.map { $0 / length }
      }
    }
  }

  /// As many passages as have their vectors compared for every question; the encoder takes no time.
  @Test func queriesByMeaningToo() throws {
    let folder = try TemporaryFolder()
    var left = 5_400_000
    var paths: [String] = []
    for name in try FileManager.default.contentsOfDirectory(atPath: path).sorted() where left > 0 {
      paths.append("\(path)/\(name)")
      left -= try FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")[.size] as? Int ?? 0
    }
    let library = try DocumentLibrary(path: folder.file("index.sqlite"))
    let collection = try library.add(paths: paths).collection.ranked(by: RandomEncoder())
    let time = try clock.measure { try collection.encodePassages() }
    print("\(try collection.passageCount()) passages, vectors stored in \(time)")
    try ask(collection)
  }

  private func ask(_ collection: DocumentCollection) throws {
    for question in [
      "what is the name of the first university in the city", "who won the war in 1865", "the of and in to a",
      "when did the football team of the school play in the national league for the first time",
      "time people world year new first", "how many years did the people of the city work for the government",
      "years", "not he but one all", "people",
    ] {
      var times: [Duration] = [], found = 0
      for _ in 0..<11 {
        times.append(try clock.measure { found = try collection.passages(matching: question).count })
      }
      let usual = times.dropFirst().sorted()[5]
      print("  first \(times[0]), then \(usual): \(found) passages for \"\(question)\"")
    }
  }
}
