import ArgumentParser
import DuetRuntime
import DuetTerminal

/// `duet bench`: how fast a model runs here.
struct BenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure how fast a model reads and writes.",
    discussion: """
      Figures are medians of the repetitions. The bandwidth is what decoding reads per second; its share is of \
      the rate at which the same threads can read the mapped file.

      Examples:
        duet bench
        duet bench --prefill 128,512 --decode 64 --depth 0,2048
        duet bench --json --threads 1
        duet bench --adapter tuned.gguf
      """)

  @Option(help: "Tokens of a prompt, or several counts parted by commas; 0 for none.")
  var prefill = Counts([512])
  @Option(help: "Tokens to generate, or several counts; 0 for none.")
  var decode = Counts([128])
  @Option(help: "Tokens in the context before, or several counts.")
  var depth = Counts([0])
  @Option(help: "Runs of each measurement.")
  var repetitions = 3
  @Flag(help: "Print one JSON object.")
  var json = false
  @OptionGroup var model: ModelOption
  @OptionGroup var adapter: AdapterOption
  @OptionGroup var engine: EngineFlags

  func validate() throws {
    try check("--repetitions", repetitions, 1...1_000)
    if prefill.values.contains(0), decode.values.contains(0) {
      throw ValidationError("--prefill and --decode are both 0; give one of them")
    }
  }

  func run() async throws {
    let model = try model.open()
    let tuning = try adapter.open(for: model)
    var settings = try settings(limit: model.config.contextLength)
    for index in settings.indices { settings[index].tuning = tuning }
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

  /// Every combination of the counts.
  private func settings(limit: Int) throws -> [BenchmarkOptions] {
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
  let prefillTokensPerS: Nullable<Double>
  let decodeTokensPerS: Nullable<Double>
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
    prefillTokensPerS = Nullable(finite: result.prefillTokensPerSecond)
    decodeTokensPerS = Nullable(finite: result.decodeTokensPerSecond)
    bandwidthGbPerS = Nullable(finite: result.bandwidth.map { $0 / 1e9 })
    bandwidthFraction = Nullable(finite: result.bandwidthFraction)
    readGbPerS = result.readRate / 1e9
  }

  static func table(_ rows: [BenchRow]) -> Table {
    var table = Table([
      ("depth", .right), ("prefill", .right), ("tokens/s", .right), ("decode", .right), ("tokens/s", .right),
      ("GB/s", .right), ("of", .right), ("share", .right),
    ])
    for row in rows {
      let share = row.bandwidthFraction.value.map { "\(Figures.fixed($0 * 100, 0))%" }
      table.append([
        "\(row.depth)", "\(row.prefill)", figure(row.prefillTokensPerS), "\(row.decode)",
        figure(row.decodeTokensPerS), figure(row.bandwidthGbPerS), Figures.short(row.readGbPerS),
        share ?? "-",
      ])
    }
    return table
  }

  private static func figure(_ value: Nullable<Double>) -> String { value.value.map(Figures.short) ?? "-" }
}
