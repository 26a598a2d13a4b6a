/// Why an adapter was refused.
public enum AdapterError: Error, Equatable, CustomStringConvertible {
  case file(GGUFError)
  case notAnAdapter(path: String, problem: String)
  case otherArchitecture(path: String, adapter: String, model: String)
  case unknownTensor(path: String, tensor: String)
  case missingHalf(path: String, tensor: String)
  /// `tensor` has `shape`; the model's matrix `base` has `baseShape`.
  case wrongShape(path: String, tensor: String, shape: [Int], base: String, baseShape: [Int])
  case rankMismatch(path: String, tensor: String, a: [Int], b: [Int])
  case notFinite(path: String, tensor: String)
  case scale(Float)
  case otherModel(path: String, adapted: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .notAnAdapter(let path, let problem):
      "\(path) is no LoRA adapter: \(problem); give a GGUF file that convert_lora_to_gguf made"
    case .otherArchitecture(let path, let adapter, let model):
      "\(path) adapts models of the architecture \(adapter), where the model's is \(model); give the model that it was trained on"
    case .unknownTensor(let path, let tensor):
      "\(path) holds \(tensor), which adapts nothing that can be adapted here; "
        + "adapters of attention and feed-forward matrices are supported"
    case .missingHalf(let path, let tensor):
      "\(path) has no tensor \(tensor), the other half of a pair; convert the adapter again"
    case .wrongShape(let path, let tensor, let shape, let base, let baseShape):
      "\(path): \(tensor) has shape \(shape), which does not fit \(base) of shape \(baseShape); give the model that it was trained on"
    case .rankMismatch(let path, let tensor, let a, let b):
      "\(path): the halves of \(tensor) have shapes \(a) and \(b), which differ in rank; convert the adapter again"
    case .notFinite(let path, let tensor):
      "\(path): \(tensor) holds values that are no numbers; its training went wrong, or the file is damaged"
    case .scale(let value): "the scale of an adapter is \(value); give a value from -100 to 100"
    case .otherModel(let path, let adapted):
      "\(path) was opened for \(adapted), where the session runs another model; open it for that model"
    }
  }
}
