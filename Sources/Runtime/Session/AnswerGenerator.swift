/// Generates one answer: reads the prompt, then draws token after token.
struct AnswerGenerator {
  let engine: Engine
  let sequence: Int
  private(set) var conversation: Conversation
  let options: GenerationOptions
  let yield: @Sendable (GenerationEvent) -> Void
  private(set) var completion = Completion()
  /// The tokens that are to be in the cache before the next one is drawn.
  private var tokens: [Int32] = []
  private var answer: [Int32] = []
  private var assembler: TextAssembler
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant

  init(
    engine: Engine, sequence: Int, conversation: Conversation, options: GenerationOptions,
    yield: @escaping @Sendable (GenerationEvent) -> Void
  ) {
    self.engine = engine
    self.sequence = sequence
    self.conversation = conversation
    self.options = options
    self.yield = yield
    assembler = TextAssembler(stops: options.stops)
    start = clock.now
  }

  private var tokenizer: Tokenizer { engine.model.tokenizer }

  /// Room that a prompt leaves for its answer, if turns can be dropped for it.
  private var room: Int { max(1, min(options.maxTokens, engine.contextLength / 4)) }

  /// Makes the prompt.
  mutating func prepare() async throws {
    tokens = try fit()
    completion.usage.promptTokens = tokens.count
  }

  /// The prompt with the answer so far, after dropping the turns that do not fit.
  private mutating func fit() throws -> [Int32] {
    let (prompt, dropped) = try conversation.fittingPrompt(
      engine.model, limit: engine.contextLength - answer.count, room: room)
    if dropped > 0 { yield(.droppedTurns(dropped)) }
    return prompt + answer
  }

  /// Generates until the answer ends.
  mutating func run() async throws {
    guard options.maxTokens > 0 else { return _ = end(.maxTokens) }
    do {
      try await generate()
    } catch {
      await engine.end(sequence)
      throw error
    }
    await engine.end(sequence)
  }

  private mutating func generate() async throws {
    if options.beams > 1 { return try await search() }
    var next = try await read()
    completion.timings.prefill = seconds(since: start)
    completion.timings.firstToken = completion.timings.prefill
    while try await !take(next) {
      next = try await advance(next.tokens[next.tokens.count - 1])
    }
    emit(assembler.finish())
    completion.timings.decode = seconds(since: start) - completion.timings.firstToken
  }

  /// The likeliest of several answers.
  private mutating func search() async throws {
    let rest = try await readAllButLast()
    completion.timings.prefill = seconds(since: start)
    let found = try await engine.search(sequence, reading: rest, options)
    answer = found.tokens
    completion.usage.completionTokens = answer.count
    completion.reason = found.reason
    completion.attention = found.attention
    emit(found.text)
    completion.timings.firstToken = seconds(since: start)
  }

  /// Makes tokens part of the answer. All but the last are in the cache already.
  ///
  /// - Returns: whether the answer is complete.
  private mutating func take(_ next: Advance) async throws -> Bool {
    for (index, token) in next.tokens.enumerated() {
      let former = answer.count, isComplete = try await take(token)
      if answer.count > former, index < next.attention.count, let shares = next.attention[index] {
        completion.attention.append(
          AttendedToken(bytes: tokenizer.bytes(of: token), shares: shares.means))
      }
      if isComplete { return true }
      if index < next.tokens.count - 1 { tokens.append(token) }
    }
    return false
  }

  /// Reads the tokens that the cache does not hold, and draws the first new one.
  private mutating func read() async throws -> Advance {
    let rest = try await readAllButLast()
    return await engine.next(sequence, reading: rest)
  }

  /// Reads the tokens that the cache does not hold, but for the last batch of them, which is returned.
  private mutating func readAllButLast() async throws -> ArraySlice<Int32> {
    let cached = await engine.begin(
      sequence, prompt: tokens, pictures: conversation.turns.compactMap(\.picture), watching: watched(),
      answered: answer.count, sampling: options.sampling)
    if answer.isEmpty { completion.usage.cachedTokens = cached }
    var rest = tokens[cached...]
    while rest.count > engine.batch {
      try Task.checkCancellation()
      let piece = rest.prefix(engine.batch)
      await engine.read(sequence, piece)
      rest = rest.dropFirst(piece.count)
      yield(.prefill(done: tokens.count - rest.count, total: tokens.count))
    }
    try Task.checkCancellation()
    return rest
  }

  /// Where the first picture, or some texts, stand in the prompt, if their attention is asked for.
  private func watched() -> WatchedPositions? {
    let count = engine.model.config.layerCount
    if !options.watchedTexts.isEmpty {
      let prompt = PromptText(tokens, tokenizer), first = 2 * count / 3
      return WatchedPositions(
        options.watchedTexts.map { prompt.tokens(of: $0) }, layers: first..<max(first + 1, 5 * count / 6))
    }
    guard options.recordsAttention, let picture = conversation.turns.lazy.compactMap(\.picture).first,
      let start = picture.tokens.first.flatMap({ tokens.firstIndex(of: $0) })
    else { return nil }
    return WatchedPositions((start..<start + picture.count).map { $0..<$0 + 1 }, layers: 0..<count)
  }

  /// Makes `token` part of the answer.
  ///
  /// - Returns: whether the answer is complete.
  private mutating func take(_ token: Int32) async throws -> Bool {
    guard !tokenizer.endsGeneration.contains(token) else { return end(.stop) }
    answer.append(token)
    completion.usage.completionTokens = answer.count
    emit(assembler.append(tokenizer.bytes(of: token)))
    if assembler.isStopped { return end(.stopString) }
    if answer.count >= options.maxTokens { return end(.maxTokens) }
    if options.stopsAtRepetition, RepetitionGuard.isCaught(answer) { return end(.repetition) }
    return tokens.count + 1 >= engine.contextLength && !dropTurns() ? end(.contextFull) : false
  }

  private mutating func end(_ reason: Completion.Reason) -> Bool {
    completion.reason = reason
    return true
  }

  /// The tokens after `token`, which follows all others.
  private mutating func advance(_ token: Int32) async throws -> Advance {
    try Task.checkCancellation()
    guard tokens.count + 1 < engine.contextLength else { return try await reread() }
    tokens.append(token)
    let next = await engine.next(
      sequence, reading: [token], drafting: options.drafting, mostDrafts: mostDrafts)
    completion.usage.draftedTokens += next.drafted
    completion.usage.acceptedTokens += next.tokens.count - 1
    return next
  }

  /// Tokens that may be drafted: with them neither the answer nor the context gets too long.
  private var mostDrafts: Int {
    max(0, min(options.maxTokens - answer.count - 1, engine.contextLength - tokens.count - 2))
  }

  /// Whether dropping the oldest turns would make room.
  private func dropTurns() -> Bool {
    var copy = conversation
    return copy.dropOldestTurn()
  }

  /// The context is full: goes on without the oldest turns.
  private mutating func reread() async throws -> Advance {
    tokens = try fit()
    return try await read()
  }

  private mutating func emit(_ text: String) {
    guard !text.isEmpty else { return }
    completion.text += text
    yield(.text(text))
  }

  private func seconds(since instant: ContinuousClock.Instant) -> Double {
    (clock.now - instant) / .seconds(1)
  }
}
