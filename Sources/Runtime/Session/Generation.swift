/// What a generated text may be like.
public struct GenerationOptions: Sendable {
  /// How tokens are chosen.
  public var sampling = SamplingOptions()
  /// The most tokens to generate; 0 or less generates none.
  public var maxTokens = 512
  /// Continuations that are followed side by side, 1 to 16: of more than one the likeliest answer is given, whole and
  /// at its end, and nothing is drawn or penalised.
  public var beams = 1
  /// Texts that end the answer; they are not part of it.
  public var stops: [String] = []
  /// Whether an answer ends that only repeats itself, as those of small models may without end.
  public var stopsAtRepetition = true
  /// Whether tokens are drafted from what the context says after the same words, and several checked
  /// in one pass. It changes no answer, only how fast it comes.
  public var drafting = Drafting.adaptive
  /// Whether it is noted how much each token of the answer attends to the first picture of the conversation. It
  /// changes no answer.
  public var recordsAttention = false
  /// Texts of the prompt of which it is noted how much each token of the answer attends to them, instead of a
  /// picture: by the layers from two thirds to five sixths of the depth, which look for what comes next. It changes
  /// no answer.
  public var watchedTexts: [String] = []

  /// Greedy, up to 512 tokens.
  public init() {}
}

/// When tokens are drafted.
public enum Drafting: Sendable {
  /// Never.
  case off
  /// Where it makes the answer faster, by what was measured so far.
  case adaptive
  /// Wherever the context has something to propose.
  case always
}

/// Tokens of one answer.
public struct Usage: Sendable, Equatable {
  /// Tokens of the prompt.
  public var promptTokens = 0
  /// Tokens of the prompt whose keys and values were in the cache already.
  public var cachedTokens = 0
  /// Tokens of the answer.
  public var completionTokens = 0
  /// Tokens that were drafted from the context.
  public var draftedTokens = 0
  /// Drafted tokens that became part of the answer.
  public var acceptedTokens = 0

  /// No tokens.
  public init() {}
}

/// Seconds that one answer took.
public struct Timings: Sendable, Equatable {
  /// From the request to the first token of the answer.
  public var firstToken = 0.0
  /// Reading the prompt.
  public var prefill = 0.0
  /// Generating after the first token.
  public var decode = 0.0

  /// No time.
  public init() {}
}

/// How an answer ended, and what it took.
public struct Completion: Sendable, Equatable {
  /// Why no more text came.
  public enum Reason: String, Sendable {
    /// The model ended its turn.
    case stop
    /// A stop string was met.
    case stopString = "stop_string"
    /// `maxTokens` were generated.
    case maxTokens = "max_tokens"
    /// The model said the same again and again.
    case repetition
    /// The context was full, and nothing could be dropped from it.
    case contextFull = "context_full"
  }

  /// What was said.
  public var text = ""
  /// Why it ended.
  public var reason = Reason.stop
  /// Tokens.
  public var usage = Usage()
  /// Seconds.
  public var timings = Timings()
  /// The tokens of the answer with what each attended to, where `recordsAttention` or `watchedTexts` asked for it.
  public var attention: [AttendedToken] = []

  /// No text yet.
  public init() {}
}

/// A token of an answer, and how much each vector of a picture, or each text, was attended to where it was chosen.
public struct AttendedToken: Sendable, Equatable {
  /// Of its text, which may end within a character.
  public let bytes: [UInt8]
  /// For each vector or text a share of all attention, 0 to 1: the mean over all heads and the layers looked at.
  public let shares: [Float]

  /// A token by its parts.
  public init(bytes: [UInt8], shares: [Float]) {
    self.bytes = bytes
    self.shares = shares
  }
}

/// What happens while an answer is generated.
public enum GenerationEvent: Sendable, Equatable {
  /// The next part of the answer: whole characters.
  case text(String)
  /// So many of the oldest turns no longer fit the context and were left out.
  case droppedTurns(Int)
  /// How much of the prompt has been read.
  case prefill(done: Int, total: Int)
  /// The end of the answer. Nothing follows.
  case finished(Completion)
}

/// Why no answer could be generated.
public enum SessionError: Error, Equatable, CustomStringConvertible {
  case promptTooLong(tokens: Int, limit: Int)
  case emptyPrompt
  case busy
  case sampling(SamplingError)
  case template(String)
  case pictureWidth(Int, model: Int)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .promptTooLong(let tokens, let limit):
      "the prompt has \(tokens) tokens, where the context holds \(limit); shorten it, or raise the context length"
    case .emptyPrompt: "the prompt is empty; give some text"
    case .busy: "the session is still answering; wait for it, or cancel it"
    case .sampling(let error): error.description
    case .template(let text): "the model's chat template failed: \(text)"
    case .pictureWidth(let width, let model):
      "the picture's vectors have \(width) values, where the model reads \(model); use the vision file that was made for this model"
    }
  }
}
