#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What a beam search found.
struct BeamAnswer {
  var tokens: [Int32] = []
  var text = ""
  var reason = Completion.Reason.maxTokens
  var attention: [AttendedToken] = []
}

/// The likeliest continuations of a prompt, several side by side (Lowerre, The Harpy Speech Recognition System, 1976):
/// at each token the likeliest of what each may go on with are kept. Ends compete by their mean log-probability a
/// token, which favours no length.
private struct BeamSearch {
  /// A continuation. Its last token is not in its sequence yet.
  struct Beam {
    let sequence: CachedSequence
    var answer = BeamAnswer()
    var assembler: TextAssembler
    var logProbability = 0.0
    /// Tokens, with the one that ends the turn.
    var length = 0
    var score: Double { logProbability / Double(max(1, length)) }
  }

  /// A token that a beam may go on with.
  struct Candidate {
    let beam: Int
    let token: Int32
    let logProbability: Double
  }

  let width: Int
  let options: GenerationOptions
  let tokenizer: Tokenizer
  private(set) var beams: [Beam]
  private var ended: [Beam] = []

  init(_ sequence: CachedSequence, width: Int, _ options: GenerationOptions, _ tokenizer: Tokenizer) {
    self.width = width
    self.options = options
    self.tokenizer = tokenizer
    beams = [Beam(sequence: sequence, assembler: TextAssembler(stops: options.stops))]
  }

  /// Whether nothing that is still open can become better than what has ended.
  var isDone: Bool {
    guard let best = beams.map(\.score).max() else { return true }
    return ended.count >= width && ended.map(\.score).min() ?? 0 >= best
  }

  /// The best that ended, or else that is open.
  var answer: BeamAnswer {
    guard var best = (ended.isEmpty ? beams : ended).max(by: { $0.score < $1.score }) else {
      return BeamAnswer()
    }
    best.answer.text += best.assembler.finish()
    return best.answer
  }

  /// Lets the beams go on with the likeliest of their candidates.
  ///
  /// - Parameter attention: of each beam what was attended to where its candidates were predicted.
  mutating func advance(_ candidates: [Candidate], attention: [AttentionShares?]) {
    let likeliest = candidates.sorted {
      ($0.logProbability, $1.beam, $1.token) > ($1.logProbability, $0.beam, $0.token)
    }
    var open: [Beam] = [], continued: Set<Int> = []
    for (rank, candidate) in likeliest.enumerated() where open.count < width {
      let former = beams[candidate.beam]
      // What one beam reads is written to a page of its own; the first to go on keeps the former one's.
      let isFirst = !continued.contains(candidate.beam)
      var beam = Beam(
        sequence: isFirst ? former.sequence : former.sequence.fork(), answer: former.answer,
        assembler: former.assembler, logProbability: candidate.logProbability, length: former.length + 1)
      if extend(&beam, by: candidate.token, attention[candidate.beam]) {
        // Ends that others are likelier than are none of the best.
        if rank < width { ended.append(beam) }
      } else {
        continued.insert(candidate.beam)
        open.append(beam)
      }
    }
    ended.sort { $0.score > $1.score }
    ended.removeLast(max(0, ended.count - width))
    beams = open
  }

  /// - Returns: whether the beam ends with `token`.
  private func extend(_ beam: inout Beam, by token: Int32, _ shares: AttentionShares?) -> Bool {
    if tokenizer.endsGeneration.contains(token) {
      beam.answer.reason = .stop
      return true
    }
    let bytes = tokenizer.bytes(of: token)
    beam.answer.tokens.append(token)
    beam.answer.text += beam.assembler.append(bytes)
    if let shares { beam.answer.attention.append(AttendedToken(bytes: bytes, shares: shares.means)) }
    if beam.assembler.isStopped { beam.answer.reason = .stopString }
    return beam.assembler.isStopped || beam.answer.tokens.count >= options.maxTokens
  }
}

extension Engine {
  /// Reads the rest of a prompt, at most a batch, and finds the likeliest answer of `options.beams` that are followed
  /// side by side. Other sessions wait meanwhile. Nothing is drawn and nothing penalised.
  ///
  /// - Complexity: O(tokens · beams) passes' columns, and as many sorted vocabularies.
  func search(_ id: Int, reading rest: ArraySlice<Int32>, _ options: GenerationOptions) throws -> BeamAnswer {
    guard let state = states[id] else { return BeamAnswer() }
    let width = max(1, min(options.beams, Decoder.directTokens, decoder.capacity))
    _ = decoder.forward([DecoderStep(state.sequence, rest)], store: store)
    var search = BeamSearch(state.sequence.fork(), width: width, options, model.tokenizer)
    search.advance(candidates([0], width), attention: [decoder.attentionShares.last ?? nil])
    while !search.isDone, search.beams.allSatisfy({ $0.sequence.count + 1 < contextLength }) {
      try Task.checkCancellation()
      let steps = search.beams.map { DecoderStep($0.sequence, $0.answer.tokens.suffix(1)) }
      _ = decoder.forward(steps)
      let shares = decoder.attentionShares
      search.advance(
        candidates(search.beams.map(\.logProbability), width),
        attention: steps.indices.map { $0 < shares.count ? shares[$0] : nil })
    }
    var answer = search.answer
    if answer.reason == .maxTokens, answer.tokens.count < options.maxTokens { answer.reason = .contextFull }
    return answer
  }

  /// For each of the last pass's rows of logits its likeliest tokens: twice as many as are kept, for up to `width` of
  /// them may be ends.
  private func candidates(_ sums: [Double], _ width: Int) -> [BeamSearch.Candidate] {
    let size = model.config.vocabularySize
    return sums.enumerated().flatMap { beam, sum in
      decoder.logits.withSpan(beam * size..<(beam + 1) * size) { logits in
        likeliest(logits, 2 * width).map {
          BeamSearch.Candidate(beam: beam, token: $0.token, logProbability: sum + $0.logProbability)
        }
      }
    }
  }
}

/// Of a vocabulary's logits the `count` largest, the largest first, as log-probabilities. Those that are no numbers
/// count as impossible. O(vocabulary · log count).
func likeliest(_ logits: Span<Float>, _ count: Int) -> [(token: Int32, logProbability: Double)] {
  var best: [(token: Int32, logit: Float)] = []
  for index in logits.indices {
    let logit = logits[index]
    guard logit > -.infinity, best.count < count || logit > best[best.count - 1].logit else { continue }
    let place = best.firstIndex { $0.logit < logit } ?? best.count
    best.insert((Int32(index), logit), at: place)
    if best.count > count { best.removeLast() }
  }
  guard let largest = best.first?.logit, largest < .infinity else { return best.map { ($0.token, 0) } }
  var total = 0.0
  // Those further down add less than a part in 10^5 together.
  for index in logits.indices where logits[index] > largest - 25 {
    total += Double(exp(logits[index] - largest))
  }
  return best.map { ($0.token, Double($0.logit - largest) - log(total)) }
}
