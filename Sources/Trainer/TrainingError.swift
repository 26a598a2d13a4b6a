import DuetRuntime

/// Why a training could not start or go on.
public enum TrainingError: Error, CustomStringConvertible {
  case model(ModelError)
  case quantizedBase(path: String, tensor: String, type: String)
  case noTemplate(path: String)
  case unreadableRows(path: String, problem: String)
  case invalidRow(path: String, line: Int, problem: String)
  case noRows(path: String, skips: String)
  case template(path: String, line: Int, problem: String)
  case option(name: String, problem: String)
  case notFinite(step: Int)
  case checkpoint(path: String, problem: String)
  case output(OutputError)
  case file(GGUFWriteError)
  case adapter(path: String, problem: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .model(let error): error.description
    case .quantizedBase(let path, let tensor, let type):
      "\(path) cannot be trained in full: \(tensor) is \(type), and steps smaller than its rounding would be lost; use --method lora, or a base in F32, F16 or BF16"
    case .noTemplate(let path):
      "\(path) has no chat template, so that rows cannot be written as conversations; use an instruction-tuned base"
    case .unreadableRows(let path, let problem): "cannot read the rows of \(path): \(problem)"
    case .invalidRow(let path, let line, let problem):
      "\(path):\(line): \(problem); rows are JSON objects with instruction, context and response, or messages"
    case .noRows(let path, let skips):
      "\(path) has no row that can be trained on\(skips.isEmpty ? "" : " (\(skips))"); choose other data, another arm, or a larger --window"
    case .template(let path, let line, let problem):
      "\(path):\(line): the model's chat template \(problem); use another base"
    case .option(let name, let problem): "\(name) \(problem)"
    case .notFinite(let step): "the loss is no number at step \(step); start again with a lower --lr"
    case .checkpoint(let path, let problem): "cannot resume from \(path): \(problem)"
    case .output(let error): error.description
    case .file(let error): error.description
    case .adapter(let path, let problem): "\(path) cannot be used: \(problem)"
    }
  }
}
