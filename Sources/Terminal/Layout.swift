/// Where text and cursor are on a terminal that wraps lines.
///
/// A text of more rows than the terminal has is shown in part: the rows around the cursor.
package struct Layout: Equatable, Sendable {
  /// What to print over what was there, with line breaks that raw mode understands.
  package private(set) var output = ""
  /// Where the cursor belongs, from the first row that is shown.
  package private(set) var cursorRow = 0
  package private(set) var cursorColumn = 0
  /// The last row that is shown.
  package var row: Int { shown.count - 1 }
  private var shown: Range<Int> = 0..<1
  private var rows = [Row()]
  private var column = 0
  private let width: Int

  private struct Row: Equatable {
    var text = ""
    /// Whether the terminal goes on in the next row by itself.
    var isFull = false
  }

  /// Lays out a prompt and the line behind it, in at most `height` rows. O(n).
  package init(prompt: String, promptColumns: Int, line: LineBuffer, width: Int, height: Int = .max) {
    self.width = max(4, width)
    rows[0].text = prompt
    column = promptColumns
    for (index, character) in line.characters.enumerated() {
      if index == line.cursor { mark() }
      append(character)
    }
    if line.cursor == line.characters.count { mark() }
    show(atMost: max(1, height))
  }

  private mutating func mark() {
    cursorRow = rows.count - 1
    cursorColumn = column
  }

  private mutating func append(_ character: Character) {
    if character.isNewline { return endRow(isFull: false) }
    let text = character == "\t" ? "    " : String(character)
    let size = character == "\t" ? 4 : columns(character)
    if column + size > width { endRow(isFull: false) }
    rows[rows.count - 1].text += text
    column += size
    if column == width { endRow(isFull: true) }
  }

  private mutating func endRow(isFull: Bool) {
    rows[rows.count - 1].isFull = isFull
    rows.append(Row())
    column = 0
  }

  /// Keeps the cursor in the middle, unless an end of the text is nearer.
  private mutating func show(atMost height: Int) {
    let first = max(0, min(cursorRow - height / 2, rows.count - height))
    shown = first..<first + min(height, rows.count)
    cursorRow -= first
    for index in shown {
      let isLast = index + 1 == shown.upperBound
      output += rows[index].text
      // Behind the last character of a full row these would erase it.
      if !rows[index].isFull { output += isLast ? "\u{1B}[J" : "\u{1B}[K" }
      // A full row: terminals put off the wrap until more text comes.
      if !isLast, !rows[index].isFull || rows[index + 1].text.isEmpty { output += "\r\n" }
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
