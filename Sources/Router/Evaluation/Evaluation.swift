import DuetRuntime

/// Asks the tunings of a model the questions of a set, and compares how they do with a routed pair.
public struct Evaluation: Sendable {
  /// A tuning that is asked everything.
  public struct Arm: Sendable {
    /// `grounded`, `mixed`, …
    public let name: String
    /// What runs it.
    public let voice: Pair.Voice

    /// - Parameters:
    ///   - name: what results call it.
    ///   - voice: what runs it.
    public init(name: String, voice: Pair.Voice) {
      self.name = name
      self.voice = voice
    }
  }

  /// One answer, as it is kept between runs.
  public struct Answer: Sendable, Equatable, Codable {
    /// Who answered.
    public let arm: String
    /// Of the question.
    public let column: EvaluationColumn
    /// The question's.
    public let id: String
    /// Whether the passages stood before the question.
    public let withContext: Bool
    /// What was said.
    public let text: String

    var key: Key { Key(arm: arm, column: column, id: id, withContext: withContext) }
  }

  /// How an arm takes an accepted answer, as it is kept between runs.
  public struct Reading: Sendable, Equatable, Codable {
    /// Who read.
    public let arm: String
    /// Of the question.
    public let column: EvaluationColumn
    /// The question's.
    public let id: String
    /// Whether the passages stood before the question.
    public let withContext: Bool
    /// The mean logarithm of the probability of the answer's tokens, in nats.
    public let logProbability: Double
    /// [layers] The share of attention that the passages get, 0 to 1; empty without them.
    public let attention: [Float]

    var key: Key { Key(arm: arm, column: column, id: id, withContext: withContext) }
  }

  /// One line of what is kept.
  public enum Record: Sendable, Equatable, Codable {
    case answer(Answer)
    case reading(Reading)

    /// Tells them apart by what they hold.
    public init(from decoder: any Swift.Decoder) throws {
      do { self = .answer(try Answer(from: decoder)) } catch { self = .reading(try Reading(from: decoder)) }
    }

    /// As a line of its own kind.
    public func encode(to encoder: any Swift.Encoder) throws {
      switch self {
      case .answer(let answer): try answer.encode(to: encoder)
      case .reading(let reading): try reading.encode(to: encoder)
      }
    }
  }

  struct Key: Hashable {
    let arm: String
    let column: EvaluationColumn
    let id: String
    let withContext: Bool
  }

  /// What is asked.
  public let questions: [EvaluationQuestion]
  private let arms: [Arm]
  /// Where the router sends each question.
  private let routes: [EvaluationQuestion.Key: Route]
  private var answers: [Key: Answer] = [:]
  private var readings: [Key: Reading] = [:]

  /// The arm that turns with context that helps are routed to.
  public static let grounded = "grounded"
  /// The arm that other turns are routed to.
  public static let free = "free"

  /// - Parameters:
  ///   - questions: what is asked.
  ///   - arms: who is asked; one `grounded` and one `free` for the routed rows.
  ///   - router: chooses between these.
  ///   - known: what an earlier run found, which is not asked for again.
  public init(_ questions: [EvaluationQuestion], arms: [Arm], router: Router?, known: [Record] = []) {
    self.questions = questions
    self.arms = arms
    routes = Dictionary(
      questions.map { ($0.key, Router.decide($0.turn, .auto, with: router).route) }
    ) { first, _ in first }
    for record in known { note(record) }
  }

  private mutating func note(_ record: Record) {
    switch record {
    case .answer(let answer): answers[answer.key] = answer
    case .reading(let reading): readings[reading.key] = reading
    }
  }

  /// Answers that are asked for at the same time, in one pass of the model.
  private static let width = 8

  private struct Task {
    let arm: Arm
    let question: EvaluationQuestion
    let withContext: Bool
    /// Whether an accepted answer is read, instead of one being asked for.
    var reads = false
    var key: Key {
      Key(arm: arm.name, column: question.column, id: question.id, withContext: withContext)
    }
  }

  /// Asks what has no answer yet, and has accepted answers read.
  ///
  /// - Parameters:
  ///   - progress: called with how much of it there is and will be.
  ///   - keep: called with each new record.
  /// - Throws: `SessionError`, `AdapterError`, what `keep` throws, or `CancellationError`.
  public mutating func run(
    progress: (Int, Int) -> Void = { _, _ in }, keep: (Record) throws -> Void = { _ in }
  ) async throws {
    let tasks = tasks()
    let open = tasks.filter { $0.reads ? readings[$0.key] == nil : answers[$0.key] == nil }
    var done = tasks.count - open.count
    progress(done, tasks.count)
    try await withThrowingTaskGroup(of: Record.self) { group in
      for task in open.prefix(Self.width) { group.addTask { try await Self.record(task) } }
      var rest = open.dropFirst(Self.width)
      for try await record in group {
        if let task = rest.popFirst() { group.addTask { try await Self.record(task) } }
        note(record)
        try keep(record)
        done += 1
        progress(done, tasks.count)
      }
    }
  }

