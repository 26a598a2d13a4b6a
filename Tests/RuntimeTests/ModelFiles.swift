import DuetRuntime
import Foundation
import Testing

/// The real models that some tests need: in the folder that `DUET_MODELS` names, else where the
/// set-up puts them, `$XDG_DATA_HOME/duet/models` or `~/.local/share/duet/models`.
enum ModelFiles {
  static let smolLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
  static let gemma3 = "gemma-3-270m-q4_k_m.gguf"
  static let absent: Comment =
    "the models are absent: set DUET_MODELS to their folder, or run tools/duet once"

  static var folder: String {
    let environment = ProcessInfo.processInfo.environment
    if let folder = environment["DUET_MODELS"], !folder.isEmpty { return folder }
    if let data = environment["XDG_DATA_HOME"], !data.isEmpty { return data + "/duet/models" }
    return (environment["HOME"] ?? "") + "/.local/share/duet/models"
  }

  static func path(_ name: String) -> String { folder + "/" + name }

  /// Whether tests that need all of `names` run: where the files are, and under continuous
  /// integration (`CI` is set) in any case, so that they fail there for want of them.
  static func available(_ names: String...) -> Bool {
    if let value = ProcessInfo.processInfo.environment["CI"], !value.isEmpty { return true }
    return names.allSatisfy { FileManager.default.fileExists(atPath: path($0)) }
  }

  static func open(_ name: String) throws -> GGUFFile { try GGUFFile(path: path(name)) }
}
