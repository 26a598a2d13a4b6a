import DuetDocuments
import DuetRouter
import DuetRuntime
import DuetTerminal
import Foundation

/// The conversation of `duet chat` at a terminal.
final class Conversation {
  private let asking: Asking
  private let keeper: ConversationKeeper
  private var documents: [String]
  private let editor: LineEditor
  private let style: Style

  init(asking: Asking, keeper: ConversationKeeper) {
    self.asking = asking
    self.keeper = keeper
    documents = keeper.conversation.documents
    let saved = try? String(contentsOfFile: Folders.history, encoding: .utf8)
    let stream: StandardStream = StandardStream.output.isTerminal ? .output : .errors
    editor = LineEditor(history: History(decoding: saved ?? ""), stream: stream)
    style = Style(stream)
  }

  /// Answers until the user leaves.
  func run() async throws {
    note("\(asking.name). /help lists the commands, Ctrl-D leaves.")
    if let last = keeper.conversation.turns.last {
      note(
        printable(
          "Going on with \(keeper.conversation.id), \(count(keeper.conversation.turns.count)), after:"))
      note(printable("> \(last.question)\n\(last.answer)"))
    }
    var wasInterrupted = false
    while true {
      switch editor.read(prompt: "> ") {
      case .end: return
      case .interrupted(let hadText):
        if wasInterrupted && !hadText { throw CancellationError() }
        wasInterrupted = !hadText
        if wasInterrupted { note("Ctrl-C again leaves.") }
      case .line(let line):
        wasInterrupted = false
        saveHistory()
        if try await !respond(line) { return }
      }
    }
  }

  /// - Returns: whether the conversation goes on.
  private func respond(_ line: String) async throws -> Bool {
    let text = line.trimmingCharacters(in: .whitespacesAndNewlines)
    if text.isEmpty { return true }
    do {
      if text.hasPrefix("/"), let command = ChatLine(text) { return try await perform(command) }
      try await answer(text)
    } catch let error as StreamError {
      throw error
    } catch {
      warn("\(error)")
    }
    return true
  }

  private func perform(_ command: ChatLine) async throws -> Bool {
    switch command {
    case .help: note(ChatLine.helpText)
    case .quit: return false
    case .reset:
      asking.chat.reset()
      keeper.restart(documents: documents)
      note("The conversation starts anew.")
    case .document(let path): try await add(path)
    case .save(let path): try save(path)
    case .saved: tellFile()
    case .missingPath(let name): warn("/\(name) needs a path; /help lists the commands")
    case .unknown(let name): warn("there is no command /\(name); /help lists them")
    }
    return true
  }

  /// Answers; Ctrl-C ends the answer and not the program.
  private func answer(_ question: String) async throws {
    let asking = asking, shown = Shown()
    let reply = try await interruptible { try await asking.ask(question, shown: shown) }
    if let reply {
      keeper.add(question: question, answer: reply.text, sources: reply.sources, chat: asking.chat)
    } else {
      note("(interrupted)")
      await settle()
      keeper.add(question: question, answer: shown.text, sources: [], chat: asking.chat)
    }
  }

  /// Waits until the model has stopped and the partial answer is part of the conversation: a token's
  /// time, or a batch's.
  private func settle() async {
    for _ in 0..<100 {
      if asking.chat.turns.last?.role != .user { return }
      try? await Task.sleep(for: .milliseconds(50))
    }
  }

  private func add(_ path: String) async throws {
    guard FileManager.default.fileExists(atPath: Folders.expanded(path)) else {
      return warn("\(path) \(ReadError.missing)")
    }
    let paths = documents.contains(path) ? documents : documents + [path]
    do {
      asking.chat.documents = try await interruptible { try DocumentIndex().collection(paths) }
    } catch is CancellationError {
      return note("(interrupted; \(path) was not added)")
    }
    documents = paths
    keeper.restart(documents: paths)
    note("The conversation starts anew, about \(paths.joined(separator: ", ")).")
  }

  /// Runs `body` with Ctrl-C cancelling it alone.
  private func interruptible<Result: Sendable>(
    _ body: @escaping @Sendable () async throws -> Result
  ) async throws -> Result {
    let task = Task { try await body() }
    let before = Signals.onInterrupt { task.cancel() }
    defer { Signals.onInterrupt(before) }
    return try await task.value
  }

  /// Writes the conversation as Markdown.
  private func save(_ path: String) throws {
    let file = try OutputFile(path: Folders.expanded(path))
    try file.write("# Conversation with \(asking.name)\n")
    let turns = keeper.conversation.turns
    for turn in turns {
      try file.write("\n**You:** \(turn.question)\n\n**\(asking.name):** \(turn.answer)\n")
      guard !turn.sources.isEmpty else { continue }
      try file.write("\nSources:\n\n")
      for source in turn.sources { try file.write("- [\(source.number)] \(source.location)\n") }
    }
    try file.finish()
    note("Saved \(count(turns.count)) to \(path).")
  }

  private func count(_ turns: Int) -> String { "\(turns) \(turns == 1 ? "turn" : "turns")" }

  /// Says under which name the conversation is kept.
  private func tellFile() {
    guard keeper.isOn else { return warn("the conversation is not kept; /save FILE writes it as Markdown") }
    guard !keeper.conversation.turns.isEmpty else { return note("Nothing was said yet that could be kept.") }
    note("duet chat --resume \(keeper.conversation.id) goes on with the conversation.")
  }

  /// A history that cannot be saved is no reason to stop.
  private func saveHistory() {
    try? Folders.makeData()
    guard let file = try? OutputFile(path: Folders.history, isPrivate: true) else { return }
    try? file.write(editor.history.encoded)
    try? file.finish()
  }

  private func note(_ text: String) {
    try? StandardStream.errors.write(Style(.errors).dim(text) + "\n")
  }
}
