import ArgumentParser
import DuetRuntime
import DuetTerminal
import DuetTrainer
import Foundation

extension TrainingArm: ExpressibleByArgument {}
extension ContextPlacement: ExpressibleByArgument {}
extension LoRAOptions.Target: ExpressibleByArgument {}

/// `duet train`: makes a tuning of a model.
struct TrainCommand: AsyncParsableCommand {
  enum Method: String, ExpressibleByArgument, CaseIterable { case lora, full, projector }

  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Tune a model on rows of instructions, or teach it to see.",
    discussion: """
      Rows are JSON lines with instruction, context and response, or with chat messages. The grounded arm puts \
      the context into the prompt, the free arm leaves it out; the loss counts the response alone. Written are \
      the tuning (--out), and beside it its metrics, loss curve, card and checkpoint.

      Examples:
        duet train --data squad.jsonl --arm grounded --out grounded.gguf
        duet train --data squad.jsonl --arm free --eval dev.jsonl --out free.gguf
        duet train --data squad.jsonl --arm grounded --out grounded.gguf --resume

      With --vision a projector is trained from a vision encoder's features to the model's embeddings, and written \
      to --out with the encoder. With --method lora an adapter of the model is trained too, beside it as \
      NAME.adapter.gguf; with --method projector the model stays as it is. Data is then a folder of pictures, each with a text file of the same name (a caption on each \
      line), or JSON lines {"image": "photo.jpg", "captions": ["…"]}. A row is a picture with all its captions.

      With --objective cider the model draws captions of its own, and learns from how well they agree with those that \
      are given (CIDEr-D); this is for the end, once it describes pictures well. Measured then is that agreement, in \
      the terminal in hundredths, instead of a loss.

      Examples:
        duet train --vision encoder.gguf --data photos/ --out vision.gguf
        duet train --vision vision.gguf --initial vision.adapter.gguf --objective cider --data photos/ --out better.gguf
      """)

  @Option(help: ArgumentHelp("The model to tune.", valueName: "path|name"), completion: .file())
  var base: String?
  @Option(
    help: ArgumentHelp("Rows to train on; may be given several times.", valueName: "file"),
    completion: .file())
  var data: [String]
  @Option(help: ArgumentHelp("The tuning: a GGUF file.", valueName: "file"), completion: .file())
  var out: String
  @Option(help: "What becomes of the context: grounded, free, mixed or grounded-unmasked.")
  var arm: TrainingArm?
  @Option(
    help:
      "lora trains small matrices beside frozen weights, full all weights, projector nothing but that of --vision."
  )
  var method = Method.lora
  @OptionGroup(title: "Rows") var rows: RowFlags
  @OptionGroup(title: "Training") var training: TrainingFlags
  @OptionGroup(title: "LoRA") var lora: LoRAFlags
  @OptionGroup(title: "Vision") var vision: VisionFlags
  @OptionGroup(title: "Held-out rows") var evaluation: EvaluationFlags
  @Flag(help: "Go on from the checkpoint beside --out.")
  var resume = false
  @Flag(help: "Replace the tuning, and what lies beside it, if they are there already.")
  var force = false
  @Option(
    help: ArgumentHelp("Take the first LoRA matrices from this adapter.", valueName: "file"),
    completion: .file())
  var initial: String?
  @Flag(help: "Print one JSON object at the end.")
  var json = false

  func validate() throws {
    if data.isEmpty { throw ValidationError("--data is needed") }
    if vision.encoder == nil, arm == nil { throw ValidationError("--arm is needed, or --vision") }
    if vision.encoder != nil {
      if arm != nil { throw ValidationError("--arm and --vision exclude each other") }
      if method == .full { throw ValidationError("--method full trains no projector") }
      if method == .projector, initial != nil { throw ValidationError("--initial starts --method lora") }
      if data.count > 1 || evaluation.eval.count > 1 {
        throw ValidationError("with --vision give --data and --eval once each")
      }
    }
    if vision.encoder == nil, vision.objective == .cider {
      throw ValidationError("--objective cider needs --vision: it is of captions")
    }
    if vision.objective == .cider, training.tokens != nil {
      throw ValidationError("--tokens cannot be counted before they are drawn; give --steps or --epochs")
    }
    if vision.encoder == nil, method == .projector {
      throw ValidationError("--method projector needs --vision")
    }
    if resume, initial != nil { throw ValidationError("--resume and --initial exclude each other") }
  }

  func run() async throws {
    let out = Folders.expanded(out)
    for path in [out] + TrainingRun.companions(out, hasAdapter: vision.encoder != nil) where !force && !resume
    {
      if FileManager.default.fileExists(atPath: path) { throw OutputError.exists(path: path) }
    }
    let tier = Folders.kernels
    let model = try Model(path: try ModelFiles.path(base), kernels: tier)
    CoreType.settle(model.kernels)
    var options = training.options(evaluation, isFull: method == .full)
    let task: TrainingTask
    if let pictures = try vision.task(
      model, threads: options.threads, lora: method == .lora ? lora.options : nil)
    {
      task = pictures.task
      options.method = .projector(pictures.options)
      options.objective = vision.trainingObjective
      options.learningRate = training.lr ?? vision.learningRate(alone: method == .projector)
    } else {
      task = .rows(arm ?? .grounded, rows, model, seed: options.seed)
      options.method = method == .full ? .full : .lora(lora.options)
    }
    let run = TrainingRun(
      model: model, out: out, task: task, options: options, arguments: CommandLine.arguments)
    try run.start(data: data, heldOut: evaluation.eval, initial: initial, resumes: resume)
    if json { try printJSON(run.record) } else { try run.say() }
  }
}

