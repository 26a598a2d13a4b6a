import Foundation

/// The models in the user's folder.
enum ModelFiles {
  static let defaultName = "SmolLM2-135M-Instruct.Q4_1.gguf"
  /// The sentence encoder of `duet embed` and of documents.
  static let encoderName = "all-MiniLM-L6-v2"

  /// Names of models, sorted: of GGUF files, and of folders with a checkpoint.
  static var names: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: Folders.models)) ?? []
    return names.filter { name in
      name.lowercased().hasSuffix(".gguf")
        || !name.hasPrefix(".")
          && FileManager.default.fileExists(atPath: "\(Folders.models)/\(name)/config.json")
    }.sorted()
  }

  /// The path of a model given by path or by name: a file name in the models folder, with or without
  /// its ending, in any case, or as much of its start as is unique.
  static func path(_ given: String?) throws(CommandError) -> String {
    let name = given ?? defaultName
    let path = Folders.expanded(name)
    if given != nil, name.contains("/") || FileManager.default.fileExists(atPath: path) { return path }
    let matches = matches(name.lowercased())
    guard matches.count <= 1 else { throw .ambiguousModel(name: name, matches: matches) }
    guard let match = matches.first else { throw .noModel(name: name, folder: Folders.models) }
    return Folders.models + "/" + match
  }

  private static func matches(_ name: String) -> [String] {
    let names = names
    let whole = names.filter { $0.lowercased() == name || $0.lowercased() == name + ".gguf" }
    if !whole.isEmpty { return Array(whole.prefix(1)) }
    return name.isEmpty ? [] : names.filter { $0.lowercased().hasPrefix(name) }
  }
}
