import DuetRuntime
import Testing

@Suite(.serialized) struct TunedSessionTests {
  private func text(_ session: Session, _ question: String = "Hello") async throws -> String {
    var options = GenerationOptions()
    options.maxTokens = 40
    var text = ""
    for try await part in session.reply(to: question, options) { text += part }
    return text
  }

  @Test func `each session answers with its own tuning, and may change it`() async throws {
    let chat = TinyChat(), engine = try Engine(chat)
    let adapter = try chat.adapter().open(for: engine.model)
    let tuned = Session(engine, tuning: try Tuning(adapter)), bare = Session(engine)
    let bareText = try await text(bare), tunedText = try await text(tuned)
    #expect(bareText != tunedText)
    for (tuning, expected) in [(nil, bareText), (try Tuning(adapter), tunedText), (nil, bareText)] {
      tuned.reset()
      tuned.tuning = tuning
      #expect(try await text(tuned) == expected)
    }
    tuned.reset()
    tuned.tuning = try Tuning(adapter, scale: 0)
    #expect(try await text(tuned) == bareText)
  }

  @Test func `an adapter is freed when no session uses it`() async throws {
    let chat = TinyChat(), engine = try Engine(chat)
    let session = Session(engine)
    weak var adapter: Adapter?
    do {
      let opened = try chat.adapter().open(for: engine.model)
      adapter = opened
      session.tuning = try Tuning(opened)
      _ = try await text(session)
    }
    #expect(adapter != nil)
    session.tuning = nil
    session.reset()
    _ = try await text(session)
    #expect(adapter == nil)
  }

  @Test func `an adapter of another model is an error`() async throws {
    let chat = TinyChat(), engine = try Engine(chat)
    let other = try chat.adapter().open(for: try chat.open())
    let session = Session(engine, tuning: try Tuning(other))
    await #expect(throws: AdapterError.self) { _ = try await text(session) }
    session.tuning = nil
    #expect(try await !text(session).isEmpty)
  }
}