/// How rows become examples.
struct RowFlags: ParsableArguments {
  @Option(help: "Where the context stands: user or assistant (before the response).")
  var contextPlacement = ContextPlacement.user
  @Option(
    help: ArgumentHelp("A chat template to use instead of the model's.", valueName: "file"),
    completion: .file())
  var template: String?
  @Option(help: "What the model is told before all turns (default: what its template says).")
  var system: String?
  @Option(help: "The most tokens of a row; longer rows are left out and counted.")
  var window = 1_024
  @Option(help: "The share of rows that get a passage of another row beside theirs.")
  var distractors = 0.0
  @Option(help: "The share of rows that get another row's context, and a refusal for a response.")
  var unanswerable = 0.0
  @Option(help: "The response of rows that cannot be answered.")
  var refusal = RowFile.defaultRefusal

  func validate() throws {
    try check("--window", window, 8...1_048_576)
    try check("--distractors", distractors, 0...1)
    try check("--unanswerable", unanswerable, 0...1)
    if distractors + unanswerable > 1 { throw ValidationError("--distractors and --unanswerable exceed 1") }
    if refusal.isEmpty { throw ValidationError("--refusal is empty") }
  }

  func options(_ arm: TrainingArm, seed: UInt64) throws -> DataOptions {
    var options = DataOptions()
    options.arm = arm
    options.placement = contextPlacement
    options.system = system
    options.window = window
    options.distractors = distractors
    options.unanswerable = unanswerable
    options.refusal = refusal
    options.seed = seed
    options.template = try template.map { try Input.text(Folders.expanded($0)) }
    return options
  }
}

/// How the optimiser works.
struct TrainingFlags: ParsableArguments {
  @Option(help: "Steps of the optimiser (default: what --tokens or --epochs make).")
  var steps: Int?
  @Option(help: "Tokens to train on (default: what --epochs make).")
  var tokens: Int?
  @Option(help: "Times that every row is seen.")
  var epochs = 1.0
  @Option(help: "Rows of a step.")
  var batch = 16
  @Option(help: "Tokens that pass through the model at a time; memory grows with it.")
  var batchTokens = 1_024
  @Option(
    help:
      "The largest learning rate (default: 2e-4 for LoRA, 2e-5 in full; with --vision 5e-4, a projector alone 1e-3, with --objective cider 2e-4)."
  )
  var lr: Double?
  @Option(help: "The share of steps in which the rate rises.")
  var warmup = 0.03
  @Option(help: "Weight decay of AdamW.")
  var weightDecay = 0.0
  @Option(help: "The largest norm of the gradient; 0 for no limit.")
  var clip = 1.0
  @Option(help: "Of order, first matrices and dropout: equal seeds give equal tunings.")
  var seed: UInt64 = 1
  @Flag(inversion: .prefixedNo, help: "Take rows in a new order each time.")
  var shuffle = true
  @Option(help: "Steps between checkpoints; 0 for none.")
  var checkpointEvery = 20
  @Option(help: "Threads that compute (default: one per core).")
  var threads: Int?
  @Flag(help: "Hold one layer's weights in single precision at a time, not all: less memory, slower.")
  var saveMemory = false

