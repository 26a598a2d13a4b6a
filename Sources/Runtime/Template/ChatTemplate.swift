/// One message of a conversation.
public struct ChatMessage: Sendable, Equatable {
  /// The parts that speakers have.
  public enum Role: String, Sendable {
    case system, user, assistant, tool
  }

  /// Who speaks.
  public var role: Role
  /// What is said.
  public var content: String
  /// What is shown before the text; nil for nothing.
  public var picture: InputEmbeddings?
  /// What a message has beyond these, such as `tool_calls`; a field called `content` replaces the text.
  public var fields: TemplateDictionary

  /// A message of `role`.
  public init(
    role: Role, content: String, picture: InputEmbeddings? = nil, fields: TemplateDictionary = [:]
  ) {
    self.role = role
    self.content = content
    self.picture = picture
    self.fields = fields
  }

  fileprivate var value: TemplateValue {
    let entries: [TemplateDictionary.Entry] = [
      .init(key: "role", value: .string(role.rawValue)), .init(key: "content", value: .string(content)),
    ]
    return .dictionary(TemplateDictionary(entries + fields.entries))
  }
}

/// A model's chat template: a program in Jinja that writes a conversation as the text the model was
/// trained on.
///
/// Rendered as Jinja 3.1 does it in the environment that chat templates are written for: sandboxed,
/// with `trim_blocks`, `lstrip_blocks` and loop controls (huggingface.co/docs/transformers,
/// "Chat templates"). Templates come with models and are not trusted: depth, steps and output are
/// bounded.
public struct ChatTemplate: Sendable {
  private let source: TemplateSource
  private let program: TemplateProgram

  /// Parses a template. O(n).
  ///
  /// - Throws: `TemplateError` with the line and column, where it is malformed or not supported.
  public init(source: String) throws(TemplateError) {
    self.source = TemplateSource(source)
    program = try TemplateParser.program(self.source)
  }

  /// The text of a conversation.
  ///
  /// - Parameters:
  ///   - messages: the turns, the oldest first.
  ///   - addGenerationPrompt: whether the text ends where the assistant begins to speak.
  ///   - variables: further values that the template may ask for, such as `bos_token`, `eos_token`
  ///     and `tools`.
  ///   - date: what `strftime_now` gives; the current one where nil.
  /// - Throws: `TemplateError` with the line and column, where the template refuses the
  ///   conversation, fails, or takes more than its bounds.
  public func render(
    messages: [ChatMessage], addGenerationPrompt: Bool, variables: [String: TemplateValue] = [:],
    date: TemplateDate? = nil
  ) throws(TemplateError) -> String {
    var all = variables
    all["messages"] = .list(messages.map(\.value))
    all["add_generation_prompt"] = .bool(addGenerationPrompt)
    return try render(variables: all, date: date)
  }

  /// The text for any variables.
  package func render(
    variables: [String: TemplateValue], date: TemplateDate? = nil, limits: TemplateLimits = TemplateLimits()
  ) throws(TemplateError) -> String {
    var values: [Int: Value] = [:]
    do {
      for (name, value) in variables {
        if let id = program.symbols.ids[name] { values[id] = try Value(value) }
      }
    } catch {
      throw error.error(at: source.position(0))
    }
    let interpreter = TemplateInterpreter(
      symbols: program.symbols, variables: values, date: date ?? .now, limits: limits)
    do {
      return try interpreter.run(program.body)
    } catch {
      throw error.error(at: source.position(interpreter.offset))
    }
  }
}
