/// Why a file gave no text.
public enum ReadError: Error, Equatable, Sendable, CustomStringConvertible {
  case missing
  case notAFile
  case unreadable
  case tooLarge(bytes: Int, limit: Int)
  case binary
  /// The text is in an encoding that is not supported.
  case encoding(name: String)
  /// The file breaks the rules of its format.
  case damaged(format: String, problem: String)
  /// Decompressed, the file would exceed `limit` bytes.
  case bomb(limit: Int)
  case noPDFExtractor
  case extraction(problem: String)
  case empty
  /// A paged document has no text in it, as a scan.
  case scan

  /// What is wrong and what to do, to be read behind the file's path.
  public var description: String {
    switch self {
    case .missing: "does not exist; check the path"
    case .notAFile: "is not a regular file or folder; give the path of a file"
    case .unreadable: "cannot be read; check its permissions"
    case .tooLarge(let bytes, let limit):
      "has \(bytes) bytes, where at most \(limit) are read; split it"
    case .binary: "is not text; convert it to text, HTML, DOCX or PDF"
    case .encoding(let name): "is encoded as \(name); convert it to UTF-8"
    case .damaged(let format, let problem): "is no sound \(format) file: it \(problem); copy or save it again"
    case .bomb(let limit): "decompresses to more than \(limit) bytes; it is damaged or malicious"
    case .noPDFExtractor: "needs pdftotext to be read; install poppler-utils"
    case .extraction(let problem): "gave no text: \(problem)"
    case .empty: "holds no text; give another file"
    case .scan: "has pages but no text; if it is a scan, have its text recognised first"
    }
  }
}

/// A file that was left out of the index, and why.
public struct SkippedFile: Error, Equatable, Sendable, CustomStringConvertible {
  /// The path as it was given or found.
  public let path: String
  /// What is wrong with it.
  public let reason: ReadError

  /// The path and what is wrong with it, in one line.
  public var description: String { "\(path) \(reason)" }
}