  func validate() throws {
    try check("--steps", steps, 1...1_000_000_000)
    try check("--tokens", tokens, 1...1_000_000_000_000)
    try check("--epochs", epochs, 1e-6...1e6)
    try check("--batch", batch, 1...65_536)
    try check("--batch-tokens", batchTokens, 1...1_048_576)
    try check("--lr", lr, 0...10)
    try check("--warmup", warmup, 0...1)
    try check("--weight-decay", weightDecay, 0...1)
    try check("--clip", clip, 0...1e9)
    try check("--checkpoint-every", checkpointEvery, 0...1_000_000_000)
    try check("--threads", threads, 1...1_024)
  }

  func options(_ evaluation: EvaluationFlags, isFull: Bool) -> TrainingOptions {
    var options = TrainingOptions()
    options.steps = steps
    options.tokens = tokens
    options.epochs = epochs
    options.rowsPerStep = batch
    options.batchTokens = batchTokens
    options.learningRate = lr ?? (isFull ? 2e-5 : 2e-4)
    options.warmup = warmup
    options.weightDecay = weightDecay
    options.clip = clip
    options.seed = seed
    options.shuffles = shuffle
    options.checkpointInterval = checkpointEvery
    options.threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
    options.savesMemory = saveMemory
    options.evaluationInterval = evaluation.evalEvery
    options.evaluationRows = evaluation.evalRows
    options.patience = evaluation.patience
    return options
  }
}

/// The shape of the adapter.
struct LoRAFlags: ParsableArguments {
  @Option(help: "Rows of the first matrix of each pair.")
  var rank = 16
  @Option(help: "The change is multiplied by alpha / rank (default: twice the rank).")
  var alpha: Double?
  @Option(help: "The share of inputs that the change does not see while training.")
  var dropout = 0.0
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("The matrices: q k v o gate up down (default: all).", valueName: "name"))
  var targets: [LoRAOptions.Target] = []

  func validate() throws {
    try check("--rank", rank, 1...4_096)
    try check("--alpha", alpha, 1e-6...1e6)
    try check("--dropout", dropout, 0...0.95)
  }

  var options: LoRAOptions {
    var options = LoRAOptions()
    options.rank = rank
    options.alpha = Float(alpha ?? 2 * Double(rank))
    options.dropout = Float(dropout)
    if !targets.isEmpty { options.targets = Set(targets) }
    return options
  }
}

/// What is measured on rows that are not trained on.
struct EvaluationFlags: ParsableArguments {
  @Option(
    help: ArgumentHelp("Rows to measure on; the best tuning is kept.", valueName: "file"),
    completion: .file())
  var eval: [String] = []
  @Option(help: "Steps between measurements.")
  var evalEvery = 50
  @Option(help: "Rows to measure on, the first of the file; 0 for all.")
  var evalRows = 200
  @Option(help: "Measurements without progress after which training ends; 0 for never.")
  var patience = 0

  func validate() throws {
    try check("--eval-every", evalEvery, 1...1_000_000_000)
    try check("--eval-rows", evalRows, 0...1_000_000_000)
    try check("--patience", patience, 0...1_000_000)
  }
}

/// Refuses a number outside of `range`.
func check(_ name: String, _ value: Double?, _ range: ClosedRange<Double>) throws {
  guard let value, !range.contains(value) else { return }
  throw ValidationError("\(name) is \(value); give \(range.lowerBound) to \(range.upperBound)")
}
