import DuetRuntime
import Foundation

/// The conversations in the user's data folder: one private JSON file each.
enum ConversationFiles {
  private static let ending = ".json"
  /// More than any conversation takes: a larger file is none.
  private static let byteLimit = 64 << 20

  private static func path(_ id: String) -> String { Folders.conversations + "/" + id + ending }

  /// The ids of all, the latest last.
  static var ids: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: Folders.conversations)) ?? []
    return names.filter { $0.hasSuffix(ending) && !$0.hasPrefix(".") }.map {
      String($0.dropLast(ending.count))
    }
    .sorted()
  }

  /// Writes a conversation, over what was there of it.
  static func save(_ conversation: SavedConversation) throws {
    try Folders.makePrivate(Folders.conversations)
    // Another day the user may be in another folder.
    var conversation = conversation
    conversation.documents = conversation.documents.map(Folders.absolute)
    let encoder = JSONEncoder()
    encoder.dateEncodingStrategy = .iso8601
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    let file = try OutputFile(path: path(conversation.id), isPrivate: true)
    try file.write(Array(try encoder.encode(conversation)))
    try file.finish()
  }

  /// Reads the conversation of this id, or of the only one that begins so.
  static func open(_ id: String) throws(CommandError) -> SavedConversation {
    let matches = ids.filter { $0 == id || (!id.isEmpty && $0.hasPrefix(id)) }
    guard let match = matches.first(where: { $0 == id }) ?? (matches.count == 1 ? matches.first : nil) else {
      throw .noConversation(id: id, matches: matches.count)
    }
    return try read(path(match))
  }

  private static func read(_ path: String) throws(CommandError) -> SavedConversation {
    let decoder = JSONDecoder()
    decoder.dateDecodingStrategy = .iso8601
    let size = (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
    guard size <= byteLimit, let data = FileManager.default.contents(atPath: path),
      let conversation = try? decoder.decode(SavedConversation.self, from: data)
    else { throw .badConversation(path: path, problem: "it is damaged") }
    guard conversation.version == SavedConversation.currentVersion else {
      throw .badConversation(path: path, problem: "another version of duet wrote it")
    }
    return conversation
  }

  /// All that can be read, the latest used first; the paths of those that cannot.
  static func all() -> (conversations: [SavedConversation], damaged: [String]) {
    var conversations: [SavedConversation] = [], damaged: [String] = []
    for id in ids {
      if let conversation = try? read(path(id)) {
        conversations.append(conversation)
      } else {
        damaged.append(path(id))
      }
    }
    return (conversations.sorted { $0.changed > $1.changed }, damaged)
  }

  /// The conversation that was used last.
  static func latest() throws(CommandError) -> SavedConversation {
    guard let latest = all().conversations.first else { throw .noConversation(id: "", matches: 0) }
    return latest
  }

  /// Removes the conversation of this id.
  static func remove(_ id: String) throws {
    let conversation = try open(id)
    do { try FileManager.default.removeItem(atPath: path(conversation.id)) } catch {
      throw CommandError.cannotWrite(path: path(conversation.id), problem: problem(error))
    }
  }
}
