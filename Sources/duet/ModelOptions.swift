import ArgumentParser
import DuetRuntime
import DuetTerminal

extension CacheType: ExpressibleByArgument {}
extension ActivationType: ExpressibleByArgument {}

/// Which model is run.
struct ModelOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A GGUF file, or the name of one in the models folder (default: \(ModelFiles.defaultName)).",
      valueName: "path|name"),
    completion: .file(extensions: ["gguf"]))
  var model: String?

  func validate() throws {
    if model?.isEmpty == true { throw ValidationError("--model needs a path or a name") }
  }

  /// Opens the model with the kernels that DUET_CPU asks for.
  func open() throws -> Model { try Self.open(model) }

  /// Opens the model of this path or name; nil for the default.
  static func open(_ model: String?) throws -> Model {
    try Model(path: try ModelFiles.path(model), kernels: Folders.kernels)
  }
}

/// Which sentence encoder tells the router what is alike in meaning.
struct EncoderOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A sentence encoder, such as \(ModelFiles.encoderName), whose cosines the router uses too.",
      valueName: "path|name"))
  var encoder: String?

  func open() throws -> SentenceEncoder? {
    try encoder.map { try SentenceEncoder(path: try ModelFiles.path($0), kernels: Folders.kernels) }
  }
}

/// Which adapter tunes the model.
struct AdapterOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A LoRA adapter of the model, in GGUF; a number after a colon scales it (default: 1).",
      valueName: "file[:scale]"),
    completion: .file(extensions: ["gguf"]))
  var adapter: String?

  func validate() throws {
    if adapter?.isEmpty == true { throw ValidationError("--adapter needs a path") }
  }

  /// Opens the adapter; nil where none was asked for.
  func open(for model: Model, isExact: Bool = false) throws -> Tuning? {
    try adapter.flatMap { try Self.open($0, for: model, isExact: isExact) }
  }

  /// Opens the adapter that `text` names; nil where that is `none`.
  static func open(_ text: String, for model: Model, isExact: Bool = false) throws -> Tuning? {
    guard text != "none" else { return nil }
    let (path, scale) = parts(text)
    let opened = try Adapter(path: Folders.expanded(path), for: model, isExact: isExact)
    return try Tuning(opened, scale: scale)
  }

  /// A colon that no number follows belongs to the path.
  static func parts(_ text: String) -> (path: String, scale: Float) {
    guard let colon = text.lastIndex(of: ":"), let scale = Float(text[text.index(after: colon)...]) else {
      return (text, 1)
    }
    return (String(text[..<colon]), scale)
  }
}

/// How the model is run.
struct EngineFlags: ParsableArguments {
  @Option(help: "Threads that compute (default: one per core).")
  var threads: Int?

  @Option(help: "How keys and values are stored: f16, q8_0 or f32.")
  var cache = CacheType.f16

  func validate() throws {
    try check("--threads", threads, 1...1_024)
  }

  var options: EngineOptions {
    var options = EngineOptions()
    options.threads = threads
    options.cache = cache
    return options
  }
}

/// What answers may be like.
struct AnswerFlags: ParsableArguments {
  @Option(help: "Tokens that the conversation may hold (default: the model's limit, at most 8192).")
  var context: Int?
  @Option(help: "The most tokens of an answer.")
  var maxTokens = 512
  @Option(help: "Temperature; 0 takes the most likely token always.")
  var temp: Float = 0
  @Option(help: "Choose among this many of the most likely tokens; 0 for all.")
  var topK = SamplingOptions().topK
  @Option(help: "Choose among the most likely tokens that together reach this probability.")
  var topP = SamplingOptions().topP
  @Option(help: "Leave out tokens less likely than this share of the most likely one.")
  var minP = SamplingOptions().minP
  @Option(help: "Divide the logits of recent tokens of the answer by this; 1 for no penalty.")
  var repeatPenalty = SamplingOptions().repetitionPenalty
  @Option(help: "Equal seeds give equal texts (default: a new one for each run).")
  var seed: UInt64?
  @Option(
    name: .customLong("stop"),
    help: ArgumentHelp("End the answer before this text; may be given several times.", valueName: "text"))
  var stops: [String] = []

  func validate() throws {
    try check("--context", context, 16...16_777_216)
    try check("--max-tokens", maxTokens, 1...16_777_216)
    if let problem = sampling.problem() { throw ValidationError("\(problem)") }
  }

  private var sampling: SamplingOptions {
    var sampling = SamplingOptions()
    sampling.temperature = temp
    sampling.topK = topK
    sampling.topP = topP
    sampling.minP = minP
    sampling.repetitionPenalty = repeatPenalty
    sampling.seed = seed ?? 0
    return sampling
  }

  var options: GenerationOptions {
    var options = GenerationOptions()
    options.sampling = sampling
    options.sampling.seed = seed ?? (temp > 0 ? UInt64.random(in: 0...UInt64(UInt32.max)) : 0)
    options.maxTokens = maxTokens
    options.stops = stops
    return options
  }
}

/// Refuses a value outside of `range`.
func check(_ name: String, _ value: Int?, _ range: ClosedRange<Int>) throws {
  guard let value, !range.contains(value) else { return }
  throw ValidationError("\(name) is \(value); give \(range.lowerBound) to \(range.upperBound)")
}
