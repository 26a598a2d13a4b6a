/// Why a GGUF file, or a field of it, was refused.
public enum GGUFError: Error, Equatable, CustomStringConvertible {
  case file(FileError)
  case notGGUF(path: String)
  case bigEndian(path: String)
  case unsupportedVersion(path: String, version: UInt32)
  /// The file ends at `count` bytes, inside of `field`.
  case truncated(path: String, field: String, count: Int)
  /// A field holds a value that no valid file has.
  case invalid(path: String, field: String, problem: String)
  case unknownTensorType(path: String, tensor: String, type: UInt32)
  case missing(path: String, key: String)
  case wrongType(path: String, key: String, expected: String)
  case missingTensor(path: String, tensor: String)
  case wrongShape(path: String, tensor: String, shape: [Int], expected: [Int])
  case splitMismatch(path: String, problem: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .notGGUF(let path):
      "\(path) is not a GGUF file (it does not start with \"GGUF\"); give a .gguf model"
    case .bigEndian(let path): "\(path) is a big-endian GGUF file; convert it to little-endian"
    case .unsupportedVersion(let path, let version):
      "\(path) is GGUF version \(version); versions 2 and 3 can be read, so convert it again"
    case .truncated(let path, let field, let count):
      "\(path) ends inside of \(field), after \(count) bytes; download or copy it again"
    case .invalid(let path, let field, let problem):
      "\(path): \(field) \(problem); the file is damaged or was written by a faulty tool"
    case .unknownTensorType(let path, let tensor, let type):
      "\(path): tensor \(tensor) has type \(type), which is not supported; convert it to one of "
        + TensorType.allCases.filter(\.isWeight).map(\.name).joined(separator: ", ")
    case .missing(let path, let key): "\(path) has no \(key); it is not a complete model file"
    case .wrongType(let path, let key, let expected): "\(path): \(key) must be \(expected)"
    case .missingTensor(let path, let tensor):
      "\(path) has no tensor \(tensor); it is incomplete or of another architecture than it says"
    case .wrongShape(let path, let tensor, let shape, let expected):
      "\(path): tensor \(tensor) has shape \(shape), where \(expected) is needed"
    case .splitMismatch(let path, let problem):
      "\(path): \(problem); keep all parts of the model in one folder under their own names"
    }
  }
}
