import DuetTerminal
import Foundation

/// Where Duet keeps what belongs to the user.
enum Folders {
  static let environment = ProcessInfo.processInfo.environment

  /// `$XDG_DATA_HOME/duet`, or else `~/.local/share/duet`.
  static var data: String {
    if let folder = environment["XDG_DATA_HOME"], folder.hasPrefix("/") { return folder + "/duet" }
    return home + "/.local/share/duet"
  }

  /// `$HOME`, as shells have it, or else what the system knows of the user.
  private static var home: String {
    if let folder = environment["HOME"], folder.hasPrefix("/") { return folder == "/" ? "" : folder }
    return NSHomeDirectory()
  }

  /// `$DUET_MODELS`, or else `models` in the data folder.
  static var models: String {
    if let folder = environment["DUET_MODELS"], !folder.isEmpty { return folder }
    return data + "/models"
  }

  /// The tier of kernels that DUET_CPU asks for.
  static var kernels: String? { environment["DUET_CPU"].flatMap { $0.isEmpty ? nil : $0 } }

  /// The index of documents.
  static var documents: String { data + "/documents.sqlite" }
  /// The lines that were entered in chats.
  static var history: String { data + "/history" }

  /// The conversations that are kept.
  static var conversations: String { data + "/conversations" }

  /// What prompts became when they were read: `duet` in `$XDG_CACHE_HOME`, or else in `~/.cache`.
  static var pages: String {
    if let folder = environment["XDG_CACHE_HOME"], folder.hasPrefix("/") { return folder + "/duet/pages" }
    return home + "/.cache/duet/pages"
  }

  /// Makes the data folder, for its owner alone.
  static func makeData() throws { try makePrivate(data) }

  /// Makes a folder, for its owner alone.
  static func makePrivate(_ path: String) throws {
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch { throw CommandError.cannotWrite(path: path, problem: problem(error)) }
  }

  /// A path that stays right when the current folder changes.
  static func absolute(_ path: String) -> String {
    let path = expanded(path)
    return path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
  }

  /// A path with `~` replaced by the home folder.
  static func expanded(_ path: String) -> String {
    if path == "~" { return home.isEmpty ? "/" : home }
    if path.hasPrefix("~/") { return home + path.dropFirst() }
    return NSString(string: path).expandingTildeInPath
  }
}

/// What the system said was wrong.
func problem(_ error: any Error) -> String {
  let error = error as NSError
  if let cause = error.userInfo[NSUnderlyingErrorKey] as? NSError { return problem(cause) }
  if error.domain == NSPOSIXErrorDomain { return systemMessage(Int32(truncatingIfNeeded: error.code)) }
  switch CocoaError.Code(rawValue: error.code) {
  case .fileNoSuchFile, .fileReadNoSuchFile: return systemMessage(ENOENT)
  case .fileReadNoPermission, .fileWriteNoPermission: return systemMessage(EACCES)
  default: return error.localizedDescription
  }
}
