import DuetDocuments
import DuetRuntime

/// Which tuning of the model answers a turn.
public enum Route: String, Sendable {
  /// The model as it is, with no tuning of its own.
  case base
  /// The tuning trained with context.
  case grounded
  /// The tuning trained without.
  case free
  /// The tuning that was trained with pictures, from *grounded* on.
  case seeing
}

/// A passage that was given to the model with a question.
public struct Source: Sendable, Equatable {
  /// From 1, as the prompt numbers it.
  public let number: Int
  /// `notes.md:12`, or `report.pdf:page 3`.
  public let location: String
  /// The document's title and headings above the passage.
  public let title: String
  /// As in the document.
  public let text: String
  /// The cosine of its meaning and the question's; nil where no encoder has compared them.
  let similarity: Double?
  private var path = ""
  private var lines = 0..<0

  /// A source by its parts.
  package init(number: Int, location: String, title: String, text: String, similarity: Double? = nil) {
    self.number = number
    self.similarity = similarity
    self.location = location
    self.title = title
    self.text = text
  }

  /// The source of a passage.
  init(number: Int, _ passage: Passage) {
    self.number = number
    similarity = passage.similarity
    location = passage.source
    title = passage.title
    text = passage.text
    guard passage.page == nil else { return }
    path = passage.path
    lines = Range(passage.lines)
  }

  /// The source with the line that says most of an answer for its location, where the lines of the
  /// text are those of the file.
  func located(_ support: Support) -> Source {
    let count = text.split(separator: "\n", omittingEmptySubsequences: false).count
    guard count == lines.count else { return self }
    let line = lines.lowerBound + support.line(text)
    return Source(
      number: number, location: "\(path):\(line)", title: title, text: text, similarity: similarity)
  }
}

/// An answer with what it rests on and what it took.
public struct Reply: Sendable {
  /// What was said.
  public var text = ""
  /// Who said it.
  public var route = Route.base
  /// Why this route, in a few words.
  public var reason = ""
  /// The route's score, 0 to 1; nil where nothing was to choose.
  public var score: Double?
  /// Whether passages were found but left out because they do not help.
  public var leavesOutContext = false
  /// The share of the answer's words that stand in the passages, 0 to 1; nil where there were none.
  public var support: Double?
  /// Whether it says that the passages do not answer.
  public var isRefusal: Bool { support != nil && Refusal.matches(text) }
  /// Whether there were passages, and hardly a word of the answer stands in them.
  public var isUnsupported: Bool { support.map { $0 < Support.leastHeld && !isRefusal } ?? false }
  /// Its sentences with the passages that they rest on; none where there were no passages.
  public var sentences: [SupportedSentence] = []
  /// The passages that the answer draws on, the most first.
  public var sources: [Source] = []
  /// Tokens.
  public var usage = Usage()
  /// Seconds.
  public var timings = Timings()
  /// How the text ended.
  public var finish = Completion.Reason.stop
}

/// What happens while a question is answered.
public enum ChatEvent: Sendable {
  /// The route was chosen; these passages are in the prompt.
  case routed(Router.Decision, context: [Source])
  /// How much of the prompt has been read, in tokens.
  case prefill(done: Int, total: Int)
  /// The next part of the answer.
  case text(String)
  /// So many of the oldest turns no longer fit the context and were left out.
  case droppedTurns(Int)
  /// The end of the answer. Nothing follows.
  case finished(Reply)
}
