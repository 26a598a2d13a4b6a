/// A place in a template, both counted from 1; columns are code points.
public struct TemplatePosition: Equatable, Sendable, CustomStringConvertible {
  /// The line, where `\n`, `\r\n` and `\r` end one.
  public var line: Int
  /// The code point within the line.
  public var column: Int

  package init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  /// Such as `line 3, column 14`.
  public var description: String { "line \(line), column \(column)" }
}

/// What a hostile or runaway template ran into.
public enum TemplateLimit: Equatable, Sendable, CustomStringConvertible {
  /// Statements, operations and bytes touched.
  case steps
  /// Bytes of a single string or of the output.
  case textBytes
  /// Calls, loops and expressions inside of one another.
  case depth
  /// Lists and dictionaries inside of one another.
  case valueDepth
  /// Elements of a range.
  case rangeLength

  /// The rest of a sentence about the template.
  public var description: String {
    switch self {
    case .steps: "takes too many steps"
    case .textBytes: "makes a text that is too long"
    case .depth: "nests calls or expressions too deeply"
    case .valueDepth: "nests lists or dictionaries too deeply"
    case .rangeLength: "makes a range of more than \(TemplateLimits.rangeLength) numbers"
    }
  }
}

/// Why a chat template could not be parsed or rendered.
public enum TemplateError: Error, Equatable, CustomStringConvertible {
  case syntax(TemplatePosition, problem: String)
  /// Valid Jinja that is outside of the supported subset.
  case unsupported(TemplatePosition, feature: String)
  case evaluation(TemplatePosition, problem: String)
  /// The template itself refused the conversation, with `raise_exception`.
  case raised(TemplatePosition, message: String)
  case limit(TemplatePosition, TemplateLimit)

  /// Where in the template.
  public var position: TemplatePosition {
    switch self {
    case .syntax(let position, _), .unsupported(let position, _), .evaluation(let position, _),
      .raised(let position, _), .limit(let position, _):
      position
    }
  }

  /// One line: what is wrong, where, what to do.
  public var description: String {
    switch self {
    case .syntax(let position, let problem):
      "chat template, \(position): \(problem); correct the template"
    case .unsupported(let position, let feature):
      "chat template, \(position): \(feature) is not supported; docs/templates.md lists what is"
    case .evaluation(let position, let problem):
      "chat template, \(position): \(problem); check the messages and variables that it is given"
    case .raised(let position, let message):
      "the chat template refuses the conversation (\(position)): \(message)"
    case .limit(let position, let limit):
      "chat template, \(position): it \(limit); use another template"
    }
  }
}

/// Bounds on what one rendering may use.
package struct TemplateLimits: Sendable {
  package var steps = 10_000_000
  package var textBytes = 64 << 20
  /// Statements and expressions inside of one another, over all active calls.
  package var depth = 250

  /// As in Jinja's sandbox.
  package static let rangeLength = 100_000
  /// Levels of lists and dictionaries, so that freeing, comparing and printing them is bounded.
  package static let valueDepth = 100
  /// Blocks and parentheses inside of one another in the source.
  package static let sourceDepth = 60

  package init() {}
}

/// A failure inside of an operation, which does not know its place in the template.
enum TemplateProblem: Error {
  case evaluation(String)
  case unsupported(String)
  case raised(String)
  case limit(TemplateLimit)

  func error(at position: TemplatePosition) -> TemplateError {
    switch self {
    case .evaluation(let problem): .evaluation(position, problem: problem)
    case .unsupported(let feature): .unsupported(position, feature: feature)
    case .raised(let message): .raised(position, message: message)
    case .limit(let limit): .limit(position, limit)
    }
  }
}

/// A template's text with `\n` as its one line ending, without the last one.
struct TemplateSource: Sendable {
  let utf8: [UInt8]

  init(_ text: String) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count)
    var previous: UInt8 = 0
    for byte in text.utf8 {
      if byte == 0x0D { bytes.append(0x0A) } else if byte != 0x0A || previous != 0x0D { bytes.append(byte) }
      previous = byte
    }
    if bytes.last == 0x0A { bytes.removeLast() }
    utf8 = bytes
  }

  /// The line and column of a byte. O(n).
  func position(_ offset: Int) -> TemplatePosition {
    var position = TemplatePosition(line: 1, column: 1)
    for byte in utf8.prefix(offset) {
      if byte == 0x0A {
        position.line += 1
        position.column = 1
      } else if byte & 0xC0 != 0x80 {
        position.column += 1
      }
    }
    return position
  }
}
