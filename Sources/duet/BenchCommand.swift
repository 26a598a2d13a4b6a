import ArgumentParser
import DuetRuntime
import DuetTerminal

/// `duet bench`: how fast a model runs here.
struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure how fast a model reads and writes.",
    discussion: """
      Figures are medians of the repetitions, after a pass that is not counted. Of a prompt's products the share is \
      of what the same threads could multiply if nothing had to be loaded. The bandwidth is what decoding reads per \
      second; its share is of the rate at which the same threads can read the mapped file.

      Examples:
        duet bench
        duet bench --prefill 128,512 --decode 64 --depth 0,2048
        duet bench --json --threads 1
        duet bench --adapter tuned.gguf
        duet bench --parallel 8 --adapter free.gguf --adapter grounded.gguf
        duet bench --documents squad.jsonl --questions 100
      """)

  @Option(help: "Tokens of a prompt, or several counts parted by commas; 0 for none.")
  var prefill = Counts([512])
  @Option(help: "Tokens to generate, or several counts; 0 for none.")
  var decode = Counts([128])
  @Option(help: "Tokens in the context before, or several counts.")
  var depth = Counts([0])
  @Option(help: "Sequences that are decoded in one pass; figures are those of all together.")
  var parallel = 1
  @Option(
    name: .customLong("adapter"),
    help: ArgumentHelp(
      "A LoRA adapter of the model; of several each is used by as many sequences; none is the bare model.",
      valueName: "file[:scale]|none"),
    completion: .file(extensions: ["gguf"]))
  var adapters: [String] = []
  @Option(
    help: ArgumentHelp(
      "Ask questions about documents instead: JSON lines with context, instruction and title.",
      valueName: "file"),
    completion: .file(extensions: ["jsonl"]))
  var documents: String?
  @Option(help: "Questions that are asked about documents.")
  var questions = 20
  @Option(help: "Runs of each measurement.")
  var repetitions = 3
  @Flag(help: "Print one JSON object.")
  var json = false
  @OptionGroup var model: ModelOption
  @OptionGroup var engine: EngineFlags

  func validate() throws {
    try check("--repetitions", repetitions, 1...1_000)
    try check("--parallel", parallel, 1...256)
    try check("--questions", questions, 1...100_000)
    if adapters.contains("") { throw ValidationError("--adapter needs a path, or none") }
    if adapters.count > parallel {
      throw ValidationError("there are more adapters than sequences; raise --parallel")
    }
    if prefill.values.contains(0), decode.values.contains(0) {
      throw ValidationError("--prefill and --decode are both 0; give one of them")
    }
  }

  func run() async throws {
    let model = try model.open()
    if let documents { return try await measure(documents, model) }
    let tunings = try adapters.map { try AdapterOption.open($0, for: model) }
    let settings = try settings(limit: model.config.contextLength, tunings)
    let engine = Engine(model, engine.options)
    let bar = Progress("measuring", unit: "runs")
    var rows: [BenchRow] = []
    for (index, options) in settings.enumerated() {
      let before = index * repetitions, total = settings.count * repetitions
      let result = try await engine.benchmark(options) { done, _ in bar.update(before + done, of: total) }
      rows.append(BenchRow(model, threads: engine.threads, options, result))
    }
    bar.clear()
    if json { return try printJSON(["rows": rows]) }
    try say(
      "\(model.name), \(Figures.bytes(model.weightBytes)), kernels \(model.kernels), threads \(engine.threads)\n"
    )
    for line in BenchRow.table(rows).lines { try say(line) }
  }

  /// Answers about documents, with drafts and without.
  private func measure(_ path: String, _ model: Model) async throws {
    let set = try QuestionSet(path: path, questions: questions, tokenizer: model.tokenizer)
    var options = DocumentBenchmarkOptions()
    options.tuning = try adapters.first.flatMap { try AdapterOption.open($0, for: model) }
    let engine = Engine(model, engine.options)
    let bar = Progress("asking", unit: "questions"), total = set.questionCount
    let result = try await engine.benchmark(set.documents, options) { bar.update($0, of: total) }
    bar.clear()
    let record = DocumentBenchRecord(model, options, result)
    if json { return try printJSON(record) }
    for line in record.lines { try say(line) }
  }

  /// Every combination of the counts.
  private func settings(limit: Int, _ tunings: [Tuning?]) throws -> [BenchmarkOptions] {
    var all: [BenchmarkOptions] = []
    for depth in depth.values {
      for prefill in prefill.values {
        for decode in decode.values {
          let tokens = depth + max(prefill, decode)
          guard tokens <= limit else {
            throw CommandError.tooLong(what: "the run", tokens: tokens, limit: limit)
          }
          var options = BenchmarkOptions()
          options.prefill = prefill
          options.decode = decode
          options.depth = depth
          options.repetitions = repetitions
          options.parallel = parallel
          options.tunings = tunings
          all.append(options)
        }
      }
    }
    return all
  }
}

