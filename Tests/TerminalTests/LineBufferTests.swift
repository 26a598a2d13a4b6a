import DuetTerminal
import Testing

@Suite struct LineBufferTests {
  @Test func insertsAndDeletesWholeCharacters() {
    var line = LineBuffer("añ👩‍👩‍👧")
    line.deleteBackward()
    #expect(line.text == "añ")
    line.moveLeft()
    line.insert("é")
    #expect(line.text == "aéñ")
    #expect(line.cursor == 2)
  }

  @Test func joinsACombiningMarkToTheCharacterBefore() {
    var line = LineBuffer("e")
    line.insert("\u{301}")
    #expect(line.characters.count == 1)
    #expect(line.cursor == 1)
    line.deleteBackward()
    #expect(line.isEmpty)
  }

  @Test func keepsTheCursorWithinWhenTheTailJoins() {
    var line = LineBuffer("x\u{1F1EA}")
    line.moveLeft()
    line.insert("\u{1F1E9}")
    #expect(line.characters.count == 2)
    line.deleteBackward()
    line.moveToEnd()
    #expect(line.cursor == line.characters.count)
  }

  @Test func staysWithinItsEnds() {
    var line = LineBuffer()
    line.moveLeft()
    line.moveRight()
    line.deleteBackward()
    line.deleteForward()
    line.deleteWord()
    line.moveWordLeft()
    line.moveWordRight()
    #expect(line == LineBuffer())
  }

  @Test func deletesWordsAndSides() {
    var line = LineBuffer("one two  three")
    line.deleteWord()
    #expect(line.text == "one two  ")
    line.deleteWord()
    #expect(line.text == "one ")
    line = LineBuffer("one two")
    line.moveWordLeft()
    line.deleteToStart()
    #expect(line.text == "two")
    #expect(line.cursor == 0)
    line.moveWordRight()
    line.insert("!")
    line.moveToStart()
    line.deleteForward()
    #expect(line.text == "wo!")
    line.deleteToEnd()
    #expect(line.isEmpty)
  }
}

@Suite struct KeyDecoderTests {
  private func keys(_ text: String) -> [Key] { keys(Array(text.utf8)) }

  private func keys(_ bytes: [UInt8]) -> [Key] {
    var decoder = KeyDecoder()
    return bytes.compactMap { decoder.decode($0) }
  }

  @Test func decodesCharactersOfEveryLength() {
    #expect(keys("aé€😀") == [.text("a"), .text("é"), .text("€"), .text("😀")])
  }

  @Test func recoversAfterBrokenUTF8() {
    #expect(keys([0xE2, 0x82, 0x61]) == [.text("a")])
    #expect(keys([0xC3, 0x0D]) == [.enter])
    #expect(keys([0x80, 0x61]) == [.text("\u{FFFD}"), .text("a")])
  }

  @Test func decodesArrowsOfBothKinds() {
    let expected: [Key] = [.up, .down, .wordLeft, .home, .end, .delete]
    #expect(keys("\u{1B}[A\u{1B}OB\u{1B}[1;5D\u{1B}[H\u{1B}[4~\u{1B}[3~") == expected)
  }

  @Test func leavesOutSequencesItDoesNotKnow() {
    #expect(keys("\u{1B}[38;5;1mx\u{1B}[99~y") == [.text("x"), .text("y")])
  }

  @Test func takesAPasteAsOneText() {
    let pasted = keys("\u{1B}[200~one\r\ntwo\u{1B}[31m\u{7}\u{1B}[201~z")
    #expect(pasted == [.paste("one\ntwo[31m"), .text("z")])
  }

  @Test func cutsAPasteThatIsTooLong() {
    var decoder = KeyDecoder()
    var key: Key?
    let bytes = Array("\u{1B}[200~".utf8) + Array(repeating: 0x61, count: 5 << 20) + Array("\u{1B}[201~".utf8)
    for byte in bytes { key = decoder.decode(byte) }
    guard case .paste(let text)? = key else { return #expect(Bool(false), "no paste") }
    #expect(text.utf8.count <= KeyDecoder.maximumPaste)
    #expect(text.allSatisfy { $0 == "a" })
  }
}

@Suite struct PrintableTests {
  @Test func removesWhatATerminalObeys() {
    #expect(printable("a\u{1B}[2Jb\u{7}\u{9B}c\td\n") == "a[2Jbc\td\n")
  }

  @Test func makesEveryLineBreakALineFeed() {
    #expect(printable("a\r\nb\rc\nd") == "a\nb\nc\nd")
  }
}
