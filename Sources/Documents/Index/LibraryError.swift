/// Why the index of documents cannot be used.
public enum LibraryError: Error, Equatable, CustomStringConvertible {
  case cannotOpen(path: String, problem: String)
  /// The file belongs to another program.
  case foreign(path: String)
  /// The file was written by a later version of Duet.
  case newer(path: String)
  /// Reading or writing the index failed.
  case failed(path: String, problem: String)

  /// What failed, where, and what to do, in one line.
  public var description: String {
    switch self {
    case .cannotOpen(let path, let problem):
      "cannot open the document index \(path): \(problem); check its folder's permissions and free space"
    case .foreign(let path): "\(path) is a database of another program; give another path for the index"
    case .newer(let path):
      "\(path) was written by a later version; update, or delete it and it is made again"
    case .failed(let path, let problem):
      "the document index \(path) failed: \(problem); free space, or delete it and it is made again"
    }
  }
}
