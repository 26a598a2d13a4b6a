import DuetRouter
import Foundation
import Testing

@Suite("Evaluations")
struct EvaluationTests {
  @Test(
    "score words as SQuAD does",
    arguments: [
      ("The Sun.", "the sun", 1.0), ("sun and moon", "the sun", 0.5), ("", "sun", 0.0), ("", "", 1.0),
      ("U.S.", "US", 1.0), ("one one two", "one two two", 2.0 / 3),
    ])
  func f1(answer: String, accepted: String, score: Double) {
    #expect(abs(AnswerScore.f1(answer, accepted) - score) < 1e-12)
  }

  @Test(
    "score longer answers by their longest common subsequence",
    arguments: [
      ("the cat sat on the mat", "the cat lay on the mat", 5.0 / 6), ("b a", "a b", 0.5), ("", "a", 0.0),
      ("police killed the gunman", "police kill the gunman", 0.75),
    ])
  func rougeL(answer: String, accepted: String, score: Double) {
    #expect(abs(AnswerScore.rougeL(answer, accepted) - score) < 1e-12)
  }

  @Test("draw whole clusters for their intervals, and give each column the same weight")
  func bootstrap() {
    let alike = (0..<40).map { (cluster: "\($0)", value: 5.0) }
    let certain = Bootstrap.mean([alike])
    #expect(certain.mean == 5 && certain.low == 5 && certain.high == 5)
    let half = (0..<400).map { (cluster: "\($0)", value: $0 % 2 == 0 ? 1.0 : 0) }
    let single = Bootstrap.mean([half])
    // The deviation of a mean of 400 coins is 0.025.
    #expect(single.mean == 0.5 && abs(single.low - 0.451) < 0.01 && abs(single.high - 0.549) < 0.01)
    // The same values in clusters of forty that agree are worth a fortieth.
    let clustered = (0..<400).map { (cluster: "\($0 / 40)", value: $0 / 40 % 2 == 0 ? 1.0 : 0) }
    #expect(Bootstrap.mean([clustered]).high - Bootstrap.mean([clustered]).low > 0.4)
    #expect(Bootstrap.mean([half, alike]).mean == 2.75)
  }

  /// A folder with a few rows in every file.
  private func folder() throws -> String {
    let folder = FileManager.default.temporaryDirectory.path + "/duet-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    func write(_ name: String, _ line: (Int) -> String) throws {
      let text = (0..<40).map { line($0) + "\n" }.joined()
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name).dev.jsonl"))
    }
    try write("squad") { n in
      #"{"id":"s\#(n)","title":"T\#(n / 4)","instruction":"Where does number \#(n) live?","context":"Number \#(n) lives in Town\#(n + 100) by the sea.","response":"Town\#(n + 100)","answers":["Town\#(n + 100)"]}"#
    }
    try write("popqa") { n in
      #"{"id":"p\#(n)","instruction":"Who is p\#(n)?","context":"He of p\#(n) is Person\#(n + 100).","response":"Person\#(n + 100)","answers":[]}"#
    }
    try write("conflictnq") { n in
      #"{"id":"c\#(n)","instruction":"When was c\#(n)?","real_context":"","real_answer":"1","fake_context":"It was in \#(n + 1900).","fake_answer":"\#(n + 1900)"}"#
    }
    try write("webquestions") { n in
      #"{"id":"w\#(n)","instruction":"what is w\#(n)?","context":"","response":"it","answers":["it"]}"#
    }
    try write("dolly") { n in
      #"{"id":"d\#(n)","instruction":"Name \#(n) things.","context":"\#(n % 5 == 0 ? "some" : "")","response":"One, two."}"#
    }
    return folder
  }

  @Test("draw both halves of the files without a question in common")
  func halves() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let choosing = try EvaluationSet(folder: folder, half: .choosing, count: 100).questions
    let reporting = try EvaluationSet(folder: folder, half: .reporting, count: 100).questions
    #expect(Set(choosing.map(\.id)).isDisjoint(with: reporting.map(\.id)))
    #expect(try EvaluationSet(folder: folder, half: .choosing, count: 100).questions == choosing)
    for column in EvaluationColumn.counted {
      let own = reporting.filter { $0.column == column }
      #expect(!own.isEmpty && Set(own.map(\.id)).count == own.count)
      #expect(own.allSatisfy { $0.passages.isEmpty != column.hasContext })
    }
    #expect(reporting.filter { $0.column == .grounding }.count <= 100)
  }

  @Test("hide the passage among three of other articles, and swap what passages say")
  func passages() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let questions = try EvaluationSet(folder: folder, half: .reporting, count: 100).questions
    for question in questions where question.column == .hardGrounding {
      #expect(question.passages.count == 4 && Set(question.passages).count == 4)
      #expect(question.passages.count { $0.contains(question.answers[0]) } == 1)
    }
    let swapped = questions.filter { $0.id.hasSuffix("-swapped") }
    #expect(!swapped.isEmpty)
    for question in swapped {
      #expect(question.passages[0].contains(question.answers[0]))
      #expect(question.score(question.answers[0]) == 100)
    }
  }

  @Test("ask what was trained on again, without its passages")
  func trained() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/rows.jsonl"
    let rows = (0..<40).map { n in
      let response = n % 4 == 0 ? String(repeating: "long ", count: 20) : "Town\(n)"
      let context = n % 4 == 1 ? "" : "It is."
      return
        #"{"id":"r\#(n)","instruction":"Where is \#(n)?","context":"\#(context)","response":"\#(response)"}"#
    }
    try Data(rows.joined(separator: "\n").utf8).write(to: URL(filePath: path))
    let plain = try EvaluationSet(folder: folder, half: .reporting, count: 20).questions
    let more = try EvaluationSet(folder: folder, half: .reporting, count: 20, trained: path).questions
    let added = more.filter { question in !plain.contains(question) }
    #expect(!added.isEmpty && added.count <= 10 && more.count == plain.count + added.count)
    for question in added {
      #expect(question.column == .closedBook && question.passages.isEmpty)
      #expect(question.answers == ["Town\(question.id.dropFirst())"])
    }
    #expect(throws: EvaluationError.noRows(path: folder + "/none.jsonl")) {
      try EvaluationSet(folder: folder, half: .reporting, count: 20, trained: folder + "/none.jsonl")
    }
  }

  @Test("name the file and line that cannot be read")
  func errors() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try Data("{}\n".utf8).write(to: URL(filePath: "\(folder)/dolly.dev.jsonl"))
    #expect(throws: EvaluationError.badLine(path: "\(folder)/dolly.dev.jsonl", line: 1)) {
      try EvaluationSet(folder: folder, half: .reporting, count: 10)
    }
    #expect(throws: EvaluationError.missing(path: "/nowhere/squad.dev.jsonl")) {
      try EvaluationSet(folder: "/nowhere", half: .reporting, count: 10)
    }
  }
}
