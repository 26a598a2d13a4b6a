import DuetRuntime
import Testing

@Suite struct TemplateTests {
  private let chatml = """
    {% for message in messages %}{{ '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' }}{% endfor %}
    {% if add_generation_prompt %}{{ bos_token }}<|im_start|>assistant
    {% endif %}
    """

  @Test func `renders messages`() throws {
    let template = try ChatTemplate(source: chatml)
    let messages = [ChatMessage(role: .system, content: "Be kind."), ChatMessage(role: .user, content: "Hi")]
    let text = try template.render(
      messages: messages, addGenerationPrompt: true, variables: ["bos_token": "<s>"])
    #expect(
      text == """
        <|im_start|>system
        Be kind.<|im_end|>
        <|im_start|>user
        Hi<|im_end|>
        <s><|im_start|>assistant

        """)
    #expect(try template.render(messages: [], addGenerationPrompt: false) == "")
  }

  @Test func `gives templates the fields of a message`() throws {
    let template = try ChatTemplate(
      source: "{% for m in messages %}{{ m.tool_calls[0].name }}{{ m | tojson }}{% endfor %}")
    let calls: TemplateValue = [["name": "f", "n": 1, "x": 0.5, "z": nil, "b": true]]
    let message = ChatMessage(role: .assistant, content: "", fields: ["tool_calls": calls])
    let text = try template.render(messages: [message], addGenerationPrompt: false)
    #expect(
      text
        == #"f{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "n": 1, "x": 0.5, "z": null, "b": true}]}"#
    )
  }

  @Test func `gives the date it is told`() throws {
    let template = try ChatTemplate(source: "{{ strftime_now('%d %b %Y') }}")
    let date = TemplateDate(year: 2024, month: 2, day: 29)
    #expect(try template.render(messages: [], addGenerationPrompt: false, date: date) == "29 Feb 2024")
    let today = TemplateDate.now
    #expect((1...12).contains(today.month) && (1...31).contains(today.day) && today.year > 2024)
  }

  private func error(_ source: String) -> TemplateError? {
    do throws(TemplateError) {
      _ = try ChatTemplate(source: source).render(messages: [], addGenerationPrompt: false)
      return nil
    } catch {
      return error
    }
  }

  private func at(_ line: Int, _ column: Int) -> TemplatePosition {
    TemplatePosition(line: line, column: column)
  }

  @Test func `says where a template is wrong`() {
    #expect(error("a\nbé {% if %}") == .syntax(at(2, 10), problem: "expected an expression, found '%}'"))
    #expect(error("\r\n\r{{ x +* 2 }}")?.position == at(3, 7))
    #expect(error("{% include 'x' %}") == .unsupported(at(1, 4), feature: "the tag 'include'"))
    #expect(error("\n{{ 1 | nope }}") == .unsupported(at(2, 8), feature: "the filter 'nope'"))
    #expect(error("{{ 1 | urlize }}") == .unsupported(at(1, 8), feature: "the filter 'urlize'"))
    #expect(error("{{ 1 is nope }}") == .unsupported(at(1, 9), feature: "the test 'nope'"))
    #expect(error("{{ 1 }}\n{# never") == .syntax(at(2, 1), problem: "a comment is not closed"))
    #expect(error("{{ 'a") == .syntax(at(1, 4), problem: "a string is not closed"))
    #expect(error("{{ a") == .syntax(at(1, 1), problem: "a tag is not closed"))
  }

  @Test func `says where a template fails`() {
    #expect(error("a\n{{ x.y }}") == .evaluation(at(2, 5), problem: "'x' is undefined"))
    #expect(error("\n {{ raise_exception('no system') }}") == .raised(at(2, 20), message: "no system"))
    #expect(error("{{ 1 + 'a' }}") == .evaluation(at(1, 6), problem: "'+' cannot combine a int and a str"))
    #expect(
      error("\n{{ raise_exception('no') }}")?.description
        == "the chat template refuses the conversation (line 2, column 19): no")
  }

  @Test func `is linear in the messages`() throws {
    let template = try ChatTemplate(source: chatml)
    func time(_ count: Int) throws -> Duration {
      let messages = Array(repeating: ChatMessage(role: .user, content: "Hello there"), count: count)
      let start = ContinuousClock.now
      _ = try template.render(messages: messages, addGenerationPrompt: true)
      return ContinuousClock.now - start
    }
    _ = try time(1_000)
    #expect(try time(40_000) < time(2_000) * 100 + .milliseconds(200))
  }

  @Test func `reads JSON in order`() throws {
    let value = try TemplateValue(
      json: #" {"b": [1, -2.5e1, true, null, "A\n\u00e9\ud83d\ude42"], "a": {}} "#)
    #expect(value == ["b": [1, -25.0, true, nil, "A\né🙂"], "a": [:]])
    for text in [
      "", "{", "[1,]", "{\"a\" 1}", "tru", "\"a", "\"\\x\"", "\"\\ud800\"", "1 2", "+1", ".5", "\"\n\"", "[1",
      "-",
    ] {
      #expect(throws: TemplateJSONError.self, "\(text)") { try TemplateValue(json: text) }
    }
    let deep = String(repeating: "[", count: 100_000)
    #expect(throws: TemplateJSONError.tooDeep(offset: 100)) { try TemplateValue(json: deep) }
    #expect(throws: TemplateJSONError.numberTooLarge(offset: 0)) {
      try TemplateValue(json: "99999999999999999999")
    }
  }
}
