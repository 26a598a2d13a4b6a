import Foundation
import Synchronization

/// Reads PDF files with poppler's `pdftotext`.
enum PDFText {
  enum Failure: Error, CustomStringConvertible {
    case notInstalled
    case timeout(seconds: Int)
    case failed(status: Int32)

    var description: String {
      switch self {
      case .notInstalled: "pdftotext is not installed; install poppler-utils"
      case .timeout(let seconds): "pdftotext took longer than \(seconds) s; convert the file to text yourself"
      case .failed(3): "the file does not allow its text to be copied"
      case .failed(let status): "pdftotext failed (\(status)): the file is damaged or needs a password"
      }
    }
  }

  private static let limit = 60

  /// The program's path, or nil where it is not installed.
  static var program: String? {
    Folders.environment["PATH", default: "/usr/bin:/bin"].split(separator: ":").map { "\($0)/pdftotext" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  /// The text of the file at `path`, with a form feed after each page.
  @Sendable static func extract(_ path: String) throws -> String {
    guard let program else { throw Failure.notInstalled }
    let process = Process(), output = Pipe()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = ["-q", "-enc", "UTF-8", path.hasPrefix("-") ? "./" + path : path, "-"]
    process.standardInput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    process.standardOutput = output
    try process.run()
    let watchdog = Watchdog(process.processIdentifier, seconds: limit)
    let text = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    if watchdog.stop() { throw Failure.timeout(seconds: limit) }
    guard process.terminationStatus == 0 else { throw Failure.failed(status: process.terminationStatus) }
    return String(decoding: text, as: UTF8.self)
  }
}

/// Ends a process that takes too long.
private final class Watchdog: Sendable {
  private let state = Mutex((stopped: false, fired: false))

  init(_ process: Int32, seconds: Int) {
    DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(seconds)) { [weak self] in
      self?.state.withLock { state in
        guard !state.stopped else { return }
        state.fired = true
        kill(process, SIGKILL)
      }
    }
  }

  /// - Returns: whether the process was ended.
  func stop() -> Bool {
    state.withLock { state in
      state.stopped = true
      return state.fired
    }
  }
}
