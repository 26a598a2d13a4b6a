/// A text and questions about it.
public struct QuestionedDocument: Sendable {
  /// The text.
  public var text: String
  /// What is asked about it.
  public var questions: [String]

  /// A text with questions.
  public init(text: String, questions: [String]) {
    self.text = text
    self.questions = questions
  }
}

/// How questions about documents are measured.
public struct DocumentBenchmarkOptions: Sendable {
  /// Stands before each question.
  public var instruction = "Copy the whole paragraph of the text that answers the question, word for word."
  /// The most tokens of an answer.
  public var maxTokens = 160
  /// The adapter that answers; nil for the bare model.
  public var tuning: Tuning?

  /// Asks for the passage that answers.
  public init() {}
}

/// What answering questions about documents took, with drafts and without.
public struct DocumentBenchmarkResult: Sendable {
  /// Answers that were given twice, once with drafts and once without.
  public var answers = 0
  /// Answers that were the same both times.
  public var identical = 0
  /// Tokens of all answers.
  public var tokens = 0
  /// Tokens of all documents with the first question.
  public var promptTokens = 0
  /// Documents.
  public var documents = 0
  /// Tokens that were drafted, and those that came true.
  public var drafted = 0
  /// Drafted tokens that came true.
  public var accepted = 0
  /// Seconds of generating after the first tokens, without drafts.
  public var plainSeconds = 0.0
  /// Seconds of generating after the first tokens, with drafts.
  public var draftedSeconds = 0.0
  /// Seconds to the first token of each document's first question.
  public var firstQuestions: [Double] = []
  /// Seconds to the first token of each further question.
  public var laterQuestions: [Double] = []

  /// Nothing measured yet.
  public init() {}

  /// Tokens per second without drafts.
  public var plainRate: Double { Double(tokens - answers) / plainSeconds }
  /// Tokens per second with drafts.
  public var draftedRate: Double { Double(tokens - answers) / draftedSeconds }
}

extension Engine {
  /// Asks each document its questions, each in a conversation of its own: first for one token, so
  /// that the prompt is read, then once with drafts and once without, which of them first by turns.
  ///
  /// - Parameters:
  ///   - documents: what is asked about.
  ///   - options: how it is asked.
  ///   - progress: called with the questions done.
  /// - Throws: `SessionError` for a document that is too long; `CancellationError`.
  public nonisolated func benchmark(
    _ documents: [QuestionedDocument], _ options: DocumentBenchmarkOptions = DocumentBenchmarkOptions(),
    progress: @Sendable (_ done: Int) -> Void = { _ in }
  ) async throws -> DocumentBenchmarkResult {
    var result = DocumentBenchmarkResult()
    for document in documents {
      let session = Session(self, system: "Text: \(document.text)", tuning: options.tuning)
      for (index, question) in document.questions.enumerated() {
        let text = "\(options.instruction)\n\nQuestion: \(question)"
        result.addFirstToken(try await session.completion(text, maxTokens: 1, .off), isFirst: index == 0)
        let first = index % 2 == 0 ? Drafting.adaptive : .off
        let one = try await session.completion(text, maxTokens: options.maxTokens, first)
        let other = try await session.completion(
          text, maxTokens: options.maxTokens, first == .off ? .adaptive : .off)
        result.add(plain: first == .off ? one : other, drafted: first == .off ? other : one)
        progress(result.answers)
      }
    }
    return result
  }
}

extension DocumentBenchmarkResult {
  fileprivate mutating func addFirstToken(_ completion: Completion, isFirst: Bool) {
    guard isFirst else { return laterQuestions.append(completion.timings.firstToken) }
    documents += 1
    promptTokens += completion.usage.promptTokens
    firstQuestions.append(completion.timings.firstToken)
  }

  fileprivate mutating func add(plain: Completion, drafted: Completion) {
    answers += 1
    identical += plain.text == drafted.text ? 1 : 0
    tokens += plain.usage.completionTokens
    self.drafted += drafted.usage.draftedTokens
    accepted += drafted.usage.acceptedTokens
    plainSeconds += plain.timings.decode
    draftedSeconds += drafted.timings.decode
  }
}

extension Session {
  fileprivate func completion(
    _ text: String, maxTokens: Int, _ drafting: Drafting
  ) async throws -> Completion {
    try Task.checkCancellation()
    reset()
    var options = GenerationOptions()
    options.maxTokens = maxTokens
    options.drafting = drafting
    var completion = Completion()
    for try await case .finished(let end) in events(replyingTo: text, options) { completion = end }
    return completion
  }
}
