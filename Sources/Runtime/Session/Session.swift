import Synchronization

/// A conversation with a model.
///
/// One answer is generated at a time; its text comes as a stream, and cancelling the task that
/// reads it, or leaving the loop, stops the model within a token.
public final class Session: Sendable {
  /// What runs the model.
  public let engine: Engine
  private let state: Mutex<State>

  private struct State {
    var conversation: Conversation
    /// The engine's sequence, and the tuning that it was opened with.
    var sequence: (id: Int, tuning: Tuning?)?
    var tuning: Tuning?
    var isBusy = false
    /// Counts the times that `turns` were set: an answer to former ones is no part of the new.
    var revision = 0
  }

  /// Opens a conversation.
  ///
  /// - Parameters:
  ///   - engine: what runs the model; it may serve other sessions too.
  ///   - system: what the model is told before all turns; nil for what its template says.
  ///   - tuning: the adapter that answers, opened for the engine's model; nil for the bare model.
  public init(_ engine: Engine, system: String? = nil, tuning: Tuning? = nil) {
    self.engine = engine
    state = Mutex(State(conversation: Conversation(system: system), tuning: tuning))
  }

  deinit {
    let sequence = state.withLock { $0.sequence }
    if let sequence { Task { [engine] in await engine.close(sequence.id) } }
  }

  /// Questions and answers so far. Setting them replaces the conversation; an answer that is being
  /// generated still ends, but leaves no trace in it.
  public var turns: [ChatMessage] {
    get { state.withLock { $0.conversation.turns } }
    set {
      state.withLock { state in
        state.conversation.turns = newValue
        state.revision += 1
      }
    }
  }

  /// What the model is told before all turns.
  public var system: String? {
    get { state.withLock { $0.conversation.system } }
    set { state.withLock { $0.conversation.system = newValue } }
  }

  /// The adapter that gives the next answer; nil for the bare model. What the former one has read is
  /// read again, for nothing in the cache is shared between tunings.
  public var tuning: Tuning? {
    get { state.withLock { $0.tuning } }
    set { state.withLock { $0.tuning = newValue } }
  }

  /// Forgets all turns.
  public func reset() { turns = [] }

  /// Asks, and streams the text of the answer.
  public func reply(
    to question: String, about picture: InputEmbeddings? = nil,
    _ options: GenerationOptions = GenerationOptions()
  ) -> AsyncThrowingStream<String, any Error> {
    let events = events(replyingTo: question, about: picture, options)
    return .task { yield in
      for try await case .text(let text) in events { yield(text) }
    }
  }

  /// Asks, and streams everything that happens until the answer is complete.
  ///
  /// The question and the answer, as far as it came, become part of the conversation, also when the
  /// task is cancelled meanwhile; where no prompt could be made of them, neither does.
  ///
  /// - Parameters:
  ///   - question: what is asked.
  ///   - picture: what it is about, as vectors of the model's width; nil for words alone.
  ///   - options: what the answer may be like.
  public func events(
    replyingTo question: String, about picture: InputEmbeddings? = nil,
    _ options: GenerationOptions = GenerationOptions()
  ) -> AsyncThrowingStream<GenerationEvent, any Error> {
    .task { [self] in
      try await answer(ChatMessage(role: .user, content: question, picture: picture), options, $0)
    }
  }

  private func answer(
    _ question: ChatMessage, _ options: GenerationOptions,
    _ yield: @escaping @Sendable (GenerationEvent) -> Void
  ) async throws {
    let width = engine.model.config.embeddingLength
    if let picture = question.picture, picture.width != width {
      throw SessionError.pictureWidth(picture.width, model: width)
    }
    if let problem = options.sampling.problem() { throw SessionError.sampling(problem) }
    if let tuning, tuning.adapter.model !== engine.model {
      throw AdapterError.otherModel(path: tuning.adapter.path, adapted: tuning.adapter.model.name)
    }
    try Task.checkCancellation()
    let (conversation, revision) = try begin(question)
    var generator = AnswerGenerator(
      engine: engine, sequence: await sequence(), conversation: conversation, options: options, yield: yield)
    do {
      try await generator.prepare()
    } catch {
      withdraw(revision)
      throw error
    }
    do {
      try await generator.run()
    } catch {
      finish(generator, revision)
      throw error
    }
    // Before the last event: whoever sees it may ask again.
    finish(generator, revision)
    yield(.finished(generator.completion))
  }

  private func begin(_ question: ChatMessage) throws(SessionError) -> (Conversation, revision: Int) {
    let begun: (Conversation, revision: Int)? = state.withLock { state in
      guard !state.isBusy else { return nil }
      state.isBusy = true
      state.conversation.turns.append(question)
      return (state.conversation, state.revision)
    }
    guard let begun else { throw .busy }
    return begun
  }

  private func sequence() async -> Int {
    let (known, tuning) = state.withLock { ($0.sequence, $0.tuning) }
    if let known, known.tuning == tuning { return known.id }
    if let known { await engine.close(known.id) }
    let new = await engine.open(tuning)
    state.withLock { $0.sequence = (new, tuning) }
    return new
  }

  /// Takes the question back.
  private func withdraw(_ revision: Int) {
    state.withLock { state in
      state.isBusy = false
      guard state.revision == revision else { return }
      _ = state.conversation.turns.popLast()
    }
  }

  /// Takes over what was answered, and which turns were dropped.
  private func finish(_ generator: AnswerGenerator, _ revision: Int) {
    state.withLock { state in
      state.isBusy = false
      guard state.revision == revision else { return }
      state.conversation.turns = generator.conversation.turns
      state.conversation.turns.append(ChatMessage(role: .assistant, content: generator.completion.text))
    }
  }
}
