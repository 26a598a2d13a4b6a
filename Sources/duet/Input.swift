import DuetTerminal
import Foundation

/// Text that the user gives in files and on standard input.
enum Input {
  /// Bytes of a file, or of standard input where `path` is nil or `-`.
  static func bytes(_ path: String?) throws -> [UInt8] {
    guard let path, path != "-" else { return try standardInput() }
    let full = Folders.expanded(path)
    do { return [UInt8](try Data(contentsOf: URL(fileURLWithPath: full))) } catch {
      let isFolder = (try? FileManager.default.contentsOfDirectory(atPath: full)) != nil
      throw CommandError.cannotRead(path: path, problem: isFolder ? systemMessage(EISDIR) : problem(error))
    }
  }

  /// Text of a file, or of standard input where `path` is nil or `-`.
  static func text(_ path: String?) throws -> String {
    let bytes = try bytes(path)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw CommandError.notText(path: path ?? "standard input")
    }
    return text
  }

  /// All of standard input; says what it waits for when nothing comes.
  private static func standardInput() throws -> [UInt8] {
    let input = StandardStream.input
    if input.isTerminal {
      warn("reading from the terminal; end with Ctrl-D")
    } else if !input.isReadable(within: 2_000) {
      warn("waiting for standard input; give </dev/null if there is none")
    }
    var result: [UInt8] = []
    while true {
      while !input.isReadable(within: 100) { try Task.checkCancellation() }
      let bytes = input.read(atMost: 1 << 16)
      if bytes.isEmpty { return result }
      result += bytes
    }
  }
}
