import Foundation
import GRDB

/// Questions with the texts that answer them, every text as a file of its own.
struct RecallData {
  struct Question {
    let text: String
    let context: Int
    let set: String
    /// In small letters without punctuation; empty where none is stated.
    let answers: [String]
    /// Whether weights may be tuned on it: by a hash of its id.
    let isTuning: Bool
  }

  private struct Row: Decodable {
    let id: String
    let title: String?
    let instruction: String
    let context: String
    let answers: [String]?
  }

  private(set) var contexts: [String] = []
  private(set) var titles: [String?] = []
  private(set) var questions: [Question] = []
  /// The texts in small letters without punctuation.
  private(set) var plain: [String] = []

  init(folder: String, sets: [String]) throws {
    var numbers: [String: Int] = [:]
    for set in sets {
      let text = try String(contentsOfFile: "\(folder)/text/\(set).jsonl", encoding: .utf8)
      for line in text.split(separator: "\n") {
        let row = try JSONDecoder().decode(Row.self, from: Data(line.utf8))
        guard !row.context.isEmpty else { continue }
        let number = numbers[row.context, default: contexts.count]
        if number == contexts.count {
          numbers[row.context] = number
          contexts.append(row.context)
          titles.append(row.title?.replacing("/", with: " ").replacing("_", with: " "))
          plain.append(Self.plain(row.context))
        }
        questions.append(
          Question(
            text: row.instruction, context: number, set: set, answers: (row.answers ?? []).map(Self.plain),
            isTuning: Self.hash(row.id) >> 16 & 1 == 0))
      }
    }
  }

  /// FNV-1a.
  private static func hash(_ text: String) -> UInt32 {
    text.utf8.reduce(2_166_136_261) { ($0 ^ UInt32($1)) &* 16_777_619 }
  }

  /// Words between single spaces, and one at either end.
  private static func plain(_ text: String) -> String {
    let words = text.lowercased().split { !($0.isLetter || $0.isNumber) }
    return " " + words.filter { !["a", "an", "the"].contains($0) }.joined(separator: " ") + " "
  }

  /// What the file of a text is called.
  func name(_ context: Int, named: Bool) -> String {
    named ? (titles[context] ?? "Text") + " \(context).txt" : "\(context).txt"
  }

  /// Whether a text is the question's, is of its article, and holds one of its answers.
  func hits(_ question: Question, _ found: [Int]) -> [[Bool]] {
    let title = titles[question.context]
    return [
      found.map { $0 == question.context },
      found.map { $0 == question.context || title != nil && titles[$0] == title },
      found.map { number in question.answers.contains { $0.count > 2 && plain[number].contains($0) } },
    ]
  }
}

/// How often what is looked for is among the first 1, 3 and 5.
struct RecallCounts {
  private var hits = [[Int]](repeating: [0, 0, 0], count: 3)
  private var totals = [0, 0, 0]

  mutating func add(_ question: RecallData.Question, _ found: [Int], _ data: RecallData) {
    for (kind, list) in data.hits(question, found).enumerated() where kind < 2 || !question.answers.isEmpty {
      totals[kind] += 1
      for (place, count) in [1, 3, 5].enumerated() where list.prefix(count).contains(true) {
        hits[kind][place] += 1
      }
    }
  }

  var text: String {
    let kinds = zip(["text", "article", "answer"], zip(hits, totals))
    return kinds.map { name, counts in
      let shares = counts.0.map { String(format: "%.1f", 100 * Double($0) / Double(max(1, counts.1))) }
      return "\(name) \(shares.joined(separator: " / "))"
    }.joined(separator: "; ")
  }
}

/// SQLite's full-text table as it comes: whole texts, every word of the question.
struct BareTable {
  private let database: DatabaseQueue

  init(_ data: RecallData, named: Bool) throws {
    database = try DatabaseQueue()
    try database.write { db in
      try db.execute(sql: "CREATE VIRTUAL TABLE bare USING fts5(text)")
      for (number, context) in data.contexts.enumerated() {
        let text = named ? (data.titles[number] ?? "") + "\n" + context : context
        try db.execute(sql: "INSERT INTO bare(rowid, text) VALUES (?, ?)", arguments: [number, text])
      }
    }
  }

  func found(_ question: String) throws -> [Int] {
    let words = question.split { !($0.isLetter || $0.isNumber) }
    guard !words.isEmpty else { return [] }
    let match = words.map { "\"\($0)\"" }.joined(separator: " OR ")
    return try database.read {
      try Int.fetchAll(
        $0, sql: "SELECT rowid FROM bare WHERE bare MATCH ? ORDER BY rank LIMIT 5", arguments: [match])
    }
  }
}
