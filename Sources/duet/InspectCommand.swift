import ArgumentParser
import DuetRuntime
import DuetTerminal

/// `duet inspect`: what is in a GGUF file.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show the metadata and tensors of a GGUF file or a checkpoint folder.",
    discussion: """
      Any GGUF file can be shown, also one of a model that cannot be run. A folder with config.json,
      tokenizer.json and safetensors is shown as the GGUF file that it would become.

      Examples:
        duet inspect model.gguf
        duet inspect --tensors model.gguf
        duet inspect checkpoint-folder
        duet inspect --json model.gguf | jq '.metadata["general.architecture"]'
      """)

  @Argument(
    help: ArgumentHelp(
      "A GGUF file, the name of one in the models folder, or a checkpoint folder.", valueName: "model"),
    completion: .file(extensions: ["gguf"]))
  var model: String
  @Flag(help: "List every tensor.")
  var tensors = false
  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let file = try Model.file(path: try ModelFiles.path(model))
    let totals = TypeTotal.totals(file)
    if json { return try printJSON(FileRecord(file, totals)) }
    try show(file)
    try show(totals)
    if tensors { try showTensors(file) }
  }

  private func show(_ file: GGUFFile) throws {
    let bytes = file.parts.reduce(0) { $0 + $1.count }
    try say("\(printable(file.path)): GGUF version \(file.version), \(Figures.bytes(bytes))\n")
    var table = Table([("key", .left), ("value", .left)])
    for key in file.metadata.keys {
      guard let value = file.metadata[key] else { continue }
      table.append([key, MetadataText.short(value)])
    }
    for line in table.lines { try say(line) }
  }

  private func show(_ totals: [TypeTotal]) throws {
    var table = Table([
      ("type", .left), ("tensors", .right), ("values", .right), ("bytes", .right),
      ("bits per weight", .right),
    ])
    for total in totals {
      table.append([
        total.type, "\(total.tensors)", Figures.grouped(total.values), Figures.grouped(total.bytes),
        Figures.fixed(total.bitsPerWeight, 2),
      ])
    }
    try say()
    for line in table.lines { try say(line) }
  }

  private func showTensors(_ file: GGUFFile) throws {
    var table = Table([("tensor", .left), ("type", .left), ("shape", .left), ("bytes", .right)])
    for tensor in file.tensors {
      let shape = tensor.shape.map { "\($0)" }.joined(separator: " x ")
      table.append([printable(tensor.name), tensor.type.name, shape, Figures.grouped(tensor.range.count)])
    }
    try say()
    for line in table.lines { try say(line) }
  }
}

/// What the tensors of one type, or all of them, take.
struct TypeTotal: Encodable {
  var type: String
  var tensors = 0
  var values = 0
  var bytes = 0
  var bitsPerWeight: Double { values > 0 ? 8 * Double(bytes) / Double(values) : 0 }

  private enum CodingKeys: CodingKey { case type, tensors, values, bytes, bitsPerWeight }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(type, forKey: .type)
    try container.encode(tensors, forKey: .tensors)
    try container.encode(values, forKey: .values)
    try container.encode(bytes, forKey: .bytes)
    try container.encode(bitsPerWeight, forKey: .bitsPerWeight)
  }

  /// The types of a file, that with the most bytes first, and `total` last.
  static func totals(_ file: GGUFFile) -> [TypeTotal] {
    var byType: [String: TypeTotal] = [:]
    var all = TypeTotal(type: "total")
    for tensor in file.tensors {
      byType[tensor.type.name, default: TypeTotal(type: tensor.type.name)].add(tensor)
      all.add(tensor)
    }
    return byType.values.sorted { ($0.bytes, $1.type) > ($1.bytes, $0.type) } + [all]
  }

  private mutating func add(_ tensor: TensorInfo) {
    tensors += 1
    values &+= tensor.elementCount
    bytes &+= tensor.range.count
  }
}

/// A file as `duet inspect --json` prints it.
private struct FileRecord: Encodable {
  struct TensorRecord: Encodable {
    let name: String
    let type: String
    let shape: [Int]
    /// Where it starts in its file.
    let offset: Int
    let bytes: Int
  }
  let path: String
  let version: UInt32
  let bytes: Int
  let metadata: [String: MetadataRecord]
  let tensors: [TensorRecord]
  let types: [TypeTotal]

  init(_ file: GGUFFile, _ totals: [TypeTotal]) {
    path = file.path
    version = file.version
    bytes = file.parts.reduce(0) { $0 + $1.count }
    var pairs: [String: MetadataRecord] = [:]
    for key in file.metadata.keys { pairs[key] = file.metadata[key].map(MetadataRecord.init) }
    metadata = pairs
    tensors = file.tensors.map {
      TensorRecord(
        name: $0.name, type: $0.type.name, shape: $0.shape, offset: $0.range.lowerBound, bytes: $0.range.count
      )
    }
    types = totals
  }
}
