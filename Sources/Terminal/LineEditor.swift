/// Reads lines from a terminal, with editing and history.
package final class LineEditor {
  /// How reading a line ended.
  package enum Entry: Equatable, Sendable {
    case line(String)
    /// Ctrl-C; whether there was text to throw away.
    case interrupted(hadText: Bool)
    /// Ctrl-D, or the end of the input.
    case end
  }

  package private(set) var history: History
  private let stream: StandardStream
  private let style: Style
  private var line = LineBuffer()
  private var decoder = KeyDecoder()
  /// Bytes that came behind the end of the last line.
  private var typedAhead: ArraySlice<UInt8> = []
  /// The cursor's row at the last drawing, from the start of the prompt.
  private var row = 0

  /// - Parameter stream: where the line is shown.
  package init(history: History = History(), stream: StandardStream = .output) {
    self.history = history
    self.stream = stream
    style = Style(stream)
  }

  /// Reads one entry. A line that ends with a backslash goes on in the next one.
  package func read(prompt: String) -> Entry {
    var text = ""
    while true {
      let entry = readLine(prompt: text.isEmpty ? prompt : "… ")
      guard case .line(let part) = entry else { return entry }
      guard part.hasSuffix("\\") else {
        history.append(text + part)
        return .line(text + part)
      }
      text += part.dropLast() + "\n"
    }
  }

  private func readLine(prompt: String) -> Entry {
    guard RawMode.enter() else { return plainLine(prompt) }
    defer { RawMode.leave() }
    line = LineBuffer()
    row = 0
    show("\u{1B}[?2004h")
    draw(prompt)
    while true {
      if typedAhead.isEmpty { typedAhead = StandardStream.input.read()[...] }
      guard let byte = typedAhead.popFirst() else { return .end }
      guard let key = decoder.decode(byte) else { continue }
      if let entry = handle(key, prompt) { return entry }
      // A paste without brackets comes at once: it is drawn once.
      if typedAhead.isEmpty { draw(prompt) }
    }
  }

  /// Where the terminal has no raw mode.
  private func plainLine(_ prompt: String) -> Entry {
    show(prompt)
    return Swift.readLine().map { .line($0) } ?? .end
  }

  private func handle(_ key: Key, _ prompt: String) -> Entry? {
    switch key {
    case .enter: return finish(prompt, .line(line.text))
    case .interrupt: return finish(prompt, .interrupted(hadText: !line.isEmpty))
    case .endOfInput:
      if line.isEmpty { return finish(prompt, .end) }
      line.deleteForward()
    case .up: history.previous(line.text).map { line = LineBuffer($0) }
    case .down: history.next().map { line = LineBuffer($0) }
    case .clearScreen:
      show("\u{1B}[H\u{1B}[2J")
      row = 0
    case .suspend:
      finishLine(prompt)
      RawMode.suspend()
      _ = RawMode.enter()
      show("\u{1B}[?2004h")
    default: edit(key)
    }
    return nil
  }

  private func edit(_ key: Key) {
    switch key {
    case .text(let text), .paste(let text): line.insert(text)
    case .backspace: line.deleteBackward()
    case .delete: line.deleteForward()
    case .left: line.moveLeft()
    case .right: line.moveRight()
    case .home: line.moveToStart()
    case .end: line.moveToEnd()
    case .wordLeft: line.moveWordLeft()
    case .wordRight: line.moveWordRight()
    case .deleteToEnd: line.deleteToEnd()
    case .deleteToStart: line.deleteToStart()
    case .deleteWord: line.deleteWord()
    default: break
    }
  }

  private func finish(_ prompt: String, _ entry: Entry) -> Entry {
    finishLine(prompt)
    history.endWalk()
    return entry
  }

  /// Leaves the line as it is and goes below it.
  private func finishLine(_ prompt: String) {
    line.moveToEnd()
    draw(prompt)
    show("\r\n")
    row = 0
  }

  private func draw(_ prompt: String) {
    let layout = Layout(
      prompt: style.bold(prompt), promptColumns: columns(prompt), line: line, width: stream.width,
      height: stream.height)
    var text = row > 0 ? "\r\u{1B}[\(row)A" : "\r"
    text += layout.output
    if layout.row > layout.cursorRow { text += "\u{1B}[\(layout.row - layout.cursorRow)A" }
    text += "\r" + (layout.cursorColumn > 0 ? "\u{1B}[\(layout.cursorColumn)C" : "")
    row = layout.cursorRow
    show(text)
  }

  /// A terminal that is gone is noticed when reading.
  private func show(_ text: String) { try? stream.write(text) }
}
