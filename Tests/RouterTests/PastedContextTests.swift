import DuetRouter
import Testing

@Suite("Context pasted into a message")
struct PastedContextTests {
  static let text =
    "The lighthouse of Ravn Point was built in 1862 by Ada Holm, and its lamp was lit for the first time in the "
    + "winter of the same year, when the harbour had been closed by ice for six weeks."

  @Test(
    "is told apart from the question, wherever that stands",
    arguments: [
      "\(text)\n\nWho built the lighthouse?", "Who built the lighthouse?\n\n\(text)",
      "Who built the lighthouse?\n\(text)", "\(text) Who built the lighthouse?",
      "\(text)\n\nMy question is: Who built the lighthouse?",
    ])
  func question(message: String) throws {
    let found = try #require(PastedContext(message))
    #expect(found.question == "Who built the lighthouse?")
    #expect(found.text == Self.text)
  }

  @Test("may stand behind a colon, or below what is to be done with it")
  func tasks() throws {
    #expect(try #require(PastedContext("Summarize this: \(Self.text)")).question == "Summarize this")
    let found = try #require(PastedContext("Translate the following into German.\n\n\(Self.text)"))
    #expect(found.question == "Translate the following into German.")
    let led = try #require(PastedContext("\(Self.text)\n\nMy task: Translate this into German."))
    #expect(led.question == "Translate this into German." && led.text == Self.text)
    #expect(found.text == Self.text)
  }

  @Test(
    "is not seen where there is none",
    arguments: [
      "", "Who built the lighthouse?", "Write a poem about the sea.\n\nMake it short, please.",
      "What is the difference between a lighthouse, a beacon and a buoy, and which of these three would I see first "
        + "when I come into a harbour by night from the open sea in winter?",
    ])
  func none(message: String) {
    #expect(PastedContext(message) == nil)
  }

  @Test("is not a list of names, which says nothing; a list of facts is")
  func lists() throws {
    let names = (1...24).map { _ in "Red Admiral" }
    #expect(PastedContext("Classify these as butterflies or moths:\n" + names.joined(separator: "\n")) == nil)
    let facts = (1...24).map { "Pier \($0): open" }
    let message = "Which piers are open?\n" + facts.joined(separator: "\n")
    #expect(try #require(PastedContext(message)).text == facts.joined(separator: "\n"))
  }
}
