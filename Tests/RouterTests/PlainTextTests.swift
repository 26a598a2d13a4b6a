import DuetRouter
import DuetRuntime
import Testing

@Suite("Markdown as plain text")
struct PlainTextTests {
  @Test("loses fences, heading marks, rules and addresses")
  func marks() {
    let markdown = """
      ## Set-up

      Run [the tool](https://example.org/a(b)) in `sh`:

      ```console
      $ tool --now
      ```

      | a | b |
      |---|---|
      | 1 | 2 |
      """
    #expect(
      PlainText.of(markdown) == """
        Set-up

        Run the tool) in `sh`:

        $ tool --now

        | a | b |
        | 1 | 2 |
        """)
  }

  @Test("leaves other text as it is", arguments: ["", "a [b] (c)", "](", "x](y)", "1 - 2", "# ", "[a](b"])
  func others(_ text: String) {
    #expect(PlainText.of(text) == (text == "# " ? "" : text))
  }
}

@Suite("The support of an answer")
struct SupportTests {
  private func source(_ number: Int, _ text: String) -> Source {
    Source(number: number, location: "file.txt:\(number)", title: "", text: text)
  }

  @Test("is the passage that shares its words, the most first")
  func best() {
    let sources = [
      source(1, "The lease ends when either side says so."),
      source(2, "The rent is 900 a month and the lease ends in May 2031."),
      source(3, "Cats are not allowed."),
    ]
    #expect(Support(answer: "The lease ends in May 2031.").best(sources).map(\.number) == [2])
    #expect(Support(answer: "Cats!").best(sources).map(\.number) == [3])
    #expect(Support(answer: "Cats!").share(sources[0]) == 0)
  }

  @Test("is on the line that shares the most of its words")
  func line() {
    let text = "# Lease\n\nThe rent is 900 a month.\nThe lease ends in May.\nThe lease ends in May."
    #expect(Support(answer: "The lease ends in May.").line(text) == 3)
    #expect(Support(answer: "900").line(text) == 2)
    #expect(Support(answer: "Cats!").line(text) == 0)
    #expect(Support(answer: "").line("") == 0)
  }

  @Test("is the share of its words that any passage holds")
  func held() {
    let support = Support(answer: "The lease ends in 2040.")
    let sources = [source(1, "The lease began in 1999."), source(2, "It ends in May.")]
    // the, lease and ends of the, lease, ends and 2040: "in" is too short to count.
    #expect(support.held(by: sources) == 0.75)
    #expect(support.held(by: []) == nil)
    #expect(Support(answer: "").held(by: sources) == nil)
  }

  @Test("is found for each sentence that says something")
  func sentences() {
    let sources = [source(1, "The lease began in 1999."), source(2, "The rent is 900 a month.")]
    let answer = "The lease began in 1999. Yes! The monthly rent is 900. Cats purr loudly."
    let found = Support.sentences(of: answer, in: sources)
    #expect(found.map(\.source) == [1, 2, nil])
    #expect(
      found.map(\.text) == ["The lease began in 1999.", "The monthly rent is 900.", "Cats purr loudly."])
    #expect(found.map(\.support) == [1, 0.75, 0] && found.map(\.isUnsupported) == [false, false, true])
    #expect(Support.sentences(of: answer, in: []).isEmpty && Support.sentences(of: "", in: sources).isEmpty)
  }

  /// Tokens of an answer with the attention that two passages got.
  private func attended(_ tokens: [(String, [Float])]) -> [AttendedToken] {
    tokens.map { AttendedToken(bytes: Array($0.0.utf8), shares: $0.1) }
  }

  @Test("is what was attended to, by length, where passages share as many words")
  func attention() throws {
    let sources = [source(1, "The lease ends in May, and so on."), source(2, "The lease ends in May.")]
    let texts = sources.map(\.text), answer = "The lease ends. In May the lease ends."
    let tokens = attended([
      ("The lease", [0.4, 0.1]), (" ends.", [0.4, 0.1]), (" In May", [0.1, 0.1]),
      (" the lease ends.", [0.1, 0.1]),
    ])
    let attention = PassageAttention(tokens, passages: texts)
    let found = Support.sentences(of: answer, in: sources, attention)
    // Of equal shares the shorter passage's is more for its length.
    #expect(found.map(\.source) == [1, 2])
    let second = try #require(found.last?.attention)
    #expect(abs(second - 33.0 / (33 + 22)) < 1e-6)
    #expect(Support.sentences(of: answer, in: sources).map(\.source) == [1, 1])
    #expect(Support(answer: "The lease ends.", attention).best(sources).map(\.number) == [1, 2])
    #expect(Support(answer: "In May the lease ends.", attention).best(sources).map(\.number) == [2, 1])
    #expect(attention.shares(of: "something else") == nil && attention.shares(of: "") == nil)
    #expect(PassageAttention([], passages: texts).shares(of: answer) == nil)
  }

  @Test("falls back to the best passage found where no word is shared")
  func nothingShared() {
    let sources = [source(1, "One thing."), source(2, "Another.")]
    #expect(Support(answer: "Unrelated words").best(sources).map(\.number) == [1])
    #expect(Support(answer: "anything").best([]).isEmpty)
  }
}

@Suite("Refusals")
struct RefusalTests {
  @Test(
    "are told from answers by their first sentence",
    arguments: [
      ("The text does not say.", true), ("The text doesn\u{2019}t say when.", true),
      ("I don't know.", true), ("The passage does not mention a date", true),
      ("In May 2031.", false), ("", false), ("In May. The text does not say of which year.", false),
      ("He said nothing", false),
    ])
  func matches(answer: String, isRefusal: Bool) {
    #expect(Refusal.matches(answer) == isRefusal)
  }
}
