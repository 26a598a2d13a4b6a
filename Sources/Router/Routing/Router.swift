import DuetDocuments
import DuetRuntime

/// Chooses the tuning that answers a turn, by whether context that helps is there.
///
/// Two tunings with a router in front do better than one that was tuned on both
/// (arXiv 2506.15480).
public struct Router: Sendable {
  /// How turns are routed.
  public enum Policy: String, Sendable, CaseIterable {
    /// To *grounded* where there is context that helps.
    case auto
    /// To *grounded* wherever there is context.
    case presence
    /// Always to *grounded*.
    case grounded
    /// Always to *free*.
    case free
  }

  /// What is known of a turn before it is answered.
  public struct Turn: Sendable {
    /// The message as it was written.
    public var message: String
    /// Texts that were found or given for it, the best first.
    public var passages: [String]
    /// The cosine of the message with each passage, by the encoder that the router knows; nil, or missing,
    /// where it is unknown.
    public var similarities: [Double?] = []
    /// The question before, and the texts that it was answered from; empty where there are none.
    public var previous: (question: String, passages: [String])?

    /// A turn with no history.
    public init(_ message: String, passages: [String] = [], previous: (String, [String])? = nil) {
      self.message = message
      self.passages = passages
      self.previous = previous
    }
  }

  /// A route with why it was taken.
  public struct Decision: Sendable, Equatable {
    /// *grounded* or *free*.
    public let route: Route
    /// The likelihood that the context helps; nil where there is none or nobody asked.
    public let score: Double?
    /// In a few words.
    public let reason: String
    /// Whether there was context, and it is left out because it does not help.
    public var leavesOutContext = false
  }

  /// What was learnt.
  public let model: RouteModel
  private let measure: Signals

  /// - Parameters:
  ///   - model: what was learnt.
  ///   - tokenizer: of the pair's base, whose vocabulary tells rare words from common ones.
  ///   - encoder: compares meanings, where it is the one that the model knows.
  public init(_ model: RouteModel, tokenizer: Tokenizer, encoder: (any TextEncoder)? = nil) {
    self.init(model, tokens: { tokenizer.encode($0) }, encoder: encoder)
  }

  /// - Parameters:
  ///   - model: what was learnt.
  ///   - tokens: encodes a text with a vocabulary that tells rare words from common ones.
  ///   - encoder: compares meanings, where it is the one that the model knows.
  package init(
    _ model: RouteModel, tokens: @escaping @Sendable (String) -> [Int32], encoder: (any TextEncoder)? = nil
  ) {
    self.model = model
    measure = Signals(tokens: tokens, encoder: encoder?.name == model.meaning?.encoder ? encoder : nil)
  }

  /// A score from which context is taken to help: under one half, for to withhold a text that helps costs more
  /// than to give one that does not (docs/pairs.md).
  static let threshold = 0.4

  /// Routes a turn by a policy; without a router, presence of context decides. O(message + passages).
  public static func decide(_ turn: Turn, _ policy: Policy, with router: Router?) -> Decision {
    switch policy {
    case .grounded, .free:
      return Decision(
        route: policy == .free ? .free : .grounded, score: nil, reason: "\(policy.rawValue) was asked for")
    case .presence: return decide(byPresence: turn)
    case .auto: return router?.decide(byHelp: turn) ?? decide(byPresence: turn)
    }
  }

  private static func decide(byPresence turn: Turn) -> Decision {
    let has = !turn.passages.isEmpty || PastedContext(turn.message) != nil
    return Decision(
      route: has ? .grounded : .free, score: nil, reason: has ? "there is context" : "there is no context")
  }

  /// Routes a turn by whether its context helps.
  private func decide(byHelp turn: Turn) -> Decision {
    let scored = measure.measured(turn).map {
      ($0.candidate, model.score($0.signals, similarity: $0.similarity))
    }
    guard let (best, likelihood) = scored.max(by: { $0.1 < $1.1 }) else {
      return Decision(route: .free, score: nil, reason: "there is no context")
    }
    if likelihood >= Self.threshold {
      return Decision(route: .grounded, score: likelihood, reason: best.origin.rawValue)
    }
    return Decision(
      route: .free, score: likelihood, reason: "the context does not seem to help with the question",
      leavesOutContext: best.origin == .passage)
  }

