import DuetRuntime
import DuetTerminal
import Foundation

/// Questions about documents, each document made of paragraphs of one article.
struct QuestionSet {
  /// Tokens of a document.
  static let documentTokens = 2_000
  /// The most questions about one document, where there are enough documents for all questions.
  static let questionsPerDocument = 10

  private struct Row: Decodable {
    let title: String
    let instruction: String
    let context: String
  }

  private(set) var documents: [QuestionedDocument] = []

  var questionCount: Int { documents.reduce(0) { $0 + $1.questions.count } }

  /// Reads JSON lines, and joins the paragraphs of each article until the document is long enough.
  /// Articles that are too short are left out.
  init(path: String, questions: Int, tokenizer: Tokenizer) throws {
    let all = try Self.articles(path).compactMap { Self.document($0, tokenizer) }
    let each = max(Self.questionsPerDocument, questions / max(1, all.count) + 1)
    for var document in all where questionCount < questions {
      document.questions = Array(document.questions.prefix(min(each, questions - questionCount)))
      documents.append(document)
    }
    guard questionCount > 0 else { throw CommandError.noQuestions(path: path, tokens: Self.documentTokens) }
  }

  private static func articles(_ path: String) throws -> [[Row]] {
    let decoder = JSONDecoder()
    var titles: [String] = [], articles: [String: [Row]] = [:]
    for (number, line) in try Input.text(path).split(whereSeparator: \.isNewline).enumerated() {
      guard let row = try? decoder.decode(Row.self, from: Data(line.utf8)) else {
        throw CommandError.badLine(path: path, line: number + 1)
      }
      if articles[row.title] == nil { titles.append(row.title) }
      articles[row.title, default: []].append(row)
    }
    return titles.compactMap { articles[$0] }
  }

  private static func document(_ rows: [Row], _ tokenizer: Tokenizer) -> QuestionedDocument? {
    var text = "", taken: Set<String> = [], length = 0
    for row in rows where length < documentTokens && !taken.contains(row.context) {
      text += (text.isEmpty ? "" : "\n\n") + row.context
      taken.insert(row.context)
      length = tokenizer.encode(text).count
    }
    guard length >= documentTokens else { return nil }
    return QuestionedDocument(
      text: text, questions: rows.filter { taken.contains($0.context) }.map(\.instruction))
  }
}

/// The measurement as `duet bench --documents` prints it.
struct DocumentBenchRecord: Encodable {
  let model: String
  let instruction: String
  let documents: Int
  let questions: Int
  let identical: Int
  let tokensPerAnswer: Double
  let promptTokens: Double
  let drafted: Int
  let accepted: Int
  let plainTokensPerS: Nullable<Double>
  let draftedTokensPerS: Nullable<Double>
  let speedup: Nullable<Double>
  let firstQuestionS: Nullable<Double>
  let laterQuestionS: Nullable<Double>

  init(_ model: Model, _ options: DocumentBenchmarkOptions, _ result: DocumentBenchmarkResult) {
    self.model = model.name
    instruction = options.instruction
    documents = result.documents
    questions = result.answers
    identical = result.identical
    tokensPerAnswer = Double(result.tokens) / Double(max(1, result.answers))
    promptTokens = Double(result.promptTokens) / Double(max(1, result.documents))
    drafted = result.drafted
    accepted = result.accepted
    plainTokensPerS = Nullable(finite: result.plainRate)
    draftedTokensPerS = Nullable(finite: result.draftedRate)
    speedup = Nullable(finite: result.draftedRate / result.plainRate)
    firstQuestionS = Nullable(finite: Self.median(result.firstQuestions))
    laterQuestionS = Nullable(finite: Self.median(result.laterQuestions))
  }

  private static func median(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : values.sorted()[values.count / 2]
  }

  var lines: [String] {
    let figure = { (value: Nullable<Double>) in value.value.map(Figures.short) ?? "-" }
    return [
      "\(model): \(documents) documents of \(Figures.short(promptTokens)) tokens, \(questions) questions, "
        + "\(Figures.short(tokensPerAnswer)) tokens an answer",
      "without drafts \(figure(plainTokensPerS)) tokens/s, with drafts \(figure(draftedTokensPerS)), "
        + "\(figure(speedup)) times as fast",
      "\(identical) of \(questions) answers the same; \(accepted) of \(drafted) drafted tokens came true",
      "first token: first question \(figure(firstQuestionS)) s, later ones \(figure(laterQuestionS)) s",
    ]
  }
}
