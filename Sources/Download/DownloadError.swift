/// Why a file could not be fetched. What arrived of it stays for the next try where it may be right.
package enum DownloadError: Error, Equatable, CustomStringConvertible {
  case badAddress(String)
  case refused(url: String, status: Int)
  case interrupted(url: String, received: Int, total: Int?, problem: String)
  case tooLong(url: String, expected: Int)
  case wrongDigest(url: String, found: String, expected: String)
  case wrongContent(url: String, start: String)
  case noSpace(folder: String, needed: Int, free: Int)
  case cannotWrite(path: String, problem: String)

  /// One line: what is wrong, where, and what to do.
  package var description: String {
    switch self {
    case .badAddress(let url): "\(url) is no address; give one that begins with https:// or http://"
    case .refused(let url, let status):
      "\(url) answered with status \(status); "
        + (status == 401 || status == 403
          ? "it asks for permission: set HF_TOKEN, or download it in a browser" : "check the address")
    case .interrupted(let url, let received, let total, let problem):
      "\(url) broke off after \(received) \(total.map { "of \($0) " } ?? "")bytes (\(problem)); run this again to go on"
    case .tooLong(let url, let expected):
      "\(url) sent more than the \(expected) bytes it announced; the download was discarded: run this again"
    case .wrongDigest(let url, let found, let expected):
      "\(url) has SHA-256 \(found), where \(expected) was expected; the download was discarded: check the address"
    case .wrongContent(let url, let start):
      "\(url) is no GGUF file: it begins with \"\(start)\"; the download was discarded: check the address"
    case .noSpace(let folder, let needed, let free):
      "\(folder) has \(free / 1_000_000) MB free, where \(needed / 1_000_000) MB are needed; "
        + "free some space or set DUET_MODELS to another folder"
    case .cannotWrite(let path, let problem):
      "cannot write \(path): \(problem); check the folder and its permissions"
    }
  }
}
