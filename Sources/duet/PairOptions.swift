import ArgumentParser
import DuetDocuments
import DuetDownload
import DuetRouter
import DuetRuntime
import Foundation

extension Router.Policy: ExpressibleByArgument {}

/// Which pair answers.
struct PairPathOption: ParsableArguments {
  @Option(
    name: .customLong("pair"),
    help: ArgumentHelp(
      "The manifest of a pair, or its folder (default: the pair that comes with Duet, unless --model or --adapter is given).",
      valueName: "path"),
    completion: .file(extensions: ["json"]))
  var path: String?

  func validate() throws {
    if path?.isEmpty == true { throw ValidationError("--pair needs a path") }
  }
}

/// How a pair is routed.
struct RouteOption: ParsableArguments {
  @Option(
    name: .customLong("route"),
    help: "With a pair, where turns go: auto, presence, grounded or free.")
  var policy = Router.Policy.auto
}

/// The pair that comes with Duet.
enum DefaultPair {
  /// Its manifest: `models/default/pair.json` in the nearest folder above the program that has it, which is
  /// the repository's for what was built there and the program's own for a release; nil where none has.
  static var path: String? {
    guard let program = Bundle.main.executablePath else { return nil }
    var folder = URL(fileURLWithPath: program).resolvingSymlinksInPath().deletingLastPathComponent()
    while folder.path != "/", !folder.path.isEmpty {
      let manifest = folder.appendingPathComponent("models/default/pair.json").path
      if FileManager.default.fileExists(atPath: manifest) { return manifest }
      folder.deleteLastPathComponent()
    }
    return nil
  }
}

/// A pair's manifest with the folder that its paths are relative to.
struct PairFiles {
  let path: String
  let manifest: PairManifest

  /// A manifest that is yet to be written to `path`.
  init(path: String, manifest: PairManifest) {
    self.path = path
    self.manifest = manifest
  }

  /// - Parameter path: of the manifest, or of a folder that holds one named `pair.json`.
  init(_ path: String) throws {
    var path = Folders.expanded(path)
    let type = try? FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType
    if type == .typeDirectory { path += "/pair.json" }
    self.path = path
    manifest = try PairManifest(path: path)
  }

  func open(
    _ options: EngineOptions, seesPictures: Bool = true, encoder: (any TextEncoder)? = nil
  ) throws -> Pair {
    try Pair(
      manifest, path: path, options: options, kernels: Folders.kernels, seesPictures: seesPictures,
      encoder: encoder, locate: locate)
  }

  /// Beside the manifest, or among the user's models.
  func locate(_ part: PairManifest.Part) throws -> String {
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) + "/" } ?? ""
    let beside = part.file.hasPrefix("/") ? part.file : folder + part.file
    if FileManager.default.fileExists(atPath: beside) { return beside }
    if !part.file.contains("/") {
      // Of a base that is missing, the error says how to fetch one.
      if part == manifest.base { return try ModelFiles.path(part.file) }
      if let path = try? ModelFiles.path(part.file) { return path }
    }
    let role = manifest.parts.first { $0.part == part }?.role ?? "part"
    throw PairError.missingPart(path: path, role: role, file: beside)
  }

  /// Names a file relative to the manifest's folder where it lies in there; models of the models folder by
  /// their names.
  static func part(_ path: String, beside manifest: String, isModel: Bool = false) throws
    -> PairManifest.Part
  {
    let path = URL(fileURLWithPath: Folders.expanded(path)).standardizedFileURL.path
    let digest = try SHA256.text(ofFile: path)
    let packaged = PackagedModel.all.first { $0.sha256 == digest }
    let licence =
      packaged?.licence ?? (isModel ? try? GGUFFile(path: path).metadata.string("general.license") : nil)
    let folder = URL(fileURLWithPath: manifest).standardizedFileURL.deletingLastPathComponent().path + "/"
    let models = URL(fileURLWithPath: Folders.models).standardizedFileURL.path + "/"
    for prefix in isModel ? [models, folder] : [folder] where path.hasPrefix(prefix) {
      return PairManifest.Part(
        file: String(path.dropFirst(prefix.count)), sha256: digest, licence: licence, package: packaged?.name)
    }
    return PairManifest.Part(file: path, sha256: digest, licence: licence, package: packaged?.name)
  }
}
