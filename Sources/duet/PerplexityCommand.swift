import ArgumentParser
import DuetRuntime
import DuetTerminal
import Synchronization

/// `duet perplexity`: how well a model predicts a text.
struct PerplexityCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity",
    abstract: "Measure how well a model predicts a text.",
    discussion: """
      The text is cut into windows without overlap; each token but the first of its window is predicted from \
      those before it. Lower is better.

      Examples:
        duet perplexity book.txt
        duet perplexity --window 1024 --cache q8_0 book.txt
        duet perplexity --tokens ids.txt --logits logits.f32
      """)

  @Argument(help: "A text file; standard input without one.", completion: .file())
  var file: String?
  @Option(help: "Tokens of a window.")
  var window = 512
  @Option(
    help: ArgumentHelp("A file of token numbers, used as they are, instead of text.", valueName: "file"),
    completion: .file())
  var tokens: String?
  @Option(
    help: ArgumentHelp("Write the logits of every position here: float32, little-endian.", valueName: "file"),
    completion: .file())
  var logits: String?
  @Option(help: "What weights are multiplied by: int8 or f32.")
  var activations = ActivationType.int8
  @Flag(help: "Print one JSON object.")
  var json = false
  @OptionGroup var model: ModelOption
  @OptionGroup var adapter: AdapterOption
  @OptionGroup var engine: EngineFlags

  private struct Record: Encodable {
    let model: String
    let perplexity: Nullable<Double>
    let tokens: Int
    let nll: Nullable<Double>
    let window: Int
  }

  func validate() throws {
    try check("--window", window, 2...16_777_216)
    if file != nil, tokens != nil { throw ValidationError("a text file and --tokens exclude each other") }
  }

  func run() async throws {
    let model = try model.open()
    let (ids, beginning) = try input(model)
    guard ids.count >= 2 else { throw CommandError.tooFewTokens(ids.count, least: 2) }
    let longest = min(window, ids.count) + (beginning == nil ? 0 : 1)
    guard longest <= model.config.contextLength else {
      throw CommandError.tooLong(what: "a window", tokens: longest, limit: model.config.contextLength)
    }
    let result = try await measure(model, ids, beginning)
    try show(result, model)
  }

  private func measure(_ model: Model, _ ids: [Int32], _ beginning: Int32?) async throws -> Perplexity {
    var options = engine.options
    options.activations = activations
    // Some models rotate by the length of the context.
    options.contextLength = min(window + 1, model.config.contextLength)
    let tuning = try adapter.open(for: model, isExact: activations == .float32)
    let engine = Engine(model, options)
    let bar = Progress("reading", unit: "tokens")
    let output = try logits.map { LogitsFile(try OutputFile(path: Folders.expanded($0))) }
    var write: (@Sendable (Span<Float>) throws -> Void)?
    if let output { write = { try output.write($0) } }
    let result = try await engine.perplexity(
      of: ids, window: window, beginning: beginning, tuning: tuning, logits: write,
      progress: { bar.update($0, of: ids.count) })
    bar.clear()
    try output?.finish()
    return result
  }

  /// The tokens, and what stands before each window.
  private func input(_ model: Model) throws -> (ids: [Int32], beginning: Int32?) {
    if let tokens { return (try Self.ids(tokens, vocabulary: model.tokenizer.vocabularySize), nil) }
    let ids = model.tokenizer.encode(try Input.bytes(file))
    return (ids, model.tokenizer.addsBeginning ? model.tokenizer.beginningOfText : nil)
  }

  private static func ids(_ path: String, vocabulary: Int) throws -> [Int32] {
    try Input.text(path).split(whereSeparator: \.isWhitespace).map { word in
      guard let id = Int32(word), id >= 0, Int(id) < vocabulary else {
        throw CommandError.badToken(String(word.prefix(40)), vocabulary: vocabulary)
      }
      return id
    }
  }

  private func show(_ result: Perplexity, _ model: Model) throws {
    guard json else {
      let nats = Figures.fixed(result.negativeLogLikelihood / Double(max(1, result.tokens)), 4)
      return try say(
        "perplexity \(Figures.fixed(result.perplexity, 4)) over \(Figures.grouped(result.tokens)) tokens "
          + "(\(nats) nats per token, window \(window))")
    }
    try printJSON(
      Record(
        model: model.name, perplexity: Nullable(finite: result.perplexity), tokens: result.tokens,
        nll: Nullable(finite: result.negativeLogLikelihood), window: window))
  }
}

/// A file that the engine writes logits to.
private final class LogitsFile: Sendable {
  private let file: Mutex<OutputFile>
  init(_ file: sending OutputFile) { self.file = Mutex(file) }
  func write(_ span: Span<Float>) throws { try file.withLock { try $0.write(span) } }
  func finish() throws { try file.withLock { try $0.finish() } }
}
