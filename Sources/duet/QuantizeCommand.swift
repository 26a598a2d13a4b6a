import ArgumentParser
import DuetQuantize
import DuetRuntime
import DuetTerminal

/// `duet quantize`: a model in fewer bits.
struct QuantizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Make a model smaller: store its weights in fewer bits.",
    discussion: """
      Types: F32, F16, BF16, Q8_0, Q6_K, Q5_1, Q5_0, Q4_1, Q4_0, IQ4_NL, IQ4_XS, MXFP4, and the mixes Q2_K, \
      Q3_K_S, Q3_K_M, Q3_K_L, Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M. With --bits or --size instead of --type, each \
      tensor gets the type that loses least under that budget.

      Examples:
        duet quantize model-f16.gguf small.gguf --type Q4_K_M
        duet quantize adapter-folder adapter.gguf --base model.gguf
        duet quantize checkpoint-folder small.gguf --bits 4.5 --imatrix imatrix.gguf
        duet quantize checkpoint-folder mmproj.gguf --vision --type Q8_0
        duet quantize f16.gguf small.gguf --type Q4_0 --tensor '*.ffn_down.*=Q6_K'
        duet quantize model-f16.gguf - --type Q4_K_M --dry-run
      """)

  @Argument(
    help: ArgumentHelp(
      "A GGUF file, or the folder of a checkpoint or of a LoRA adapter.", valueName: "input"),
    completion: .file(extensions: ["gguf"]))
  var input: String
  @Argument(help: ArgumentHelp("The file to write.", valueName: "output"), completion: .file())
  var output: String

  @Option(
    help: ArgumentHelp("The type of the file (default: Q4_K_M; F16 with --vision).", valueName: "type"))
  var type: String?
  @Option(help: ArgumentHelp("Bits of a weight on average, instead of a type.", valueName: "bits"))
  var bits: Double?
  @Option(help: ArgumentHelp("Size of the file, such as 80MB, instead of a type.", valueName: "size"))
  var size: String?
  @Option(
    name: .customLong("tensor"),
    help: ArgumentHelp(
      "The type of tensors whose names fit a pattern (* for any text); may be given several times.",
      valueName: "pattern=type"))
  var overrides: [String] = []
  @Option(
    help: ArgumentHelp("What duet imatrix wrote: how much the columns matter.", valueName: "file"),
    completion: .file(extensions: ["gguf"]))
  var imatrix: String?
  @Option(
    help: ArgumentHelp("With --bits or --size: the text to measure with.", valueName: "file"),
    completion: .file())
  var text: String?
  @Option(
    help: ArgumentHelp("Of an adapter's folder: the model that it was trained on.", valueName: "model"),
    completion: .file(extensions: ["gguf"]))
  var base: String?
  @Flag(
    help:
      "Of a checkpoint's folder the part that reads images, as an mmproj file: LLaVA 1.5, Idefics 3, SmolVLM, Gemma 3."
  )
  var vision = false
  @Option(
    help: ArgumentHelp("Write a page about the errors of all tensors here.", valueName: "file.html"),
    completion: .file())
  var report: String?
  @Option(help: "Threads that compute (default: one per core).")
  var threads: Int?
  @Flag(help: "Search for smaller errors also with Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and MXFP4.")
  var search = false
  @Flag(help: "Quantize a file that was quantized before.")
  var allowRequantize = false
  @Flag(help: "Replace the output if it is there already.")
  var force = false
  @Flag(help: "Say what would be done, and write nothing.")
  var dryRun = false
  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    try check("--threads", threads, 1...256)
    guard [type != nil, bits != nil, size != nil].count(where: { $0 }) <= 1 else {
      throw ValidationError("--type, --bits and --size exclude each other")
    }
    if let type, QuantizationScheme(name: type) == nil {
      let names = QuantizationScheme.allCases.map(\.rawValue).joined(separator: ", ")
      throw ValidationError("there is no type \(type); give one of \(names)")
    }
    if let bits, !(bits > 0 && bits <= 32) {
      throw ValidationError("--bits is \(bits); give more than 0, up to 32")
    }
    if let size, ByteSize.parse(size) == nil {
      throw ValidationError("--size is \(size); give bytes, or a number with kB, MB or GB")
    }
    for text in overrides where TensorOverride(text) == nil {
      throw ValidationError("--tensor is \(text); give PATTERN=TYPE, such as 'blk.*.ffn_down.weight=Q6_K'")
    }
  }

  func run() async throws {
    let file = try open()
    let options = try options()
    let plan = try plan(file, options)
    var results: [TensorResult] = []
    if !json { try show(plan, options) }
    if !dryRun {
      let bar = Progress("quantizing", unit: "MB")
      results = try plan.write(to: Folders.expanded(output), options: options, replaces: force) {
        done, total in
        bar.update(done / 1_000_000, of: max(1, total / 1_000_000))
      }
      bar.clear()
      if let report { try write(report, plan, results) }
    }
    if json { return try printJSON(QuantizationRecord(plan, results, output: dryRun ? nil : output)) }
    try show(results)
  }

  /// The model, or the adapter, as a GGUF file, whatever it is.
  private func open() throws -> GGUFFile {
    let full = Folders.expanded(input)
    guard MappedFile.isFolder(full) else {
      guard !vision else {
        throw ValidationError("--vision is for a checkpoint's folder, and \(input) is none")
      }
      return try GGUFFile(path: try ModelFiles.path(input))
    }
    if vision { return try VisionCheckpoint(path: full).file }
    guard AdapterCheckpoint.isAdapter(full) else { return try Checkpoint(path: full).file }
    guard let base else {
      throw ValidationError("\(input) is an adapter; give the model that it was trained on with --base")
    }
    let isFolder = MappedFile.isFolder(Folders.expanded(base))
    let model =
      try isFolder
      ? Checkpoint(path: Folders.expanded(base)).file : GGUFFile(path: try ModelFiles.path(base))
    return try AdapterCheckpoint(path: full, base: model).file
  }

  private func options() throws -> QuantizationOptions {
    var options = QuantizationOptions()
    options.overrides = overrides.compactMap { TensorOverride($0) }
    options.importance = try imatrix.map { try ImportanceMatrix(reading: Folders.expanded($0)) }
    options.allowsRequantizing = allowRequantize
    options.searches = search
    options.threads = threads
    options.kernels = Folders.kernels
    return options
  }

  private func plan(_ file: GGUFFile, _ options: QuantizationOptions) throws -> QuantizationPlan {
    guard let budget = try budget(file) else {
      let isAdapter = try file.metadata.string("general.type") == "adapter"
      let usual = isAdapter ? QuantizationScheme.f32 : vision ? .f16 : .q4_K_M
      return try QuantizationPlan(
        file, scheme: type.flatMap { QuantizationScheme(name: $0) } ?? usual, options: options)
    }
    let bar = Progress("measuring", unit: "steps")
    defer { bar.clear() }
    let calibration = try text.map { try Input.bytes($0) }
    return try BudgetPlanner(options: options, text: calibration).plan(file, bytes: budget) {
      bar.update($0, of: $1)
    }
  }

  /// Bytes that the tensors may take; nil where a type is asked for.
  private func budget(_ file: GGUFFile) throws -> Int? {
    if let bits {
      return Int(bits / 8 * Double(file.tensors.reduce(0) { $0 + $1.elementCount }))
    }
    return size.flatMap(ByteSize.parse).map { $0 - BudgetPlanner.headerBytes(file) }
  }
}

/// A number of bytes, as people write it.
enum ByteSize {
  /// `80MB`, `1.5 GB`, `4096`: powers of 1,000.
  static func parse(_ text: String) -> Int? {
    let units: [(String, Double)] = [("GB", 1e9), ("MB", 1e6), ("KB", 1e3), ("B", 1), ("", 1)]
    let upper = text.uppercased()
    guard let (unit, factor) = units.first(where: { upper.hasSuffix($0.0) }) else { return nil }
    let digits = upper.dropLast(unit.count).filter { $0 != " " }
    guard let value = Double(digits), value.isFinite, value > 0, value * factor < 1e18 else { return nil }
    return Int(value * factor)
  }
}
