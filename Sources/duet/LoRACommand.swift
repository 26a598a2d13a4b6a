import ArgumentParser
import DuetQuantize
import DuetRuntime
import DuetTerminal
import DuetTrainer
import Foundation

/// `duet lora`: what can be done with adapters beside running them.
struct LoRACommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lora",
    abstract: "Look into adapters, convert them, and merge them into models.",
    subcommands: [LoRAInspectCommand.self, LoRAConvertCommand.self, LoRAMergeCommand.self])
}

/// `duet lora inspect`: what an adapter changes.
struct LoRAInspectCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Show what an adapter changes in its model.")

  @Argument(help: "A GGUF adapter.", completion: .file(extensions: ["gguf"]))
  var adapter: String
  @OptionGroup var model: ModelOption
  @Flag(help: "Print one JSON object.")
  var json = false

  private struct Record: Encodable {
    let name: String
    let model: String
    let rank: Int
    let alpha: Float
    let matrices: Int
    let parameters: Int
  }

  func run() async throws {
    let adapter = try Adapter(path: Folders.expanded(adapter), for: try model.open())
    let file = try GGUFFile(path: adapter.path)
    let parameters = file.tensors.reduce(0) { $0 + $1.elementCount }
    if json {
      return try printJSON(
        Record(
          name: adapter.name, model: adapter.model.name, rank: adapter.rank, alpha: adapter.alpha,
          matrices: adapter.matrixCount, parameters: parameters))
    }
    try say("\(adapter.name), an adapter of \(adapter.model.name)")
    try say("rank \(adapter.rank), alpha \(adapter.alpha)")
    try say("\(adapter.matrixCount) matrices, \(Figures.grouped(parameters)) parameters")
  }
}

/// `duet lora convert`: a PEFT adapter as GGUF.
struct LoRAConvertCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Convert a PEFT adapter to GGUF.",
    discussion: """
      The folder holds adapter_config.json and adapter_model.safetensors. The base is the model that the \
      adapter was trained on, whose tensors it names.
      """)

  @Argument(help: "The adapter's folder.", completion: .directory)
  var folder: String
  @Argument(help: "The GGUF file to write.", completion: .file(extensions: ["gguf"]))
  var output: String
  @Option(help: ArgumentHelp("The model that it was trained on.", valueName: "path|name"))
  var base: String?
  @Option(help: "How the matrices are stored: F32, F16, BF16 or Q8_0.")
  var type = "F32"
  @Flag(help: "Replace the output if it is there already.")
  var force = false

  func validate() throws {
    guard let scheme = QuantizationScheme(name: type),
      ["F32", "F16", "BF16", "Q8_0"].contains(scheme.rawValue)
    else { throw ValidationError("--type is \(type); give F32, F16, BF16 or Q8_0") }
  }

  func run() async throws {
    let full = base.map(Folders.expanded)
    let file =
      if let full, MappedFile.isFolder(full) {
        try Checkpoint(path: full).file
      } else {
        try GGUFFile(path: try ModelFiles.path(base))
      }
    let adapter = try AdapterCheckpoint(path: Folders.expanded(folder), base: file).file
    let options = QuantizationOptions()
    let plan = try QuantizationPlan(adapter, scheme: QuantizationScheme(name: type) ?? .f32, options: options)
    _ = try plan.write(to: Folders.expanded(output), options: options, replaces: force)
    try say("\(output): \(adapter.tensors.count / 2) matrices")
  }
}

/// `duet lora merge`: a model with its adapter added.
struct LoRAMergeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge",
    abstract: "Add an adapter to its model for good.",
    discussion: """
      Without --type, the matrices that the adapter changes are stored in single precision and the others as \
      they are.

      Examples:
        duet lora merge grounded.gguf merged.gguf --type Q8_0
      """)

  @Argument(help: "A GGUF adapter.", completion: .file(extensions: ["gguf"]))
  var adapter: String
  @Argument(help: "The GGUF file to write.", completion: .file(extensions: ["gguf"]))
  var output: String
  @OptionGroup var model: ModelOption
  @Option(help: "The type of the merged model, such as Q8_0 or Q4_K_M.")
  var type: String?
  @Option(help: "How much of the adapter: 1 is as trained.")
  var scale = 1.0
  @Flag(help: "Replace the output if it is there already.")
  var force = false

  func validate() throws {
    try check("--scale", scale, -100...100)
    if let type, QuantizationScheme(name: type) == nil { throw ValidationError("there is no type \(type)") }
  }

  func run() async throws {
    let scheme = type.flatMap { QuantizationScheme(name: $0) }
    try MergedModel(adapter: Folders.expanded(adapter), model: try model.open(), scale: Float(scale))
      .write(to: Folders.expanded(output), scheme: scheme, replaces: force)
    try say("\(output): merged\(scheme.map { ", \($0.rawValue)" } ?? "")")
  }
}
