import DuetDocuments
import DuetRuntime
import Synchronization

/// A conversation with a model about documents, or about nothing in particular.
///
/// Where all documents fit the budget they stand before the turns, once; otherwise each question
/// brings the passages that match it best and that no earlier one brought. Either way what was said
/// keeps its place, so that the cache serves it again.
public final class Chat: Sendable {
  private let session: Session
  private let customSystem: String?
  private let state: Mutex<State>
  /// Tokens of the context that documents may take.
  public let documentBudget: Int

  private struct State {
    var documents: DocumentCollection?
    /// The passages in the prompt and the turns that brought them.
    var shown: [(source: Source, turn: Int)] = []
    /// Whether all documents stand in the system message.
    var isWhole = false
    /// Turns so far, and how many of the oldest no longer fit.
    var turns = 0
    var droppedTurns = 0
    var lastNumber = 0

    /// Passages leave the prompt with the turns that brought them.
    mutating func drop(_ count: Int) {
      droppedTurns += count
      if !isWhole { shown.removeAll { $0.turn < droppedTurns } }
    }
  }

  /// Opens a conversation.
  ///
  /// - Parameters:
  ///   - engine: what runs the model.
  ///   - system: what the model is told before all turns; nil for a default that suits.
  ///   - documents: what questions are answered from; nil for none.
  ///   - tuning: an adapter of the engine's model that answers; nil for the bare model.
  ///   - documentBudget: tokens that passages may take, at most half of the context; nil for what a
  ///     model of this size reads well.
  public init(
    _ engine: Engine, system: String? = nil, documents: DocumentCollection? = nil, tuning: Tuning? = nil,
    documentBudget: Int? = nil
  ) {
    session = Session(engine, system: system ?? ContextPrompt.plainSystem, tuning: tuning)
    customSystem = system
    self.documentBudget = min(
      documentBudget ?? Self.suitableBudget(engine.model), engine.contextLength / 2)
    state = Mutex(State(documents: documents))
  }

  /// Passages that match the question less than this share of the best are left out.
  private static let worthwhile = 0.5

  /// Models of some hundred million parameters lose their way in more than a few paragraphs.
  private static func suitableBudget(_ model: Model) -> Int {
    model.parameterCount < 500_000_000 ? 320 : 4_096
  }

  /// What questions are answered from. Changing it starts the conversation anew.
  public var documents: DocumentCollection? {
    get { state.withLock { $0.documents } }
    set {
      state.withLock { $0 = State(documents: newValue) }
      reset()
    }
  }

  /// Questions, with the passages they brought, and answers so far.
  public var turns: [ChatMessage] {
    get { session.turns }
    set { session.turns = newValue }
  }

  /// Forgets all turns and the passages they brought.
  public func reset() {
    session.reset()
    state.withLock { $0 = State(documents: $0.documents) }
  }

  /// Whether the model knows turns at all; a base model only continues what it is given.
  public var hasTemplate: Bool { session.engine.model.template != nil }

  /// Asks, and streams everything that happens until the answer is complete.
  public func ask(
    _ question: String, _ options: GenerationOptions = GenerationOptions()
  ) -> AsyncThrowingStream<ChatEvent, any Error> {
    .task { [self] in try await answer(question, options, $0) }
  }

  private func answer(
    _ question: String, _ options: GenerationOptions, _ yield: (ChatEvent) -> Void
  ) async throws {
    let before = state.withLock { $0 }
    let prompt = try place(question)
    do {
      try await answer(prompt, options, yield)
    } catch let error as SessionError {
      // The session did not take the question, so its passages stand nowhere.
      state.withLock { $0 = before }
      throw error
    }
  }

  private func answer(
    _ prompt: Prompt, _ options: GenerationOptions, _ yield: (ChatEvent) -> Void
  ) async throws {
    var reply = Reply()
    reply.reason = prompt.reason
    yield(.routed(reply.route, reason: reply.reason, context: prompt.context))
    for try await event in session.events(replyingTo: prompt.text, options) {
      switch event {
      case .text(let text): yield(.text(text))
      case .droppedTurns(let count):
        state.withLock { $0.drop(count) }
        yield(.droppedTurns(count))
      case .prefill(let done, let total): yield(.prefill(done: done, total: total))
      case .finished(let completion):
        reply.text = completion.text
        reply.usage = completion.usage
        reply.timings = completion.timings
        reply.finish = completion.reason
        let support = Support(answer: completion.text)
        reply.sources = support.best(prompt.context).map { $0.located(support) }
        yield(.finished(reply))
      }
    }
  }

  private struct Prompt {
    let text: String
    let context: [Source]
    let reason: String
  }

  /// Finds the passages for a question and puts them where they stay.
  private func place(_ question: String) throws -> Prompt {
    let (documents, shown, isWhole) = state.withLock { state in
      state.turns += 1
      return (state.documents, state.shown.map(\.source), state.isWhole)
    }
    guard let documents else {
      return Prompt(text: question, context: [], reason: "no documents were given")
    }
    if isWhole {
      return Prompt(
        text: ContextPrompt.question(question, []), context: shown, reason: "all documents are in the prompt")
    }
    let tokenizer = session.engine.model.tokenizer
    let found = try DocumentContext(documents, question: question, budget: documentBudget) {
      tokenizer.encode($0).count
    }
    if found.isWhole, session.turns.isEmpty { return placeWhole(found, question) }
    return placePassages(found, question, shown: shown)
  }

  private func placeWhole(_ found: DocumentContext, _ question: String) -> Prompt {
    let sources = found.items.map { Source(number: $0.number, $0.passage) }
    session.system = "\(customSystem ?? ContextPrompt.documentSystem)\n\nText: \(ContextPrompt.text(sources))"
    state.withLock { state in
      state.shown = sources.map { ($0, 0) }
      state.isWhole = true
    }
    return Prompt(
      text: ContextPrompt.question(question, []), context: sources, reason: "all documents are in the prompt")
  }

  /// Passages that an earlier question brought stand there already and keep their numbers.
  private func placePassages(_ found: DocumentContext, _ question: String, shown: [Source]) -> Prompt {
    session.system = customSystem ?? ContextPrompt.documentSystem
    var new: [Source] = [], context: [Source] = []
    let last = state.withLock { $0.lastNumber }
    let best = found.items.map(\.passage.score).max() ?? 0
    for item in found.items where item.passage.score >= Self.worthwhile * best {
      if let known = shown.first(where: { $0.location == item.source && $0.text == item.passage.text }) {
        context.append(known)
      } else {
        new.append(Source(number: last + new.count + 1, item.passage))
        context.append(new[new.count - 1])
      }
    }
    state.withLock { state in
      state.lastNumber += new.count
      state.shown += new.map { ($0, state.turns - 1) }
    }
    let reason =
      context.isEmpty ? "no passage matches the question" : "\(context.count) passages match the question"
    return Prompt(text: ContextPrompt.question(question, new), context: context, reason: reason)
  }
}
