import Foundation
import Testing

/// The program `duet` as the package builds it, run with a data folder of its own.
struct DuetProgram {
  struct Result {
    let status: Int32
    let output: String
    let errors: String
  }

  static let absent: Comment = "the program is absent: swift build -c release --product duet"
  /// Beside the tests, which is where a package's products lie.
  static let path = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().path + "/duet"
  static var exists: Bool { FileManager.default.isExecutableFile(atPath: path) }

  let folder = FileManager.default.temporaryDirectory.path + "/duet-\(UUID().uuidString)"

  init() throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  func remove() { try? FileManager.default.removeItem(atPath: folder) }

  func run(_ arguments: String...) throws -> Result {
    try run(Self.path, arguments, input: FileHandle.nullDevice)
  }

  /// Runs `duet` at a terminal, where `lines` are typed; what it shows is the output.
  func type(_ lines: [String], to arguments: String) throws -> Result {
    let input = folder + "/typed"
    try Data(lines.map { $0 + "\n" }.joined().utf8).write(to: URL(filePath: input))
    let command = "\(Self.path) \(arguments)"
    return try run(
      "/usr/bin/script", ["-qec", command, "/dev/null"],
      input: try FileHandle(forReadingFrom: URL(filePath: input)))
  }

  static let hasTerminals = FileManager.default.isExecutableFile(atPath: "/usr/bin/script")

  private func run(_ program: String, _ arguments: [String], input: FileHandle) throws -> Result {
    let process = Process()
    let output = Pipe(), errorsPath = folder + "/errors"
    try Data().write(to: URL(filePath: errorsPath))
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging([
      "XDG_DATA_HOME": folder, "XDG_CACHE_HOME": folder + "/cache", "DUET_MODELS": ModelFiles.folder,
    ]) { $1 }
    process.standardInput = input
    process.standardOutput = output
    process.standardError = try FileHandle(forWritingTo: URL(filePath: errorsPath))
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Result(
      status: process.terminationStatus, output: String(decoding: bytes, as: UTF8.self),
      errors: try String(contentsOfFile: errorsPath, encoding: .utf8))
  }
}
