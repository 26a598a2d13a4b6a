/// A message that brings its own context: a question, and the text that it is about.
public struct PastedContext: Sendable, Equatable {
  /// What is asked.
  public let question: String
  /// The text that came with it.
  public let text: String

  /// Fewer words are no context.
  private static let fewestWords = 20
  /// A question has no more words than this.
  private static let longestQuestion = 60
  /// What stands before a question and a colon has no more words than this.
  private static let longestLeadIn = 3
  /// A line of a list of names has no more words than this.
  private static let longestName = 4

  /// Tells question and text of a message apart; nil where it has no text besides the question.
  ///
  /// Paragraphs come first: the first or last of several that asks or bids is the question. In a
  /// single paragraph, it is the last sentence that asks, the first, or what stands before a colon.
  ///
  /// - Complexity: O(n).
  public init?(_ message: String) {
    guard Self.wordCount(message) > Self.fewestWords else { return nil }
    let found =
      Self.split(Self.paragraphs(message), joinedBy: "\n\n") ?? Self.split(
        Self.lines(message), joinedBy: "\n")
      ?? Self.splitAtColon(message) ?? Self.split(Self.sentences(message), joinedBy: " ")
    guard let found, Self.wordCount(found.text) >= Self.fewestWords, !Self.isListOfNames(found.text) else {
      return nil
    }
    self = found
  }

  /// Whether a text is bare names, a line each ("Classify: …"): they are what the task is about, and say nothing that
  /// an answer could rest on. A line with a number or a colon says something.
  private static func isListOfNames(_ text: String) -> Bool {
    lines(text).allSatisfy { line in
      wordCount(line) <= longestName && !line.contains { $0.isNumber || ":.!?".contains($0) }
    }
  }

  private init(question: some StringProtocol, text: String) {
    self.question = Self.withoutLeadIn(Self.trimmed(question))
    self.text = text
  }

  /// "My question is: who …?" without what leads up to it.
  private static func withoutLeadIn(_ question: String) -> String {
    guard let colon = question.firstIndex(of: ":"), wordCount(question[..<colon]) <= longestLeadIn else {
      return question
    }
    let rest = trimmed(question[question.index(after: colon)...])
    return wordCount(rest) > 1 ? rest : question
  }

  private static func split(_ parts: [String], joinedBy joint: String) -> PastedContext? {
    guard parts.count > 1, let first = parts.first, let last = parts.last else { return nil }
    if asks(last) { return PastedContext(question: last, text: parts.dropLast().joined(separator: joint)) }
    if asks(first) { return PastedContext(question: first, text: parts.dropFirst().joined(separator: joint)) }
    if bids(last) { return PastedContext(question: last, text: parts.dropLast().joined(separator: joint)) }
    if bids(first) { return PastedContext(question: first, text: parts.dropFirst().joined(separator: joint)) }
    return nil
  }

  /// "Summarize this: …"
  private static func splitAtColon(_ message: String) -> PastedContext? {
    guard let colon = message.firstIndex(of: ":"), wordCount(message[..<colon]) <= longestQuestion,
      asks(String(message[..<colon])) || bids(String(message[..<colon]))
    else { return nil }
    return PastedContext(
      question: message[..<colon], text: trimmed(message[message.index(after: colon)...]))
  }

  private static func asks(_ part: String) -> Bool {
    let text = trimmed(part)
    return wordCount(text) <= longestQuestion
      && (text.hasSuffix("?") || text.lowercased().hasPrefix("question:"))
  }

  private static let verbs: Set<String> = [
    "analyse", "analyze", "answer", "classify", "compare", "correct", "describe", "edit", "explain",
    "extract",
    "find", "fix", "give", "identify", "list", "name", "paraphrase", "rewrite", "shorten", "show", "simplify",
    "summarise", "summarize", "tell", "translate", "using", "based", "from", "according", "given", "write",
    "read",
    "please", "what", "who", "when", "where", "which", "why", "how",
  ]

  private static func bids(_ part: String) -> Bool {
    guard wordCount(part) <= longestQuestion,
      let first = withoutLeadIn(trimmed(part)).split(whereSeparator: { !$0.isLetter }).first
    else { return false }
    return verbs.contains(first.lowercased())
  }

  private static func wordCount(_ text: some StringProtocol) -> Int {
    text.split(whereSeparator: \.isWhitespace).count
  }

  private static func trimmed(_ text: some StringProtocol) -> String {
    let front = text.drop(while: \.isWhitespace)
    guard let last = front.lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return String(front[...last])
  }

  private static func lines(_ text: String) -> [String] {
    text.split(whereSeparator: \.isNewline).map(trimmed).filter { !$0.isEmpty }
  }

  private static func paragraphs(_ text: String) -> [String] {
    var parts: [[Substring]] = [[]]
    for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
      if line.allSatisfy(\.isWhitespace) { parts.append([]) } else { parts[parts.count - 1].append(line) }
    }
    return parts.filter { !$0.isEmpty }.map { $0.joined(separator: "\n") }
  }

  private static func sentences(_ text: String) -> [String] {
    var parts: [String] = [], current = ""
    for character in text {
      current.append(character)
      if character == " ", let mark = current.dropLast().last, ".?!".contains(mark) {
        parts.append(trimmed(current))
        current = ""
      }
    }
    if !current.allSatisfy(\.isWhitespace) { parts.append(trimmed(current)) }
    return parts
  }
}
