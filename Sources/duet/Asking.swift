import DuetRouter
import DuetRuntime
import DuetTerminal
import Foundation
import Synchronization

/// Asks a chat and shows what comes.
struct Asking: Sendable {
  let chat: Chat
  /// Who answers.
  let name: String
  let options: GenerationOptions
  /// Seconds that the model took to load.
  let loadSeconds: Double
  let isVerbose: Bool
  /// Whether a person is in conversation, and sees the route of each turn.
  var isConversation = false
  /// What the first question is about; nil for words alone.
  var picture: InputEmbeddings?

  private var style: Style { Style(.output) }
  private var notes: Style { Style(.errors) }

  /// Gives one answer and ends.
  func once(_ question: String, json: Bool, _ keeper: ConversationKeeper) async throws {
    let start = ContinuousClock.now
    let reply = try await ask(question, isStreamed: !json)
    guard let reply else { throw CancellationError() }
    keeper.add(question: question, answer: reply.text, sources: reply.sources, chat: chat)
    if json {
      let total = (ContinuousClock.now - start) / .seconds(1)
      try printJSON(AnswerRecord(reply, model: name, loadSeconds: loadSeconds, totalSeconds: total))
    }
  }

  /// Asks and shows the answer as it comes.
  ///
  /// - Parameter shown: what came so far of it.
  /// - Returns: the whole answer; nil when it was interrupted.
  func ask(_ question: String, isStreamed: Bool = true, shown: Shown = Shown()) async throws -> Reply? {
    let bar = Progress("reading", unit: "tokens")
    defer { bar.clear() }
    do {
      let picture = chat.turns.isEmpty ? picture : nil
      for try await event in chat.ask(question, about: picture, options) {
        switch event {
        case .prefill(let done, let total): bar.update(done, of: total)
        case .routed(let decision, let context): show(decision, context)
        case .droppedTurns(let count):
          bar.clear()
          note(
            count == 1
              ? "(the oldest turn no longer fits and was left out)"
              : "(the \(count) oldest turns no longer fit and were left out)")
        case .text(let text):
          bar.clear()
          if isStreamed { try shown.write(text) }
        case .finished(let reply):
          bar.clear()
          if isStreamed { try show(reply, shown) }
          return reply
        }
      }
    } catch {
      bar.clear()
      if isStreamed { try shown.endLine() }
      if error is CancellationError || Task.isCancelled { return nil }
      throw error
    }
    if isStreamed { try shown.endLine() }
    return nil
  }

  /// A conversation with a pair says who answers; everyone is told that the documents do not help.
  private func show(_ decision: Router.Decision, _ context: [Source]) {
    if isVerbose {
      let score = decision.score.map { ", score \(Figures.short($0))" } ?? ""
      note("route \(decision.route.rawValue): \(decision.reason), \(context.count) passages\(score)")
    } else if isConversation, decision.route != .base {
      note("(\(decision.route.rawValue): \(decision.reason))")
    }
    if decision.leavesOutContext {
      note("(the documents do not seem to answer this; what follows is from memory)")
    }
  }

  private func show(_ reply: Reply, _ shown: Shown) throws {
    try shown.endLine()
    if !reply.sources.isEmpty {
      try say(style.dim("Sources:"))
      for source in reply.sources { try say(style.dim(printable("[\(source.number)] \(source.location)"))) }
    }
    warnOfUnsupported(reply)
    if let ending = ending(reply.finish) { note("(\(ending))") }
    if isVerbose { note(summary(reply)) }
  }

  /// Says quietly what of an answer does not stand in the documents.
  private func warnOfUnsupported(_ reply: Reply) {
    guard !reply.isRefusal else { return }
    if reply.isUnsupported { return note("(hardly a word of this answer stands in the documents; check it)") }
    for sentence in reply.sentences where sentence.isUnsupported {
      note("(hardly a word of this stands in the documents: \(sentence.text))")
    }
  }

  /// Why an answer ended that its model did not end, and what to do for more.
  private func ending(_ reason: Completion.Reason) -> String? {
    switch reason {
    case .stop, .stopString: nil
    case .maxTokens: "ended at \(options.maxTokens) tokens; raise --max-tokens for more"
    case .repetition: "ended because it only repeated itself; rephrase, or give --repeat-penalty 1.1"
    case .contextFull: "ended because the context is full; raise --context for more"
    }
  }

  private func summary(_ reply: Reply) -> String {
    let usage = reply.usage, timings = reply.timings
    let read = Double(usage.promptTokens - usage.cachedTokens) / max(timings.prefill, 1e-9)
    let written = Double(max(0, usage.completionTokens - 1)) / max(timings.decode, 1e-9)
    let seed = options.sampling.temperature > 0 ? ", seed \(options.sampling.seed)" : ""
    return "\(usage.promptTokens) prompt tokens (\(usage.cachedTokens) cached) at \(Figures.short(read))/s, "
      + "\(usage.completionTokens) answer tokens at \(Figures.short(written))/s, "
      + "first after \(Figures.short(timings.firstToken)) s, \(reply.finish.rawValue)\(seed)"
  }

  private func note(_ text: String) {
    try? StandardStream.errors.write(notes.dim(printable(text)) + "\n")
  }
}

/// What of an answer is on the screen.
final class Shown: Sendable {
  private let state = Mutex((text: "", isLineOpen: false))
  private let isTerminal = StandardStream.output.isTerminal

  var text: String { state.withLock { $0.text } }

  func write(_ text: String) throws {
    guard !text.isEmpty else { return }
    // A model can be made to write what a terminal obeys.
    try StandardStream.output.write(isTerminal ? printable(text) : text)
    state.withLock { state in
      state.text += text
      state.isLineOpen = text.last?.isNewline != true
    }
  }

  func endLine() throws {
    let wasOpen = state.withLock { state in
      defer { state.isLineOpen = false }
      return state.isLineOpen
    }
    if wasOpen { try say() }
  }
}
