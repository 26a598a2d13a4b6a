/// Where text and cursor are on a terminal that wraps lines.
package struct Layout: Equatable, Sendable {
  /// What to print, with line breaks that raw mode understands.
  package private(set) var output = ""
  /// Where the cursor belongs, from the start of the prompt.
  package private(set) var cursorRow = 0
  package private(set) var cursorColumn = 0
  /// Where the text ends.
  package private(set) var row = 0
  private var column = 0
  private let width: Int

  /// Lays out a prompt and the line behind it. O(n).
  package init(prompt: String, promptColumns: Int, line: LineBuffer, width: Int) {
    self.width = max(4, width)
    output = prompt
    column = promptColumns
    for (index, character) in line.characters.enumerated() {
      if index == line.cursor { mark() }
      append(character)
    }
    if line.cursor == line.characters.count { mark() }
    // A full last line: terminals put off the wrap until more text comes.
    if column == 0, row > 0, line.characters.last != "\n" { output += "\r\n" }
  }

  private mutating func mark() {
    cursorRow = row
    cursorColumn = column
  }

  private mutating func append(_ character: Character) {
    if character.isNewline {
      output += "\u{1B}[K\r\n"
      row += 1
      column = 0
      return
    }
    let text = character == "\t" ? "    " : String(character)
    let size = character == "\t" ? 4 : columns(character)
    if column + size > width {
      output += "\r\n"
      row += 1
      column = 0
    }
    output += text
    column += size
    if column == width {
      row += 1
      column = 0
    }
  }
}

/// Columns that a terminal gives a character: 2 for the wide ones of East Asia and for emoji.
package func columns(_ character: Character) -> Int {
  guard let scalar = character.unicodeScalars.first else { return 0 }
  if scalar.properties.isEmojiPresentation { return 2 }
  if character.unicodeScalars.contains(where: { $0.value == 0xFE0F }) { return 2 }
  switch scalar.value {
  case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF,
    0xA000...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
    0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF, 0x20000...0x3FFFD:
    return 2
  default:
    return scalar.properties.generalCategory == .nonspacingMark ? 0 : 1
  }
}

/// Columns of a text without line breaks.
package func columns(_ text: String) -> Int { text.reduce(0) { $0 + columns($1) } }
