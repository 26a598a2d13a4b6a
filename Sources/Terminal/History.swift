/// The lines that were entered before, oldest first, and the walk through them.
package struct History: Equatable, Sendable {
  /// The most lines that are kept.
  package static let limit = 1_000
  package private(set) var entries: [String] = []
  private var position = 0
  /// What was being typed when the walk began.
  private var draft = ""

  /// Reads what `encoded` wrote.
  package init(decoding text: String = "") {
    entries = text.split(separator: "\n").suffix(Self.limit).map { Self.unescaped($0) }
    position = entries.count
  }

  /// One line per entry; line breaks and backslashes within are escaped.
  package var encoded: String { entries.map { Self.escaped($0) + "\n" }.joined() }

  /// Remembers a line, unless it is blank or the same as the last, and ends the walk.
  package mutating func append(_ line: String) {
    if !line.allSatisfy(\.isWhitespace), line != entries.last {
      entries = Array((entries + [line]).suffix(Self.limit))
    }
    endWalk()
  }

  /// Back to the line that is being typed.
  package mutating func endWalk() {
    position = entries.count
    draft = ""
  }

  /// The line before; nil at the oldest. `current` is kept for the way back.
  package mutating func previous(_ current: String) -> String? {
    guard position > 0 else { return nil }
    if position == entries.count { draft = current }
    position -= 1
    return entries[position]
  }

  /// The line after, at last the one that was being typed; nil there.
  package mutating func next() -> String? {
    guard position < entries.count else { return nil }
    position += 1
    return position == entries.count ? draft : entries[position]
  }

  private static func escaped(_ line: String) -> String {
    line.reduce(into: "") { $0 += $1 == "\\" ? "\\\\" : $1.isNewline ? "\\n" : String($1) }
  }

  private static func unescaped(_ line: Substring) -> String {
    var result = "", escape = false
    for character in line {
      if escape {
        result.append(character == "n" ? "\n" : character)
        escape = false
      } else if character == "\\" {
        escape = true
      } else {
        result.append(character)
      }
    }
    return result
  }
}
