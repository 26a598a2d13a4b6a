import ArgumentParser
import DuetQuantize
import DuetRuntime
import DuetTerminal

/// `duet compare`: what a smaller model lost.
struct CompareCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Compare what models predict with what a reference predicts.",
    discussion: """
      KL is how far the predictions are from the reference's, in nats; the mean over all tokens of the text with \
      its 95 % interval, and the value that 1 % of them exceed. The difference of the log perplexities is paired: \
      both predict the same tokens.

      Examples:
        duet compare model-f16.gguf small.gguf --text book.txt
        duet compare f16.gguf q4_0.gguf q4_k_m.gguf --text book.txt --tokens 5000
      """)

  @Argument(
    help: ArgumentHelp("The reference, then one or more others.", valueName: "models"),
    completion: .file(extensions: ["gguf"]))
  var models: [String]
  @Option(
    help: ArgumentHelp("A text file; standard input without it.", valueName: "file"), completion: .file())
  var text: String?
  @Option(help: "The most tokens of the text that are used.")
  var tokens: Int?
  @Option(help: "Tokens of a window.")
  var window = 512
  @Option(help: "What weights are multiplied by: f32 or int8.")
  var activations = ActivationType.float32
  @Option(help: "Threads that compute (default: one per core).")
  var threads: Int?
  @Flag(help: "Print one JSON object.")
  var json = false

  private struct Record: Encodable {
    struct Other: Encodable {
      let model: String
      let bytes: Int
      let perplexity: Nullable<Double>
      let logPerplexityDifference: Nullable<Double>
      let logPerplexityDifferenceMargin: Nullable<Double>
      let meanKl: Nullable<Double>
      let meanKlMargin: Nullable<Double>
      let kl99: Nullable<Double>
      let topAgreement: Double
    }
    let reference: String
    let perplexity: Nullable<Double>
    let tokens: Int
    let window: Int
    let activations: String
    let models: [Other]
  }

  func validate() throws {
    guard models.count >= 2 else { throw ValidationError("give a reference and at least one other model") }
    try check("--window", window, 2...1_048_576)
    try check("--tokens", tokens, 2...1_000_000_000)
    try check("--threads", threads, 1...256)
  }

  func run() async throws {
    let opened = try models.map { path in
      var option = try ModelOption.parse([])
      option.model = path
      return try option.open()
    }
    let reference = opened[0], others = Array(opened.dropFirst())
    let ids = reference.tokenizer.encode(try Input.bytes(text))
    let used = Array(ids.prefix(tokens ?? ids.count))
    guard used.count >= 2 else { throw CommandError.tooFewTokens(used.count, least: 2) }
    var comparison = ModelComparison()
    comparison.window = min(window, reference.config.contextLength - 1)
    comparison.activations = activations
    comparison.threads = threads
    let bar = Progress("comparing", unit: "tokens")
    let result = try comparison.compare(reference, others, tokens: used) { bar.update($0, of: $1) }
    bar.clear()
    try show(result.perplexity, result.comparisons, reference, others)
  }

  private func show(
    _ perplexity: Double, _ comparisons: [Comparison], _ reference: Model, _ others: [Model]
  ) throws {
    let tokens = comparisons.first?.tokens ?? 0
    if json {
      let records = zip(comparisons, others).map { result, model in
        Record.Other(
          model: result.path, bytes: model.weightBytes, perplexity: Nullable(finite: result.perplexity),
          logPerplexityDifference: Nullable(finite: result.difference.mean),
          logPerplexityDifferenceMargin: Nullable(finite: result.difference.margin),
          meanKl: Nullable(finite: result.divergence.mean),
          meanKlMargin: Nullable(finite: result.divergence.margin),
          kl99: Nullable(finite: result.divergence99), topAgreement: result.agreement)
      }
      return try printJSON(
        Record(
          reference: reference.file.path, perplexity: Nullable(finite: perplexity), tokens: tokens,
          window: window,
          activations: activations.rawValue, models: records))
    }
    try say(
      "reference \(printable(reference.file.path)): perplexity \(Figures.fixed(perplexity, 4)) over \(Figures.grouped(tokens)) tokens\n"
    )
    var table = Table([
      ("model", .left), ("bytes", .right), ("perplexity", .right), ("log difference", .right),
      ("mean KL", .right),
      ("99 % KL", .right), ("same top token", .right),
    ])
    for (result, model) in zip(comparisons, others) {
      table.append([
        printable(result.path), Figures.grouped(model.weightBytes), Figures.fixed(result.perplexity, 4),
        "\(Figures.fixed(result.difference.mean, 4)) ± \(Figures.fixed(result.difference.margin, 4))",
        "\(Figures.fixed(result.divergence.mean, 5)) ± \(Figures.fixed(result.divergence.margin, 5))",
        Figures.fixed(result.divergence99, 4), "\(Figures.fixed(100 * result.agreement, 2)) %",
      ])
    }
    for line in table.lines { try say(line) }
  }
}
