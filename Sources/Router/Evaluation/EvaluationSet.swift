import DuetRuntime

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// The questions of an evaluation, made from files of rows.
public struct EvaluationSet: Sendable {
  /// Which questions: by a hash of their ids, half of each file is for choosing among tunings and half
  /// for reporting how the chosen one does.
  public enum Half: String, Sendable, CaseIterable, Codable {
    case choosing, reporting
  }

  /// Column by column.
  public let questions: [EvaluationQuestion]

  /// Reads `squad.dev.jsonl`, `popqa.dev.jsonl`, `conflictnq.dev.jsonl`, `webquestions.dev.jsonl`,
  /// `dolly.dev.jsonl` and, if there is one, `clapnq.dev.jsonl` of a folder, and draws questions from them.
  ///
  /// - Parameters:
  ///   - folder: where the files lie.
  ///   - half: which half of them.
  ///   - count: of questions per column, as far as the files have so many.
  ///   - trained: a file of rows that tunings were trained on; half of `count` more questions of *closed book* are
  ///     theirs that had a context, asked without it.
  /// - Throws: `EvaluationError`.
  /// - Complexity: O(count · rows) for the distractors.
  public init(folder: String, half: Half, count: Int, trained: String? = nil) throws(EvaluationError) {
    func rows(path: String) throws(EvaluationError) -> [Row] {
      try Row.read(path).filter { $0.half == half }.sorted { $0.order < $1.order }
    }
    func rows(_ name: String) throws(EvaluationError) -> [Row] { try rows(path: Row.path(folder, name)) }
    let squad = try rows("squad"), popqa = try rows("popqa"), conflict = try rows("conflictnq")
    let web = try rows("webquestions")
    let dolly = try rows("dolly").filter { $0.context?.isEmpty != false }
    let first = count - count / 2, second = count / 2
    let gold = Array(squad.prefix(first) + popqa.prefix(second))
    let all = squad + popqa
    let swaps = Self.swapped(squad)
    let fakes = Array(conflict.compactMap { $0.fake() }.prefix(max(second, count - swaps.count)))
    var questions = gold.map { $0.question(.grounding, [$0.context ?? ""]) }
    questions += gold.map { $0.question(.hardGrounding, Self.crowd($0, all)) }
    questions += fakes
    questions += swaps.prefix(count - fakes.count)
    questions += (popqa.prefix(first) + web.prefix(second)).map { $0.question(.closedBook, []) }
    if let trained {
      guard FileManager.default.isReadableFile(atPath: trained) else { throw .noRows(path: trained) }
      questions += try rows(path: trained).filter(\.isFact).prefix(second).map {
        $0.question(.closedBook, [])
      }
    }
    questions += dolly.prefix(count).map { $0.question(.instructions, []) }
    if FileManager.default.fileExists(atPath: Row.path(folder, "clapnq")) {
      let clapnq = try rows("clapnq").filter { $0.context?.isEmpty == false }
      questions += clapnq.prefix(count).map { $0.question(.refusals, [$0.context ?? ""]) }
    }
    self.questions = questions
  }

  /// The row's passage among three of other articles that share the rarest words with the question.
  private static func crowd(_ row: Row, _ all: [Row]) -> [String] {
    let wanted = Set(Wording(row.instruction).words.filter { !$0.isCommon }.map(\.stem))
    let others = all.filter { $0.cluster != row.cluster }.map { other in
      (text: other.context ?? "", count: wanted.intersection(other.stems).count, order: other.order)
    }
    var seen: Set<String> = []
    var passages = others.sorted { ($1.count, $0.order) < ($0.count, $1.order) }
      .filter { seen.insert($0.text).inserted }.prefix(3).map(\.text)
    passages.insert(row.context ?? "", at: Int(row.order % UInt64(passages.count + 1)))
    return passages
  }

  /// Rows whose passage gives another answer: wherever the answer stands, that of another row which is
  /// of the same kind.
  private static func swapped(_ rows: [Row]) -> [EvaluationQuestion] {
    let usable = rows.filter { row in
      guard let context = row.context, row.response.count > 2 else { return false }
      return context.contains(row.response) && !row.instruction.contains(row.response)
    }
    return usable.enumerated().compactMap { index, row in
      let after = usable[(index + 1)...] + usable[..<index]
      let other = after.first { other in
        other.kind == row.kind && other.cluster != row.cluster
          && AnswerScore.f1(other.response, row.response) == 0
      }
      guard let other, let context = row.context else { return nil }
      let text = context.replacing(row.response, with: other.response)
      return EvaluationQuestion(
        id: row.id + "-swapped", column: .conflict, cluster: row.cluster, question: row.instruction,
        passages: [text], answers: [other.response])
    }
  }
}

