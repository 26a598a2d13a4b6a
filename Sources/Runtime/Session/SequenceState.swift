/// What an engine keeps of one session. Belongs to the engine's actor.
final class SequenceState {
  let sequence: CachedSequence
  private(set) var sampler: Sampler
  /// Where the answer begins: penalties look back no further.
  private(set) var answerStart = 0
  /// Tokens of the prompt that were in the cache before; nil once the rest was saved.
  private var cachedTokens: Int?
  private var lookup = PromptLookup()
  private(set) var policy = DraftPolicy()

  init(_ sequence: CachedSequence) {
    self.sequence = sequence
    sampler = Sampler(SamplingOptions())
  }

  /// Prepares for `prompt`, whose last `answered` tokens are the answer so far.
  ///
  /// - Returns: tokens that need not be read again. The last one always is, for its logits.
  func begin(_ prompt: [Int32], answered: Int, _ sampling: SamplingOptions, _ store: PageStore) -> Int {
    if answered == 0 { sampler = Sampler(sampling) }
    answerStart = prompt.count - answered
    lookup = PromptLookup()
    let cached = sequence.reuse(Array(prompt.dropLast()), from: store)
    cachedTokens = cached
    return cached
  }

  /// Where the tokens of the prompt begin that were computed for it; nil when asked again.
  func takeUnsaved() -> Int? {
    defer { cachedTokens = nil }
    return cachedTokens
  }

  /// What may follow `token`, which follows the tokens in the cache, as far as drafting it pays.
  func draft(
    after token: Int32, _ drafting: Drafting, most: Int, _ times: PassTimes
  ) -> PromptLookup.Match? {
    guard most > 0, drafting != .off, drafting == .always || times.isReady else { return nil }
    lookup.append(sequence.tokens[lookup.count...])
    lookup.append([token])
    guard let match = lookup.match(most: most) else { return nil }
    if drafting == .always { return match }
    let length = policy.length(matchLength: match.length, most: match.draft.count, cost: times.cost)
    guard length > 0 else { return nil }
    return PromptLookup.Match(draft: Array(match.draft.prefix(length)), length: match.length)
  }

  /// Chooses the tokens that follow those in the cache, the last of which are the draft: as long as
  /// the draft says the same, and one more. The rest of the draft is forgotten.
  ///
  /// Each token is drawn as it is without drafts, from the same logits and with the same random
  /// numbers, so that the text is the same; a draft comes true with the probability of its token.
  ///
  /// - Parameter row: the row of logits that belongs to the token before the draft.
  func choose(_ draft: [Int32], _ logits: FloatBuffer, row: Int, width: Int, _ operations: Operations)
    -> [Int32]
  {
    let known = sequence.count - draft.count
    var chosen: [Int32] = []
    while true {
      let place = chosen.count, start = (row + place) * width
      let token = sampler.choose(
        logits, start..<start + width, history: sequence.tokens[min(answerStart, known)..<known + place],
        operations)
      chosen.append(token)
      guard place < draft.count, token == draft[place] else { break }
    }
    sequence.truncate(known + chosen.count - 1)
    return chosen
  }

  /// Enters a pass into the account of drafts.
  func settle(_ match: PromptLookup.Match?, accepted: Int, cost: Double) {
    guard let match else { return policy.settle() }
    policy.settle(matchLength: match.length, drafted: match.draft.count, accepted: accepted, cost: cost)
  }
}
