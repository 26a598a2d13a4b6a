import DuetTerminal
import Foundation

/// A line of a conversation that is a command.
enum ChatLine: Equatable {
  case help, quit, reset
  case document(String)
  case save(String)
  case saved
  case missingPath(String)
  case unknown(String)

  /// Nil for a line that only looks like a command, such as a path with further text.
  init?(_ line: String) {
    let parts = line.dropFirst().split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts.first ?? ""), rest = parts.count > 1 ? Self.unquoted(String(parts[1])) : ""
    guard !name.contains("/"), !name.contains("\n") else { return nil }
    switch name {
    case "help", "?": self = .help
    case "quit", "exit", "q": self = .quit
    case "reset": self = .reset
    case "doc": self = rest.isEmpty ? .missingPath(name) : .document(rest)
    case "save": self = rest.isEmpty ? .saved : .save(rest)
    default: self = .unknown(name)
    }
  }

  private static func unquoted(_ text: String) -> String {
    let text = text.trimmingCharacters(in: .whitespaces)
    for quote in ["\"", "'"] where text.count >= 2 && text.hasPrefix(quote) && text.hasSuffix(quote) {
      return String(text.dropFirst().dropLast())
    }
    return text
  }

  static let helpText = """
    /doc PATH    answer from a file or folder, too, in a new conversation
    /reset       forget the conversation
    /save        say under which name the conversation is kept
    /save FILE   write the conversation as Markdown
    /quit        leave, as Ctrl-D does
    A line that ends with \\ goes on in the next.
    Ctrl-C ends an answer, or clears the line.
    """
}