  /// A question with a text that may help with it.
  struct Candidate {
    enum Origin: String {
      case passage = "a passage speaks of what is asked"
      case pasted = "the message brings its own text"
      case earlier = "it goes on about the passages before"
    }
    let question: String
    let text: String
    let origin: Origin
    var similarity: Double?
  }

  /// Measures what a router decides by.
  public struct Signals: Sendable {
    private let rarity: WordRarity
    private let encoder: (any TextEncoder)?

    /// - Parameters:
    ///   - tokenizer: whose vocabulary tells rare words from common ones.
    ///   - encoder: compares meanings; nil where nothing does.
    public init(tokenizer: Tokenizer, encoder: (any TextEncoder)? = nil) {
      self.init(tokens: { tokenizer.encode($0) }, encoder: encoder)
    }

    init(tokens: @escaping @Sendable (String) -> [Int32], encoder: (any TextEncoder)?) {
      rarity = WordRarity(tokens: tokens)
      self.encoder = encoder
    }

    /// Of every text that may help with a turn, with the cosine of its meaning and the question's where that
    /// is known. O(message + passages).
    public func all(_ turn: Turn) -> [(signals: RouteSignals, similarity: Double?)] {
      measured(turn).map { ($0.signals, $0.similarity) }
    }

    func measured(_ turn: Turn) -> [(candidate: Candidate, signals: RouteSignals, similarity: Double?)] {
      let candidates = Router.candidates(turn)
      return zip(candidates, similarities(candidates)).map { candidate, similarity in
        let signals = RouteSignals(
          question: Wording(candidate.question), text: Wording(candidate.text), rarity: rarity,
          isPasted: candidate.origin == .pasted, isFollowUp: candidate.origin == .earlier)
        return (candidate, signals, similarity)
      }
    }

    /// What retrieval has not compared is compared now.
    private func similarities(_ candidates: [Candidate]) -> [Double?] {
      let open = candidates.indices.filter { candidates[$0].similarity == nil }
      var similarities = candidates.map(\.similarity)
      guard let encoder, !open.isEmpty else { return similarities }
      let questions = encoder.vectors(of: open.map { candidates[$0].question })
      let texts = encoder.vectors(of: open.map { candidates[$0].text })
      for (index, vectors) in zip(open, zip(questions, texts)) {
        similarities[index] = zip(vectors.0, vectors.1).reduce(0) { $0 + Double($1.0) * Double($1.1) }
      }
      return similarities
    }
  }

  /// Everything that may help: what was found, what was pasted, and for a question that is not
  /// understood by itself what the one before was answered from.
  static func candidates(_ turn: Turn) -> [Candidate] {
    var candidates: [Candidate] = []
    if let pasted = PastedContext(turn.message) {
      candidates.append(Candidate(question: pasted.question, text: pasted.text, origin: .pasted))
    }
    for (index, text) in turn.passages.enumerated() {
      let similarity = turn.similarities.indices.contains(index) ? turn.similarities[index] : nil
      candidates.append(
        Candidate(question: turn.message, text: text, origin: .passage, similarity: similarity))
    }
    if let previous = turn.previous, isFollowUp(turn.message) {
      let question = previous.question + " " + turn.message
      candidates += previous.passages.map { Candidate(question: question, text: $0, origin: .earlier) }
    }
    return candidates
  }

  /// What an encoder is asked to compare for a turn. O(message + passages).
  public static func texts(_ turn: Turn) -> [String] { candidates(turn).flatMap { [$0.question, $0.text] } }

  private static let pointers: Set<String> = [
    "he", "she", "it", "they", "him", "her", "them", "his", "its", "their", "that", "this", "these", "those",
    "there",
    "else", "also", "more",
  ]
  /// A question of fewer telling words is taken to lean on the one before.
  private static let fewestWords = 2

  /// Whether a message is only understood with the one before.
  static func isFollowUp(_ message: String) -> Bool {
    let words = Wording(message).words
    return words.count { !$0.isCommon } < fewestWords
      || words.contains { pointers.contains($0.text.lowercased()) }
  }
}
