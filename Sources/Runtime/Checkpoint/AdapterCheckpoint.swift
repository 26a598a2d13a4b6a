/// A LoRA adapter as PEFT writes it: a folder with `adapter_config.json` and
/// `adapter_model.safetensors` (huggingface.co/docs/peft, "Checkpoint format"; arXiv 2106.09685).
///
/// It is presented as the GGUF file that a converter would make of it: `adapter.type` "lora",
/// `adapter.lora.alpha`, and for each matrix `NAME.weight.lora_a` and `.lora_b`.
public struct AdapterCheckpoint: Sendable {
  /// The folder.
  public let path: String
  /// The adapter as a GGUF file.
  public let file: GGUFFile

  /// Whether the folder at `path` holds an adapter.
  public static func isAdapter(_ path: String) -> Bool { MappedFile.exists(path + "/adapter_config.json") }

  /// Opens a folder.
  ///
  /// - Parameters:
  ///   - path: of the folder.
  ///   - base: the model that the adapter was trained on, whose names and heads it has.
  /// - Complexity: O(tensors).
  /// - Throws: `CheckpointError`, naming the file and the field or tensor.
  public init(path: String, base: GGUFFile) throws(CheckpointError) {
    let folder = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    let settings = try AdapterSettings(path: folder + "/adapter_config.json")
    let source = try SafetensorsFile(path: folder + "/adapter_model.safetensors")
    let names = try AdapterNames(folder: folder, base: base)
    var tensors: [TensorInfo] = []
    for tensor in source.tensors { tensors.append(try names.renamed(tensor)) }
    guard !tensors.isEmpty else {
      throw .missing(path: source.file.path, field: "tensors named lora_A and lora_B")
    }
    var pairs = MetadataPairs()
    pairs.set("general.type", "adapter")
    pairs.set("general.architecture", names.architecture)
    pairs.set("adapter.type", "lora")
    pairs.set("adapter.lora.alpha", settings.alpha)
    self.path = folder
    do {
      file = try GGUFFile(
        path: folder, metadata: GGUFMetadata(path: folder, keys: pairs.keys, values: pairs.values),
        tensors: tensors, parts: [source.file])
    } catch { throw .metadata(error) }
  }
}

/// What `adapter_config.json` says.
private struct AdapterSettings {
  /// As GGUF has it: the product is scaled by it divided by the rank.
  let alpha: Double

  init(path: String) throws(CheckpointError) {
    let root = try JSONDocument(path: path).root
    if let type = root["peft_type"]?.string, type != "LORA" {
      throw .unsupported(path: path, feature: "adapters of the type \(type)")
    }
    if root["use_dora"]?.bool == true { throw .unsupported(path: path, feature: "use_dora") }
    for name in ["alpha_pattern", "rank_pattern"] {
      if let pattern = root[name], pattern.isObject, pattern.count > 0 {
        throw .unsupported(path: path, feature: name)
      }
    }
    guard let alpha = root["lora_alpha"]?.number, alpha.isFinite, abs(alpha) <= 1e6 else {
      throw .missing(path: path, field: "lora_alpha")
    }
    guard let rank = root["r"]?.integer, (1...65_536).contains(rank) else {
      throw .missing(path: path, field: "r")
    }
    // Rank-stabilised adapters divide by the root of the rank (arXiv 2312.03732).
    self.alpha = root["use_rslora"]?.bool == true ? alpha * Double(rank).squareRoot() : alpha
  }
}

/// GGUF's names of an adapter's tensors.
private struct AdapterNames {
  let folder: String
  let base: GGUFFile
  let architecture: String
  let family: CheckpointFamily

  init(folder: String, base: GGUFFile) throws(CheckpointError) {
    self.folder = folder
    self.base = base
    do {
      architecture = try base.metadata.required(
        "general.architecture", base.metadata.string("general.architecture"))
    } catch { throw .metadata(error) }
    let families = Family.all.compactMap(\.checkpoint)
    let name = architecture
    guard let family = families.first(where: { $0.architecture == name }) else {
      throw .unknownArchitecture(
        path: base.path, name: architecture, known: families.map(\.architecture).sorted())
    }
    self.family = family
  }

  private static let halves = [
    (".lora_A.weight", ".lora_a"), (".lora_B.weight", ".lora_b"),
    (".lora_A.default.weight", ".lora_a"), (".lora_B.default.weight", ".lora_b"),
  ]

  func renamed(_ tensor: TensorInfo) throws(CheckpointError) -> TensorInfo {
    func refused(_ problem: String) -> CheckpointError {
      .tensor(path: folder, tensor: tensor.name, problem: problem)
    }
    guard let (suffix, half) = Self.halves.first(where: { tensor.name.hasSuffix($0.0) }) else {
      throw refused("is no half of a low-rank pair (lora_A, lora_B)")
    }
    var stem = tensor.name.dropLast(suffix.count)
    for prefix in ["base_model.model.", "language_model.", "model."] where stem.hasPrefix(prefix) {
      stem = stem.dropFirst(prefix.count)
    }
    guard let (target, change) = family.target(String(stem)), let weight = base["\(target).weight"] else {
      throw refused("belongs to no matrix of \(base.path)")
    }
    let isRight =
      tensor.shape.count == 2
      && (half == ".lora_a" ? tensor.columns == weight.columns : tensor.rows == weight.rows)
    guard isRight else {
      throw refused("has the shape \(tensor.shape), which does not fit \(target)'s \(weight.shape)")
    }
    return TensorInfo(
      name: "\(target).weight\(half)", shape: tensor.shape, type: tensor.type, range: tensor.range,
      file: tensor.file, rowOrder: half == ".lora_b" ? try rowOrder(change) : .asNamed)
  }

  private func rowOrder(_ change: TensorChange) throws(CheckpointError) -> RowOrder {
    do {
      let heads = try base.metadata.integer("\(architecture).attention.head_count", in: 1...65_536) ?? 1
      switch change {
      case .none, .addOne: return .asNamed
      case .interleaveQueries: return .halves(heads: heads)
      case .interleaveKeys:
        let keys = try base.metadata.integer("\(architecture).attention.head_count_kv", in: 1...65_536)
        return .halves(heads: keys ?? heads)
      }
    } catch { throw .metadata(error) }
  }
}
