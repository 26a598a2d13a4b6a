import DuetRuntime

/// Why a vision file could not be used.
public enum VisionError: Error, Equatable, CustomStringConvertible {
  case file(GGUFError)
  case kernels(KernelError)
  case unsupported(path: String, feature: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .kernels(let error): error.description
    case .unsupported(let path, let feature):
      "\(path) needs \(feature), which Duet does not know; use an mmproj file of LLaVA 1.5, SmolVLM, Idefics 3 or Gemma 3"
    }
  }
}
