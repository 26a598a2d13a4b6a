/// What an evaluation asks: five kinds of question that count, and one beside them, each with its own score
/// of 0 to 100.
public enum EvaluationColumn: String, Sendable, CaseIterable, Codable {
  /// With the passage that holds the answer. F1.
  case grounding
  /// The same among three passages of other articles that match the question best. F1.
  case hardGrounding = "hard grounding"
  /// With a passage that says otherwise than the world does. F1 with what the passage says.
  case conflict
  /// Without context. F1.
  case closedBook = "closed book"
  /// Instructions without context. ROUGE-L.
  case instructions
  /// With a passage that may not hold the answer. The share of those that are told from the others by
  /// saying so. Not one of the five.
  case refusals

  /// The five that the mean is of.
  public static let counted: [EvaluationColumn] = [
    .grounding, .hardGrounding, .conflict, .closedBook, .instructions,
  ]

  /// Whether its questions bring context.
  public var hasContext: Bool { self != .closedBook && self != .instructions }
}

/// One question of an evaluation.
public struct EvaluationQuestion: Sendable, Equatable {
  /// Unlike any other of its column.
  public let id: String
  /// What it is scored with.
  public let column: EvaluationColumn
  /// The article that it is about: questions about one are not independent.
  public let cluster: String
  /// What is asked.
  public let question: String
  /// The passages that come with it, in their order.
  public let passages: [String]
  /// What is accepted as an answer; none where the passages do not hold one.
  public let answers: [String]

  struct Key: Hashable {
    let column: EvaluationColumn
    let id: String
  }
  var key: Key { Key(column: column, id: id) }

  /// The question as a tuning is asked it.
  ///
  /// - Parameter withContext: whether its passages stand before it.
  public func prompt(withContext: Bool = true) -> String {
    guard withContext, !passages.isEmpty else { return question }
    return ContextPrompt.question(question, text: text)
  }

  /// The passages as a tuning sees them.
  var text: String { passages.joined(separator: "\n\n") }

  /// The question as a router sees it.
  public var turn: Router.Turn { Router.Turn(question, passages: passages) }

  /// The score of an answer, 0 to 100.
  public func score(_ answer: String) -> Double {
    if column == .refusals { return Refusal.matches(answer) == answers.isEmpty ? 100 : 0 }
    let scores = answers.map { accepted in
      column == .instructions
        ? AnswerScore.rougeL(answer, accepted) : AnswerScore.f1(answer, accepted)
    }
    return 100 * (scores.max() ?? 0)
  }

  /// Tokens that an answer may have.
  var maxTokens: Int { column == .instructions ? 128 : 40 }
}
