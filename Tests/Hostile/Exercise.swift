import DuetRuntime

/// What came of a file that may be hostile.
enum Outcome: CustomStringConvertible {
  case accepted
  case refused(String)

  /// One word: `accepted`, or the error's case.
  var description: String {
    switch self {
    case .accepted: "accepted"
    case .refused(let reason): reason
    }
  }
}

/// Does with the file what a program does: opens it and reads all of it. Whatever an error says is
/// put together too, since that must not trap either.
func exercise(path: String) -> Outcome {
  do throws(GGUFError) {
    let file = try GGUFFile(path: path)
    readMetadata(of: file)
    readTensors(of: file)
    return .accepted
  } catch {
    precondition(!error.description.isEmpty)
    return .refused(String("\(error)".isEmpty ? "" : caseName(of: error)))
  }
}

/// The name of the error's case.
private func caseName(of error: GGUFError) -> String {
  Mirror(reflecting: error).children.first?.label ?? "refused"
}

/// Asks for every value as every type; most answers are errors.
private func readMetadata(of file: GGUFFile) {
  for key in file.metadata.keys {
    _ = try? file.metadata.string(key)
    _ = try? file.metadata.integer(key)
    _ = try? file.metadata.number(key)
    _ = try? file.metadata.bool(key)
    guard case .array(let array)? = file.metadata[key] else { continue }
    var bytes = 0
    array.forEachString { _, text in bytes += text.byteCount }
    _ = array.preview(3)
  }
}

/// Touches the first and last byte of every tensor.
private func readTensors(of file: GGUFFile) {
  for tensor in file.tensors {
    precondition(tensor.rows * tensor.columns == tensor.elementCount)
    precondition(file[tensor.name]?.range == tensor.range)
    guard let last = tensor.range.last else { continue }
    _ = tensor.file.bytes(tensor.range.lowerBound..<tensor.range.lowerBound + 1)
    _ = tensor.file.bytes(last..<last + 1)
  }
}
