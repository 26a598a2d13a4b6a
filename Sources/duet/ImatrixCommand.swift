import ArgumentParser
import DuetQuantize
import DuetRuntime
import DuetTerminal
import Foundation

/// `duet imatrix`: what calibration text says about the columns of a model's weights.
struct ImatrixCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "imatrix",
    abstract: "Measure which columns of a model's weights matter, for duet quantize.",
    discussion: """
      The model reads a text; the mean squares of what each weight matrix is multiplied by are written in the \
      layout that GGUF's other tools read.

      Examples:
        duet imatrix model-f16.gguf --text calibration.txt -o imatrix.gguf
        duet quantize model-f16.gguf small.gguf --type Q4_K_M --imatrix imatrix.gguf
      """)

  @Argument(
    help: ArgumentHelp("A GGUF file, or the name of one in the models folder.", valueName: "model"),
    completion: .file(extensions: ["gguf"]))
  var model: String
  @Option(
    help: ArgumentHelp("The calibration text; standard input without it.", valueName: "file"),
    completion: .file())
  var text: String?
  @Option(
    name: .shortAndLong, help: ArgumentHelp("The file to write.", valueName: "file"), completion: .file())
  var output: String
  @Option(help: "Tokens that are read at once, each window by itself.")
  var window = 512
  @Option(help: "The most windows that are read (default: the whole text).")
  var windows: Int?
  @Option(help: "What weights are multiplied by: f32 or int8 (faster).")
  var activations = ActivationType.float32
  @Option(help: "Threads that compute (default: one per core).")
  var threads: Int?
  @Flag(help: "Replace the output if it is there already.")
  var force = false
  @Flag(help: "Print one JSON object.")
  var json = false

  private struct Record: Encodable {
    let model: String
    let output: String
    let tensors: Int
    let tokens: Int
    let window: Int
  }

  func validate() throws {
    try check("--window", window, 16...1_048_576)
    try check("--windows", windows, 1...1_048_576)
    try check("--threads", threads, 1...256)
  }

  func run() async throws {
    var option = try ModelOption.parse([])
    option.model = self.model
    let model = try option.open()
    let tokens = model.tokenizer.encode(try Input.bytes(text))
    guard tokens.count >= 16 else { throw CommandError.tooFewTokens(tokens.count, least: 16) }
    var collector = ImportanceCollector()
    collector.window = min(window, model.config.contextLength)
    collector.windows = windows
    collector.activations = activations
    collector.threads = threads
    let bar = Progress("reading", unit: "tokens")
    let matrix = try collector.collect(model, tokens: tokens) { bar.update($0, of: $1) }
    bar.clear()
    let count = collector.windowCount(tokens.count)
    try matrix.write(
      to: Folders.expanded(output), datasets: [text ?? "standard input"], chunks: (count, collector.window),
      replaces: force)
    let read = min(tokens.count, count * collector.window)
    if json {
      return try printJSON(
        Record(
          model: model.name, output: output, tensors: matrix.tensorCount, tokens: read,
          window: collector.window))
    }
    try say("\(printable(output)): \(matrix.tensorCount) tensors, from \(Figures.grouped(read)) tokens")
  }
}
