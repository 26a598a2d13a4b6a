/// Tokens that one request brought.
struct Advance: Sendable {
  /// What follows the tokens read: accepted drafts, and one more.
  var tokens: [Int32] = []
  /// Tokens that were drafted.
  var drafted = 0
  /// For each of the tokens what was attended to where it was chosen, of what is watched; empty where nothing is.
  var attention: [AttentionShares?] = []
}

extension Engine {
  /// Tokens that a session wants read.
  struct Request {
    let id: Int
    let tokens: ArraySlice<Int32>
    /// Whether a token is to be chosen after them.
    let chooses: Bool
    let drafting: Drafting
    /// The most tokens that may be drafted.
    let mostDrafts: Int
    let done: CheckedContinuation<Advance, Never>

    /// Whether it joins others in a pass. Prompts are read by themselves, so that what comes of them
    /// does not depend on who else is being answered.
    var isStep: Bool { chooses && tokens.count == 1 }
  }

  /// Prepares a sequence for `prompt`: what its cache holds of it stays, the rest goes. Until `end`,
  /// passes wait for the sequence's requests.
  ///
  /// - Parameters:
  ///   - pictures: that negative tokens of the prompt belong to.
  ///   - watching: positions of which the answer's attention is recorded.
  ///   - answered: tokens at the end of the prompt that are the answer so far.
  /// - Returns: tokens that need not be read again.
  func begin(
    _ id: Int, prompt: [Int32], pictures: [InputEmbeddings] = [], watching: WatchedPositions? = nil,
    answered: Int,
    sampling: SamplingOptions
  ) -> Int {
    guard let state = states[id] else { return 0 }
    state.sequence.pictures = pictures
    state.sequence.watched = watching
    answering.insert(id)
    times.restart()
    return state.begin(prompt, answered: answered, sampling, store)
  }

  /// No more requests come of this answer.
  func end(_ id: Int) {
    answering.remove(id)
    passIfReady()
  }

  /// Reads tokens of a prompt, at most a batch, that others follow.
  func read(_ id: Int, _ tokens: ArraySlice<Int32>) async {
    _ = await submit(id, tokens, chooses: false)
  }

  /// Reads tokens, at most a batch, and chooses those that follow the last: one, and before it up to
  /// `mostDrafts` that were drafted and are what would have been chosen one by one.
  func next(
    _ id: Int, reading tokens: ArraySlice<Int32>, drafting: Drafting = .off, mostDrafts: Int = 0
  ) async -> Advance {
    await submit(id, tokens, chooses: true, drafting, mostDrafts)
  }

  private func submit(
    _ id: Int, _ tokens: ArraySlice<Int32>, chooses: Bool, _ drafting: Drafting = .off,
    _ mostDrafts: Int = 0
  ) async -> Advance {
    guard states[id] != nil else { return Advance(tokens: chooses ? [0] : []) }
    return await withCheckedContinuation { done in
      requests.append(
        Request(
          id: id, tokens: tokens, chooses: chooses, drafting: drafting, mostDrafts: mostDrafts, done: done))
      passIfReady()
    }
  }

  /// Runs a pass once every sequence that is being answered waits for one: all that want their next
  /// token get it, and one prompt is read on. So a prompt of any length holds the others up by a
  /// batch at a time, and prompts take turns.
  private func passIfReady() {
    guard !requests.isEmpty, requests.count >= answering.count else { return }
    // Those of one tuning stand together: an adapter's products are made for all of them at once.
    let steps = requests.filter(\.isStep).sorted { salt($0) < salt($1) }
    requests.removeAll(where: \.isStep)
    let size = min(Decoder.directTokens, decoder.capacity)
    for start in stride(from: 0, to: steps.count, by: size) {
      advance(Array(steps[start..<min(steps.count, start + size)]))
    }
    guard !requests.isEmpty else { return }
    readPrompt(requests.removeFirst())
  }

  private func salt(_ request: Request) -> UInt64 { states[request.id]?.sequence.salt ?? 0 }

  private func readPrompt(_ request: Request) {
    guard let state = states[request.id] else { return request.done.resume(returning: Advance()) }
    _ = decoder.forward(
      [DecoderStep(state.sequence, request.tokens, logits: request.chooses ? .last : .none)], store: store)
    let chosen = request.chooses ? choose(state, [], row: 0) : []
    if request.chooses { save(state) }
    let attention = decoder.attentionShares.suffix(chosen.count)
    request.done.resume(returning: Advance(tokens: chosen, attention: Array(attention)))
  }

  /// The next tokens of sequences, at most as many as are multiplied one by one. Drafts are made
  /// only for a sequence that is alone: others fill a pass as well, and surely.
  private func advance(_ group: [Request]) {
    let isAlone = answering.count <= 1
    let parts = group.compactMap { request in
      states[request.id].map { state in
        (request, state, isAlone ? draft(state, request) : nil)
      }
    }
    let steps = parts.map { request, state, match in
      DecoderStep(state.sequence, request.tokens + (match?.draft ?? []), logits: .all)
    }
    let clock = ContinuousClock(), start = clock.now
    let rows = decoder.forward(steps, store: store)
    let cost = isAlone ? times.record(rows, seconds: (clock.now - start) / .seconds(1)) : 0
    var row = 0
    for (request, state, match) in parts {
      let draft = match?.draft ?? []
      let chosen = choose(state, draft, row: row)
      let attention = decoder.attentionShares.dropFirst(row).prefix(chosen.count)
      row += draft.count + 1
      if isAlone { state.settle(match, accepted: chosen.count - 1, cost: cost) }
      save(state)
      request.done.resume(
        returning: Advance(tokens: chosen, drafted: draft.count, attention: Array(attention)))
    }
  }

  private func draft(_ state: SequenceState, _ request: Request) -> PromptLookup.Match? {
    guard let token = request.tokens.first else { return nil }
    let most = min(request.mostDrafts, Decoder.directTokens - 1, decoder.capacity - 1)
    return state.draft(after: token, request.drafting, most: most, times)
  }

  private func choose(_ state: SequenceState, _ draft: [Int32], row: Int) -> [Int32] {
    state.choose(
      draft, decoder.logits, row: row, width: model.config.vocabularySize, model.core.operations)
  }
}