/// Counts parted by commas.
struct Counts: ExpressibleByArgument {
  let values: [Int]
  init(_ values: [Int]) { self.values = values }

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    let values = parts.compactMap { Int($0) }.filter { (0...16_777_216).contains($0) }
    guard !values.isEmpty, values.count == parts.count, values.count <= 64 else { return nil }
    self.values = values
  }

  var defaultValueDescription: String { values.map { "\($0)" }.joined(separator: ",") }
}

/// One measurement as `duet bench` prints it.
struct BenchRow: Encodable {
  let model: String
  let threads: Int
  let kernels: String
  let prefill: Int
  let decode: Int
  let depth: Int
  let parallel: Int
  let adapters: [String]
  let prefillTokensPerS: Nullable<Double>
  let decodeTokensPerS: Nullable<Double>
  let productsGPerS: Nullable<Double>
  let peakGPerS: Nullable<Double>
  let arithmeticFraction: Nullable<Double>
  let bandwidthGbPerS: Nullable<Double>
  let bandwidthFraction: Nullable<Double>
  let readGbPerS: Double

  init(_ model: Model, threads: Int, _ options: BenchmarkOptions, _ result: BenchmarkResult) {
    self.model = model.name
    self.threads = threads
    kernels = model.kernels
    prefill = options.prefill
    decode = options.decode
    depth = options.depth
    parallel = options.parallel
    adapters = options.tunings.map { $0?.adapter.name ?? "none" }
    prefillTokensPerS = Nullable(finite: result.prefillTokensPerSecond)
    decodeTokensPerS = Nullable(finite: result.decodeTokensPerSecond)
    productsGPerS = Nullable(finite: result.productsPerSecond.map { $0 / 1e9 })
    peakGPerS = Nullable(finite: result.peakProductsPerSecond.map { $0 / 1e9 })
    arithmeticFraction = Nullable(finite: result.arithmeticFraction)
    bandwidthGbPerS = Nullable(finite: result.bandwidth.map { $0 / 1e9 })
    bandwidthFraction = Nullable(finite: result.bandwidthFraction)
    readGbPerS = result.readRate / 1e9
  }

  static func table(_ rows: [BenchRow]) -> Table {
    var table = Table([
      ("depth", .right), ("prefill", .right), ("tokens/s", .right), ("of peak", .right), ("decode", .right),
      ("tokens/s", .right), ("GB/s", .right), ("of", .right), ("share", .right),
    ])
    for row in rows {
      table.append([
        "\(row.depth)", "\(row.prefill)", figure(row.prefillTokensPerS), share(row.arithmeticFraction),
        "\(row.decode)", figure(row.decodeTokensPerS), figure(row.bandwidthGbPerS),
        Figures.short(row.readGbPerS), share(row.bandwidthFraction),
      ])
    }
    return table
  }

  private static func share(_ value: Nullable<Double>) -> String {
    value.value.map { "\(Figures.fixed($0 * 100, 0))%" } ?? "-"
  }

  private static func figure(_ value: Nullable<Double>) -> String { value.value.map(Figures.short) ?? "-" }
}
