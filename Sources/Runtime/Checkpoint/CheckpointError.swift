/// Why a checkpoint folder was refused.
public enum CheckpointError: Error, Equatable, CustomStringConvertible {
  case file(FileError)
  case json(JSONError)
  case safetensors(path: String, problem: String)
  /// A file of the folder says something that no valid one does.
  case invalid(path: String, field: String, problem: String)
  case missing(path: String, field: String)
  case notCheckpoint(path: String)
  case unknownArchitecture(path: String, name: String, known: [String])
  case unsupported(path: String, feature: String)
  case tensor(path: String, tensor: String, problem: String)
  case metadata(GGUFError)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .json(let error): error.description
    case .safetensors(let path, let problem): "\(path) \(problem); download or copy it again"
    case .invalid(let path, let field, let problem):
      "\(path): \(field) \(problem); the file is damaged or was written by a faulty tool"
    case .missing(let path, let field): "\(path) has no \(field); it is not complete"
    case .notCheckpoint(let path):
      "\(path) holds no checkpoint (there is no config.json); give a folder with config.json, tokenizer.json "
        + "and model.safetensors, or a .gguf file"
    case .unknownArchitecture(let path, let name, let known):
      "\(path) is of the architecture \(name), which is not supported; supported are "
        + known.joined(separator: ", ")
    case .unsupported(let path, let feature):
      "\(path) needs \(feature), which is not supported; use another model"
    case .tensor(let path, let tensor, let problem): "\(path): tensor \(tensor) \(problem)"
    case .metadata(let error): error.description
    }
  }
}