  /// Every arm is asked every question, and those of the first column again without their passages; *free*
  /// also others where the router leaves the passages out. Accepted answers that are short are read, too.
  private func tasks() -> [Task] {
    var tasks: [Task] = []
    for arm in arms {
      tasks += questions.map { Task(arm: arm, question: $0, withContext: true) }
      tasks += questions.filter { question in
        question.column == .grounding
          || arm.name == Self.free && question.column.hasContext && route(question) == .free
      }.map { Task(arm: arm, question: $0, withContext: false) }
      for question in questions where question.answers.first?.isEmpty == false {
        let ways =
          question.column == .grounding ? [true, false] : question.column == .closedBook ? [true] : []
        tasks += ways.map { Task(arm: arm, question: question, withContext: $0, reads: true) }
      }
    }
    return tasks
  }

  private static func record(_ task: Task) async throws -> Record {
    task.reads ? .reading(try await reading(task)) : .answer(try await answer(task))
  }

  private static func reading(_ task: Task) async throws -> Reading {
    let session = Session(task.arm.voice.engine, tuning: task.arm.voice.tuning), question = task.question
    let found = try await session.reading(
      of: question.answers.first ?? "", to: question.prompt(withContext: task.withContext),
      watching: task.withContext && !question.passages.isEmpty ? [question.text] : [])
    return Reading(
      arm: task.key.arm, column: task.key.column, id: task.key.id, withContext: task.key.withContext,
      logProbability: found.logProbability / Double(max(1, found.logProbabilities.count)),
      attention: found.attention.compactMap(\.first))
  }

  private static func answer(_ task: Task) async throws -> Answer {
    let session = Session(task.arm.voice.engine, tuning: task.arm.voice.tuning)
    var options = GenerationOptions()
    options.maxTokens = task.question.maxTokens
    var text: String?
    let prompt = task.question.prompt(withContext: task.withContext)
    for try await event in session.events(replyingTo: prompt, options) {
      if case .finished(let completion) = event { text = completion.text }
    }
    // A stream that is cancelled ends early, without an error.
    guard let text else { throw CancellationError() }
    let key = task.key
    return Answer(
      arm: key.arm, column: key.column, id: key.id, withContext: key.withContext, text: text)
  }

  private func route(_ question: EvaluationQuestion) -> Route {
    routes[question.key] ?? .free
  }

  // MARK: Results

  /// The row's score for each question, in their order; nil where there is no such row or an answer is
  /// missing. Rows are the arms, `routed` and `oracle-routed`.
  func scores(_ row: String) -> [Double]? {
    var scores: [Double] = []
    for question in questions {
      guard let answer = answers[key(row, question)] else { return nil }
      scores.append(question.score(answer.text))
    }
    return scores
  }

  /// Whose answer a row gives.
  private func key(_ row: String, _ question: EvaluationQuestion) -> Key {
    let (column, id) = (question.column, question.id)
    switch row {
    case Self.routed where route(question) == .grounded:
      return Key(arm: Self.grounded, column: column, id: id, withContext: true)
    case Self.routed:
      return Key(arm: Self.free, column: column, id: id, withContext: !column.hasContext)
    case Self.oracle:
      return Key(
        arm: column.hasContext ? Self.grounded : Self.free, column: column, id: id, withContext: true)
    default: return Key(arm: row, column: column, id: id, withContext: true)
    }
  }

  static let routed = "routed"
  static let oracle = "oracle-routed"

  /// What the row says to a question of a column with context, with it and without; nil where that was
  /// not asked.
  func answersWithAndWithout(_ row: String, _ question: EvaluationQuestion) -> (String, String)? {
    func text(_ withContext: Bool) -> String? {
      answers[Key(arm: row, column: question.column, id: question.id, withContext: withContext)]?.text
    }
    guard let with = text(true), let without = text(false) else { return nil }
    return (with, without)
  }

  /// How an arm takes the accepted answers of a column, as far as that is known.
  func readings(
    _ arm: String, _ column: EvaluationColumn, withContext: Bool
  ) -> [(cluster: String, reading: Reading)] {
    questions.filter { $0.column == column }.compactMap { question in
      readings[Key(arm: arm, column: column, id: question.id, withContext: withContext)]
        .map { (question.cluster, $0) }
    }
  }

  /// All rows: the arms in their order, then the routed ones.
  var rows: [String] { arms.map(\.name) + [Self.routed, Self.oracle] }
}
