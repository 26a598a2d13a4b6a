#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A turn of which it is known whether its context helps: a line of a JSON Lines file.
public struct LabelledTurn: Sendable, Equatable, Decodable {
  /// The question before, with the texts that it was answered from.
  public struct Previous: Sendable, Equatable, Decodable {
    /// What was asked.
    public let question: String
    /// What it was answered from.
    public let passages: [String]
  }

  /// What kind of turn it is; results are given for each.
  public let group: String
  /// The message as it was written.
  public let message: String
  /// What was found for it; none where the key is missing.
  public let passages: [String]?
  /// What came before, if anything.
  public let previous: Previous?
  /// Whether what stands there helps to answer.
  public let helps: Bool

  /// The turn as the router sees it.
  public var turn: Router.Turn {
    Router.Turn(message, passages: passages ?? [], previous: previous.map { ($0.question, $0.passages) })
  }

  /// Reads a file of one turn a line; empty lines are passed over.
  ///
  /// - Throws: `LabelledTurnError`, naming the line.
  public static func read(path: String) throws(LabelledTurnError) -> [LabelledTurn] {
    guard let data = FileManager.default.contents(atPath: path) else { throw .cannotRead(path: path) }
    var turns: [LabelledTurn] = []
    let decoder = JSONDecoder()
    for (index, line) in data.split(separator: 10, omittingEmptySubsequences: false).enumerated()
    where !line.isEmpty {
      do { turns.append(try decoder.decode(LabelledTurn.self, from: Data(line))) } catch {
        throw .badLine(path: path, line: index + 1)
      }
    }
    return turns
  }
}

/// Why turns could not be read.
public enum LabelledTurnError: Error, Equatable, CustomStringConvertible {
  case cannotRead(path: String)
  case badLine(path: String, line: Int)
  case noExamples(path: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .cannotRead(let path): "cannot read \(path); check the path and its permissions"
    case .badLine(let path, let line):
      "\(path):\(line) is no turn; each line is a JSON object with group, message, passages and helps"
    case .noExamples(let path):
      "\(path) has too few turns with context that helps, or too few with context that does not"
    }
  }
}