/// A row of a file.
private struct Row: Decodable {
  let id: String
  let title: String?
  let instruction: String
  let context: String?
  let answers: [String]?
  private let given: String?
  private let fakeContext: String?
  private let fakeAnswer: String?
  private let isAnswerable: Bool
  /// Of the passage, so that distractors are found in one pass.
  let stems: Set<String>

  private enum Keys: String, CodingKey {
    case id, title, instruction, context, response, answers
    case fakeContext = "fake_context"
    case fakeAnswer = "fake_answer"
    case isAnswerable = "answerable"
  }

  init(from decoder: any Swift.Decoder) throws {
    let values = try decoder.container(keyedBy: Keys.self)
    id = try values.decode(String.self, forKey: .id)
    title = try values.decodeIfPresent(String.self, forKey: .title)
    instruction = try values.decode(String.self, forKey: .instruction)
    context = try values.decodeIfPresent(String.self, forKey: .context)
    given = try values.decodeIfPresent(String.self, forKey: .response)
    answers = try values.decodeIfPresent([String].self, forKey: .answers)
    fakeContext = try values.decodeIfPresent(String.self, forKey: .fakeContext)
    fakeAnswer = try? values.decodeIfPresent(String.self, forKey: .fakeAnswer)
    isAnswerable = try values.decodeIfPresent(Bool.self, forKey: .isAnswerable) ?? true
    stems = Set(Wording(context ?? "").words.map(\.stem))
  }

  var response: String { given ?? "" }
  /// Whether a passage answers it in a few words.
  var isFact: Bool { context?.isEmpty == false && (1...Self.factLength).contains(response.count) }
  private static let factLength = 60
  var cluster: String { title ?? id }

  /// A hash of the id, which no seed changes.
  var order: UInt64 {
    var digest = Digest()
    digest.add(id)
    return digest.value
  }
  var half: EvaluationSet.Half { order >> 32 & 1 == 0 ? .choosing : .reporting }

  /// Numbers are swapped for numbers, names for names, a phrase for a phrase.
  var kind: [Bool] {
    [
      response.contains { $0.isNumber }, response.first?.isUppercase == true,
      response.split(separator: " ").count > 3,
    ]
  }

  func question(_ column: EvaluationColumn, _ passages: [String]) -> EvaluationQuestion {
    EvaluationQuestion(
      id: id, column: column, cluster: cluster, question: instruction, passages: passages,
      answers: isAnswerable ? answers.flatMap { $0.isEmpty ? nil : $0 } ?? [response] : [])
  }

  func fake() -> EvaluationQuestion? {
    guard let fakeContext, let fakeAnswer, !fakeContext.isEmpty, !fakeAnswer.isEmpty else { return nil }
    return EvaluationQuestion(
      id: id, column: .conflict, cluster: cluster, question: instruction, passages: [fakeContext],
      answers: [fakeAnswer])
  }

  static func path(_ folder: String, _ name: String) -> String { "\(folder)/\(name).dev.jsonl" }

  static func read(_ path: String) throws(EvaluationError) -> [Row] {
    guard let data = FileManager.default.contents(atPath: path) else { throw .missing(path: path) }
    let decoder = JSONDecoder()
    var rows: [Row] = []
    for (index, line) in data.split(separator: 10, omittingEmptySubsequences: false).enumerated()
    where !line.isEmpty {
      do { rows.append(try decoder.decode(Row.self, from: Data(line))) } catch {
        throw .badLine(path: path, line: index + 1)
      }
    }
    return rows
  }
}

/// Why an evaluation cannot be made.
public enum EvaluationError: Error, Equatable, CustomStringConvertible {
  case missing(path: String)
  case badLine(path: String, line: Int)
  case noRows(path: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .missing(let path):
      "cannot read \(path); the folder must hold squad.dev.jsonl, popqa.dev.jsonl, conflictnq.dev.jsonl, "
        + "webquestions.dev.jsonl and dolly.dev.jsonl"
    case .noRows(let path): "cannot read \(path); give the file of rows that duet train was given"
    case .badLine(let path, let line):
      "\(path):\(line) is no row; each line is a JSON object with id, instruction, context and response"
    }
  }
}
