import DuetDocuments
import DuetRuntime
import Synchronization

/// A conversation with a model about documents, or about nothing in particular.
///
/// Where all documents fit the budget they stand before the turns, once; otherwise each question
/// brings the passages that match it best and that no earlier one brought. Either way what was said
/// keeps its place, so that the cache serves it again.
public final class Chat: Sendable {
  /// Who answers: the bare model, or a pair's *grounded* tuning.
  private let main: Session
  /// A pair's *free* tuning.
  private let free: Session?
  /// A pair's tuning that answers about pictures.
  private let seeing: Session?
  private let router: Router?
  private let customSystem: String?
  private let state: Mutex<State>
  /// Tokens of the context that documents may take.
  public let documentBudget: Int

  private struct State {
    var documents: DocumentCollection?
    var policy = Router.Policy.auto
    /// Who gave the last answer, and so has the whole conversation.
    var speaker: Route
    /// The passages in the prompt and the turns that brought them.
    var shown: [(source: Source, turn: Int)] = []
    /// The last question that was answered from context, and that context.
    var lastGrounded: (question: String, passages: [String])?
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

    /// The same before the first turn.
    var anew: State {
      State(documents: documents, policy: policy, speaker: speaker)
    }
  }

  /// Opens a conversation with one model.
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
    main = Session(engine, system: system ?? ContextPrompt.plainSystem, tuning: tuning)
    free = nil
    seeing = nil
    router = nil
    customSystem = system
    self.documentBudget = Self.budget(documentBudget, engine)
    state = Mutex(State(documents: documents, speaker: .base))
  }

  /// Opens a conversation with a pair, which routes every turn to one of its tunings.
  ///
  /// The tunings are told nothing but what their training told them, unless there is a `system`.
  ///
  /// - Parameters:
  ///   - pair: who answers.
  ///   - policy: how turns are routed.
  ///   - system: what both tunings are told before all turns.
  ///   - documents: what questions are answered from; nil for none.
  ///   - documentBudget: tokens that passages may take, at most half of the context; nil for what a
  ///     model of this size reads well.
  public init(
    _ pair: Pair, policy: Router.Policy = .auto, system: String? = nil, documents: DocumentCollection? = nil,
    documentBudget: Int? = nil
  ) {
    main = Session(pair.grounded.engine, system: system, tuning: pair.grounded.tuning)
    free = Session(pair.free.engine, system: system, tuning: pair.free.tuning)
    seeing = Session(pair.seeing.engine, system: system, tuning: pair.seeing.tuning)
    router = pair.router
    customSystem = system
    self.documentBudget = Self.budget(documentBudget, pair.grounded.engine)
    state = Mutex(State(documents: documents, policy: policy, speaker: .free))
  }

  /// Passages that match the question less than this share of the best are left out.
  private static let worthwhile = 0.5

  private static func budget(_ given: Int?, _ engine: Engine) -> Int {
    min(given ?? suitableBudget(engine.model), engine.contextLength / 2)
  }

  /// Models of some hundred million parameters lose their way in more than a few paragraphs.
  private static func suitableBudget(_ model: Model) -> Int {
    model.parameterCount < 500_000_000 ? 320 : 4_096
  }

  private var isPair: Bool { free != nil }

  /// The session that has the whole conversation.
  private var session: Session { session(state.withLock { $0.speaker }) }

  private func session(_ route: Route) -> Session {
    switch route {
    case .base, .grounded: main
    case .free: free ?? main
    case .seeing: seeing ?? main
    }
  }

  /// How turns are routed.
  public var policy: Router.Policy {
    get { state.withLock { $0.policy } }
    set { state.withLock { $0.policy = newValue } }
  }

  /// What questions are answered from. Changing it starts the conversation anew.
  public var documents: DocumentCollection? {
    get { state.withLock { $0.documents } }
    set {
      state.withLock { $0.documents = newValue }
      reset()
    }
  }

  /// Questions, with the passages they brought, and answers so far.
  public var turns: [ChatMessage] {
    get { session.turns }
    set {
      main.turns = newValue
      free?.turns = newValue
      seeing?.turns = newValue
    }
  }

  /// Takes up a conversation that was held before: its turns, of which the passages have numbers up to
  /// `lastNumber`. Passages that come now have higher ones.
  public func goOn(from turns: [ChatMessage], lastNumber: Int) {
    self.turns = turns
    state.withLock { $0.lastNumber = lastNumber }
  }

  /// Forgets all turns and the passages they brought.
  public func reset() {
    turns = []
    state.withLock { $0 = $0.anew }
  }

  /// Whether the model knows turns at all; a base model only continues what it is given.
  public var hasTemplate: Bool { session.engine.model.template != nil }

  /// Asks, and streams everything that happens until the answer is complete.
  ///
  /// - Parameters:
  ///   - question: what is asked.
  ///   - picture: what it is about, as a `VisionEncoder` gives it; such a turn goes to *seeing*, as do those
  ///     after it while the picture is in the conversation.
  ///   - options: what the answer may be like.
  public func ask(
    _ question: String, about picture: InputEmbeddings? = nil,
    _ options: GenerationOptions = GenerationOptions()
  ) -> AsyncThrowingStream<ChatEvent, any Error> {
    .task { [self] in try await answer(question, picture, options, $0) }
  }

  private func answer(
    _ question: String, _ picture: InputEmbeddings?, _ options: GenerationOptions,
    _ yield: (ChatEvent) -> Void
  ) async throws {
    let before = state.withLock { $0 }
    var prompt = try place(question, picture)
    prompt.picture = picture
    do {
      try await answer(prompt, options, yield)
    } catch let error as SessionError {
      // The session did not take the question, so its passages stand nowhere.
      state.withLock { $0 = before }
      throw error
    }
  }

  /// The session of a route, with the conversation so far.
  private func take(_ route: Route) -> Session {
    let former = state.withLock { state in
      defer { state.speaker = route }
      return state.speaker
    }
    let session = session(route)
    if former != route { session.turns = self.session(former).turns }
    return session
  }

  private func answer(
    _ prompt: Prompt, _ options: GenerationOptions, _ yield: (ChatEvent) -> Void
  ) async throws {
    var reply = Reply()
    reply.route = prompt.decision.route
    reply.reason = prompt.decision.reason
    reply.score = prompt.decision.score
    reply.leavesOutContext = prompt.decision.leavesOutContext
    yield(.routed(prompt.decision, context: prompt.context))
    let texts = Self.watchedTexts(prompt)
    var options = options
    options.watchedTexts = texts
    let events = take(reply.route).events(replyingTo: prompt.text, about: prompt.picture, options)
    for try await event in events {
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
        let attention = texts.isEmpty ? nil : PassageAttention(completion.attention, passages: texts)
        let support = Support(answer: completion.text, attention)
        reply.support = support.held(by: prompt.context)
        reply.sentences = Support.sentences(of: completion.text, in: prompt.context, attention)
        reply.sources = support.best(prompt.context).map { $0.located(support) }
        yield(.finished(reply))
      }
    }
  }

  /// Numbers of passages that attention is told apart by: one needs no telling, and many are long. Of 250
  /// tokens in all it costs a fifteenth of decoding (docs/pairs.md).
  private static let watchable = 2...8

  /// The passages that an answer may rest on, as the prompt shows them.
  private static func watchedTexts(_ prompt: Prompt) -> [String] {
    guard watchable.contains(prompt.context.count), prompt.picture == nil else { return [] }
    return prompt.context.map { PlainText.of($0.text) }
  }

  private struct Prompt {
    let text: String
    let context: [Source]
    let decision: Router.Decision
    var picture: InputEmbeddings?
  }

  /// Finds the passages for a question, routes it, and puts the passages where they stay. Documents are not
  /// asked about a picture.
  private func place(_ question: String, _ picture: InputEmbeddings?) throws -> Prompt {
    if picture != nil || (isPair && documents == nil && turns.contains { $0.picture != nil }) {
      state.withLock { $0.turns += 1 }
      return Prompt(
        text: question, context: [],
        decision: Router.Decision(
          route: isPair ? .seeing : .base, score: nil, reason: "it is about the picture"))
    }
    let (documents, shown, isWhole) = state.withLock { state in
      state.turns += 1
      return (state.documents, state.shown.map(\.source), state.isWhole)
    }
    guard let documents else { return route(question, found: nil, shown: []) }
    if isWhole { return wholePrompt(question, shown) }
    let tokenizer = session.engine.model.tokenizer
    let found = try DocumentContext(documents, question: question, budget: documentBudget) {
      tokenizer.encode($0).count
    }
    if isPair { return route(question, found: found, shown: shown) }
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
    return wholePrompt(question, sources)
  }

  private func wholePrompt(_ question: String, _ sources: [Source]) -> Prompt {
    Prompt(
      text: ContextPrompt.question(question, []), context: sources,
      decision: Router.Decision(route: .base, score: nil, reason: "all documents are in the prompt"))
  }

  private func placePassages(_ found: DocumentContext, _ question: String, shown: [Source]) -> Prompt {
    session.system = customSystem ?? ContextPrompt.documentSystem
    let (new, context) = passages(found, shown: shown)
    keep(new)
    let reason =
      context.isEmpty ? "no passage matches the question" : "\(context.count) passages match the question"
    return Prompt(
      text: ContextPrompt.question(question, new), context: context,
      decision: Router.Decision(route: .base, score: nil, reason: reason))
  }

  /// What was found, and what of it is not in the prompt yet. Passages that an earlier question brought
  /// stand there already and keep their numbers.
  private func passages(_ found: DocumentContext, shown: [Source]) -> (new: [Source], context: [Source]) {
    var new: [Source] = [], context: [Source] = []
    let last = state.withLock { $0.lastNumber }
    let best = found.items.map(\.passage.score).max() ?? 0
    for item in found.items where item.passage.score >= Self.worthwhile * best {
      if let known = shown.first(where: { $0.location == item.source && $0.text == item.passage.text }) {
        context.append(Source(number: known.number, item.passage))
      } else {
        new.append(Source(number: last + new.count + 1, item.passage))
        context.append(new[new.count - 1])
      }
    }
    return (new, context)
  }

  /// Notes that the turn brings passages.
  private func keep(_ new: [Source]) {
    state.withLock { state in
      state.lastNumber += new.count
      state.shown += new.map { ($0, state.turns - 1) }
    }
  }

  // MARK: Pairs

  /// Chooses a tuning for a question, which gets the passages if they help.
  private func route(_ question: String, found: DocumentContext?, shown: [Source]) -> Prompt {
    let (new, context) = found.map { passages($0, shown: shown) } ?? ([], [])
    let (policy, previous) = state.withLock { ($0.policy, $0.lastGrounded) }
    guard isPair else {
      return Prompt(
        text: question, context: [],
        decision: Router.Decision(route: .base, score: nil, reason: "no documents were given"))
    }
    var turn = Router.Turn(question, passages: context.map(\.text), previous: previous)
    if let encoder = documents?.encoderName, encoder == router?.model.meaning?.encoder {
      turn.similarities = context.map(\.similarity)
    }
    var decision = Router.decide(turn, policy, with: router)
    if found != nil, context.isEmpty, decision.route == .free, policy != .free {
      decision = Router.Decision(
        route: .free, score: nil, reason: "no passage matches the question", leavesOutContext: true)
    }
    guard decision.route == .grounded else { return Prompt(text: question, context: [], decision: decision) }
    keep(new)
    if !context.isEmpty { state.withLock { $0.lastGrounded = (question, context.map(\.text)) } }
    return Prompt(text: Self.groundedText(question, new), context: context, decision: decision)
  }

  /// As the tuning was trained: the text, then the question.
  private static func groundedText(_ question: String, _ new: [Source]) -> String {
    if !new.isEmpty { return ContextPrompt.question(question, new) }
    guard let pasted = PastedContext(question) else { return question }
    return ContextPrompt.question(pasted.question, text: pasted.text)
  }
}
