/// A model as its makers publish it: a folder with `config.json`, `tokenizer.json`, and tensors in
/// `model.safetensors`, or in several such files that `model.safetensors.index.json` lists
/// (huggingface.co/docs/transformers, "Loading models").
///
/// It is presented as the GGUF file that a converter would make of it: the same metadata, and the
/// tensors under GGUF's names. The weights are views of the mapped files; what differs from GGUF is
/// said by each tensor's `rowOrder`. Norms that are stored less 1 are made anew, some kilobytes.
public struct Checkpoint: Sendable {
  /// The folder.
  public let path: String
  /// The checkpoint as a GGUF file.
  public let file: GGUFFile

  /// The architectures that can be read, as GGUF names them.
  public static var knownArchitectures: [String] { families.map(\.architecture).sorted() }

  /// Opens a folder: maps its tensors, and makes the metadata.
  ///
  /// - Complexity: O(tensors + bytes of `tokenizer.json`).
  /// - Throws: `CheckpointError`, naming the file and the field or tensor.
  public init(path: String) throws(CheckpointError) {
    let folder = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    let config = try CheckpointConfig(folder: folder)
    let family = try Self.family(config)
    let sources = try CheckpointFiles(folder: folder)
    var reader = CheckpointTensors(folder: folder, config: config, family: family)
    for file in sources.files { for tensor in file.tensors { try reader.add(tensor) } }
    let (tensors, made) = try reader.finished()
    let pairs = try CheckpointMetadata(folder: folder, config: config, family: family, tensors: tensors)
      .pairs()
    let parts = sources.files.map(\.file) + (made.map { [$0] } ?? [])
    self.path = folder
    do {
      file = try GGUFFile(
        path: folder, metadata: GGUFMetadata(path: folder, keys: pairs.keys, values: pairs.values),
        tensors: tensors, parts: parts)
    } catch { throw .metadata(error) }
  }

  private static let families = Family.all.compactMap(\.checkpoint) + [EncoderConfig.checkpoint]

  private static func family(_ config: CheckpointConfig) throws(CheckpointError) -> CheckpointFamily {
    let classes = config.language.map { [$0.name] } ?? config.classes
    if let family = families.first(where: { $0.classes.contains(where: classes.contains) }) { return family }
    let named = classes.first ?? config.modelType ?? "unknown"
    let name = config.unknownLanguage.map { "\(named) over \($0)" } ?? named
    throw .unknownArchitecture(
      path: config.path, name: name, known: (families.flatMap(\.classes) + SeeingLanguage.classes).sorted())
  }
}

/// The files of tensors of a folder.
struct CheckpointFiles {
  let files: [SafetensorsFile]

  init(folder: String) throws(CheckpointError) {
    let single = folder + "/model.safetensors", list = folder + "/model.safetensors.index.json"
    if MappedFile.exists(list) {
      files = try Self.names(list).map { name throws(CheckpointError) in
        try SafetensorsFile(path: folder + "/" + name)
      }
    } else {
      files = [try SafetensorsFile(path: single)]
    }
  }

  /// The names of the files that the index lists, which must lie in the folder itself.
  private static func names(_ path: String) throws(CheckpointError) -> [String] {
    guard let map = try JSONDocument(path: path).root["weight_map"], map.isObject else {
      throw .missing(path: path, field: "weight_map")
    }
    var names: Set<String> = []
    try map.forEachMember { (tensor, value) throws(CheckpointError) in
      guard let name = value.string, name.hasSuffix(".safetensors"), !name.contains("/"), !name.contains("\0")
      else {
        throw .invalid(
          path: path, field: "weight_map", problem: "names no file of this folder for a tensor")
      }
      names.insert(name)
      guard names.count <= 1_024 else {
        throw .invalid(path: path, field: "weight_map", problem: "names more than 1024 files")
      }
    }
    return names.sorted()
  }
}
