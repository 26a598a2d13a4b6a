import DuetDocuments
import Foundation
import Testing

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
