import DuetRuntime

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// One row of training data.
public struct TrainingRow: Sendable, Equatable {
  /// What is said in it.
  public enum Content: Sendable, Equatable {
    /// A question, the text that it is answered from (or none), and the answer.
    case question(instruction: String, context: String, response: String)
    /// A conversation; every assistant turn is a response.
    case chat([ChatMessage])
  }

  /// As the file names it, or else the line's number.
  public let id: String
  /// What is said.
  public let content: Content
  /// The line in its file, from 1.
  public let line: Int
  /// Whether the response says that the context has no answer.
  public let refuses: Bool

  /// The context, empty where there is none.
  var context: String {
    guard case .question(_, let context, _) = content else { return "" }
    return context
  }
}

/// Counts of what was left out, by reason.
public struct Skips: Sendable, Equatable, CustomStringConvertible {
  /// How often for each reason.
  public private(set) var counts: [String: Int] = [:]

  /// Nothing left out.
  public init() {}

  mutating func add(_ reason: String, _ count: Int = 1) { counts[reason, default: 0] += count }

  mutating func add(_ other: Skips) {
    for (reason, count) in other.counts { add(reason, count) }
  }

  /// All of them.
  public var total: Int { counts.values.reduce(0, +) }

  /// Such as `3 empty response, 1 invalid JSON`.
  public var description: String {
    counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
  }
}

/// Rows of a JSON-lines file: `{"id", "instruction", "context", "response"}` or `{"messages"}`.
/// Lines that cannot be trained on are counted and left out; unknown fields are ignored.
public struct RowFile: Sendable {
  /// What stands for the response of a row that says it cannot be answered.
  public static let defaultRefusal = "The text does not say."

  /// The rows in the order of the file.
  public let rows: [TrainingRow]
  /// Lines that were left out.
  public let skips: Skips

  /// Reads a file. O(n).
  ///
  /// - Parameters:
  ///   - path: of the file.
  ///   - refusal: the response of rows with `"answerable": false`.
  /// - Throws: `TrainingError.unreadableRows`.
  public init(path: String, refusal: String = RowFile.defaultRefusal) throws(TrainingError) {
    let bytes: [UInt8]
    do {
      let file = try MappedFile(path: path)
      bytes = file.bytes(0..<file.count)
    } catch {
      throw .unreadableRows(path: path, problem: error.description)
    }
    var rows: [TrainingRow] = []
    var skips = Skips()
    let lines = bytes.split(separator: 0x0a, omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() where !line.allSatisfy({ $0 == 0x20 || (9...13).contains($0) }) {
      do throws(RowProblem) {
        rows.append(try RowParser(refusal: refusal).row(line, number: index + 1))
      } catch {
        skips.add(error.reason)
      }
    }
    self.rows = rows
    self.skips = skips
  }
}

/// Why a line cannot be trained on.
private struct RowProblem: Error {
  let reason: String
}

private struct RowParser {
  let refusal: String

  func row(_ line: ArraySlice<UInt8>, number: Int) throws(RowProblem) -> TrainingRow {
    let record = try record(line)
    let content: TrainingRow.Content
    if let messages = record.messages { content = try chat(messages) } else { content = try question(record) }
    let refuses = record.answerable == false && trimmed(record.response).isEmpty
    return TrainingRow(id: record.id ?? "\(number)", content: content, line: number, refuses: refuses)
  }

  private func record(_ line: ArraySlice<UInt8>) throws(RowProblem) -> Record {
    do {
      return try JSONDecoder().decode(Record.self, from: Data(line))
    } catch {
      guard let problem = error as? RowProblem else { throw RowProblem(reason: "invalid JSON") }
      throw problem
    }
  }

  private func question(_ record: Record) throws(RowProblem) -> TrainingRow.Content {
    var response = trimmed(record.response)
    if response.isEmpty, record.answerable == false { response = refusal }
    guard !response.isEmpty else { throw RowProblem(reason: "empty response") }
    let instruction = trimmed(record.instruction)
    guard !instruction.isEmpty else { throw RowProblem(reason: "no instruction") }
    return .question(instruction: instruction, context: trimmed(record.context), response: response)
  }

  private func chat(_ turns: [Record.Turn]) throws(RowProblem) -> TrainingRow.Content {
    var messages: [ChatMessage] = []
    for turn in turns {
      guard let role = ChatMessage.Role(rawValue: trimmed(turn.role)) else {
        throw RowProblem(reason: "unknown role")
      }
      messages.append(ChatMessage(role: role, content: trimmed(turn.content)))
    }
    guard messages.contains(where: { $0.role == .assistant }) else {
      throw RowProblem(reason: "no assistant turn")
    }
    guard !messages.contains(where: { $0.role == .assistant && $0.content.isEmpty }) else {
      throw RowProblem(reason: "empty response")
    }
    return .chat(messages)
  }

  private func trimmed(_ text: String?) -> String {
    let whole = (text ?? "")[...]
    let start = whole.drop { $0.isWhitespace }
    guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
    return String(start[...last])
  }
}

/// The fields of a line that are read.
private struct Record: Decodable {
  struct Turn: Decodable {
    let role: String?
    let content: String?
  }

  private enum Keys: String, CodingKey { case id, instruction, context, response, answerable, messages }

  let id: String?
  let instruction: String?
  let context: String?
  let response: String?
  let answerable: Bool?
  let messages: [Turn]?

  init(from decoder: any Swift.Decoder) throws {
    guard let fields = try? decoder.container(keyedBy: Keys.self) else {
      throw RowProblem(reason: "no JSON object")
    }
    func text(_ key: Keys) throws(RowProblem) -> String? {
      do { return try fields.decodeIfPresent(String.self, forKey: key) } catch {
        throw RowProblem(reason: "\(key.rawValue) is no text")
      }
    }
    id =
      (try? fields.decode(String.self, forKey: .id))
      ?? (try? fields.decode(Int.self, forKey: .id)).map(String.init)
    instruction = try text(.instruction)
    context = try text(.context)
    response = try text(.response)
    answerable = try? fields.decode(Bool.self, forKey: .answerable)
    guard fields.contains(.messages), (try? fields.decodeNil(forKey: .messages)) != true else {
      messages = nil
      return
    }
    do { messages = try fields.decode([Turn].self, forKey: .messages) } catch {
      throw RowProblem(reason: "messages is no list of objects")
    }
  }
}
