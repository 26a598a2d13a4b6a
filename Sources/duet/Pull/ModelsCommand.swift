import ArgumentParser
import DuetDownload
import DuetRuntime
import DuetTerminal
import Foundation

/// `duet models`: the models folder.
struct ModelsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models",
    abstract: "List, verify and remove models.",
    subcommands: [List.self, Verify.self, Remove.self], defaultSubcommand: List.self)
}

extension ModelsCommand {
  /// `duet models list`
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the models in the models folder.")
    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Record: Encodable {
      let folder: String
      let models: [StoredModel.Record]
    }

    func run() throws {
      let models = StoredModel.all()
      if json { return try printJSON(Record(folder: Folders.models, models: models.map(\.record))) }
      var table = Table([("name", .left), ("size", .right), ("architecture", .left), ("licence", .left)])
      for model in models {
        let record = model.record
        table.append([
          record.name, Figures.bytes(record.bytes), record.architecture ?? "unreadable", record.licence ?? "",
        ])
      }
      if !models.isEmpty { try say(table.lines.joined(separator: "\n")) }
      try say("\(models.count) \(models.count == 1 ? "model" : "models") in \(Folders.models)")
    }
  }

  /// `duet models verify`
  struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Compare models with the SHA-256 they were fetched with, and check that they open.")
    @Argument(help: "Names; all without any.")
    var names: [String] = []

    func run() async throws {
      let models = try names.isEmpty ? StoredModel.all() : names.map(StoredModel.named)
      var damaged: [String] = []
      for model in models {
        try Task.checkCancellation()
        let finding = try model.verify()
        if !finding.isGood { damaged.append(model.name) }
        try say("\(model.name): \(finding.text)")
      }
      guard damaged.isEmpty else { throw PullError.damaged(damaged) }
    }
  }

  /// `duet models remove`
  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Remove models from the models folder.")
    @Argument(help: "Names as listed.")
    var names: [String]

    func run() throws {
      for model in try names.map(StoredModel.named) {
        try model.remove()
        try say("removed \(model.path)")
      }
    }
  }
}

/// A file or folder of the models folder.
struct StoredModel {
  let name: String
  var path: String { Folders.models + "/" + name }

  struct Record: Encodable {
    let name: String
    let bytes: Int
    let architecture: String?
    let licence: String?
  }

  static func all() -> [StoredModel] { ModelFiles.names.map(StoredModel.init) }

  static func named(_ name: String) throws -> StoredModel {
    let found = all().first { $0.name == name } ?? all().first { $0.name == name + ".gguf" }
    guard let found else { throw PullError.notListed(name, folder: Folders.models) }
    return found
  }

  private var packaged: PackagedModel? { PackagedModel.all.first { $0.file == name } }

  private var isFolder: Bool { (try? FileManager.default.contentsOfDirectory(atPath: path)) != nil }

  private var bytes: Int {
    guard isFolder else { return Self.size(path) }
    let names = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
    return names.reduce(0) { $0 + Self.size(path + "/" + $1) }
  }

  private static func size(_ path: String) -> Int {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    guard attributes?[.type] as? FileAttributeType == .typeRegular else { return 0 }
    return (attributes?[.size] as? NSNumber)?.intValue ?? 0
  }

  var record: Record {
    let metadata = isFolder ? nil : try? GGUFFile(path: path).metadata
    return Record(
      name: name, bytes: bytes,
      architecture: isFolder ? folderArchitecture : (try? metadata?.string("general.architecture")) ?? nil,
      licence: packaged?.licence ?? (try? metadata?.string("general.license")) ?? nil)
  }

  /// What the folder's configuration says; opening all of it would take longer than a list may.
  private var folderArchitecture: String? {
    struct Config: Decodable {
      let modelType: String?
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let data = FileManager.default.contents(atPath: path + "/config.json")
    return data.flatMap { try? decoder.decode(Config.self, from: $0) }?.modelType
  }

  /// Whether the bytes are those that were fetched, as far as that can be told.
  func verify() throws -> (isGood: Bool, text: String) {
    do { _ = try Model.file(path: path) } catch { return (false, "\(error)") }
    guard let expected = isFolder ? nil : packaged?.sha256 ?? ModelSums.all()[name] else {
      let isComplete = packaged.map { $0.bytes == bytes } ?? true
      return (
        isComplete, isComplete ? "opens; no digest is known" : "has \(bytes) bytes, too many or too few"
      )
    }
    let found = try SHA256.text(ofFile: path)
    return found == expected ? (true, "as fetched") : (false, "has SHA-256 \(found), not \(expected)")
  }

  func remove() throws {
    do { try FileManager.default.removeItem(atPath: path) } catch {
      throw CommandError.cannotWrite(path: path, problem: problem(error))
    }
    try ModelSums.remove(name)
  }
}
