import ArgumentParser
import DuetRuntime
import DuetTerminal
import Foundation

/// Which conversation goes on.
struct ResumeOptions: ParsableArguments {
  @Flag(name: .customLong("continue"), help: "Go on with the conversation that was used last.")
  var continues = false
  @Option(help: ArgumentHelp("Go on with this conversation; duet history lists them.", valueName: "id"))
  var resume: String?
  @Flag(help: "Do not keep this conversation.")
  var noHistory = false

  func validate() throws {
    if continues, resume != nil { throw ValidationError("--continue and --resume exclude each other") }
    if resume?.isEmpty == true { throw ValidationError("--resume needs an id") }
  }

  /// The conversation that is to go on; nil for a new one.
  func open() throws -> SavedConversation? {
    if let resume { return try ConversationFiles.open(resume) }
    return continues ? try ConversationFiles.latest() : nil
  }
}

extension SavedConversation {
  /// The path of the model, unless another was asked for.
  ///
  /// - Throws: `CommandError.goneModel` where it is there no more.
  func modelPath(_ given: String?) throws(CommandError) -> String? {
    if let given { return given }
    guard FileManager.default.fileExists(atPath: model) else {
      throw .goneModel(conversation: id, what: "model", path: model, option: "--model")
    }
    return model
  }

  /// The pair, unless another or a model was asked for.
  func pairPath(_ given: String?, model: String?) throws(CommandError) -> String? {
    if given != nil || model != nil { return given }
    guard let pair else { return nil }
    guard FileManager.default.fileExists(atPath: pair) else {
      throw .goneModel(conversation: id, what: "pair", path: pair, option: "--pair")
    }
    return pair
  }

  /// The adapter, unless another was asked for.
  func adapterText(_ given: String?) throws(CommandError) -> String? {
    if let given { return given }
    guard let adapter else { return nil }
    let path = AdapterOption.parts(adapter).path
    guard adapter == "none" || FileManager.default.fileExists(atPath: Folders.expanded(path)) else {
      throw .goneModel(conversation: id, what: "adapter", path: path, option: "--adapter")
    }
    return adapter
  }

  /// The documents that are still there, and those asked for now; names the others.
  func documentPaths(_ given: [String]) -> [String] {
    let found = documents.filter { path in
      let exists = FileManager.default.fileExists(atPath: Folders.expanded(path))
      if !exists { warn("\(path), which the conversation was about, is gone") }
      return exists
    }
    return found + given.filter { !found.contains($0) }
  }
}
