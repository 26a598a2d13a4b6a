import DuetTerminal
import Testing

@Suite struct LayoutTests {
  private func layout(_ text: String, width: Int, height: Int = .max, left: Int = 0) -> Layout {
    var line = LineBuffer(text)
    for _ in 0..<left { line.moveLeft() }
    return Layout(prompt: "> ", promptColumns: 2, line: line, width: width, height: height)
  }

  @Test func placesTheCursorBehindTheText() {
    let layout = layout("abc", width: 10)
    #expect((layout.cursorRow, layout.cursorColumn, layout.row) == (0, 5, 0))
  }

  @Test func wrapsAFullLineAtOnce() {
    let layout = layout("abcdefgh", width: 10)
    #expect((layout.cursorRow, layout.cursorColumn, layout.row) == (1, 0, 1))
    #expect(layout.output == "> abcdefgh\r\n\u{1B}[J")
  }

  @Test func movesAWideCharacterThatDoesNotFitToTheNextRow() {
    let layout = layout("abcdefg漢", width: 10)
    #expect((layout.cursorRow, layout.cursorColumn) == (1, 2))
  }

  @Test func findsTheCursorAmongSeveralLines() {
    let layout = layout("one\ntwo\nthree", width: 40, left: 7)
    #expect((layout.cursorRow, layout.cursorColumn, layout.row) == (1, 2, 2))
  }

  @Test func showsTheEndOfATextThatIsHigherThanTheTerminal() {
    let layout = layout("1\n2\n3\n4\n5\n6", width: 40, height: 4)
    #expect(layout.output == "3\u{1B}[K\r\n4\u{1B}[K\r\n5\u{1B}[K\r\n6\u{1B}[J")
    #expect((layout.cursorRow, layout.cursorColumn, layout.row) == (3, 1, 3))
  }

  @Test(arguments: 0...11) func showsTheRowOfTheCursor(left: Int) {
    let layout = layout("1\n2\n3\n4\n5\n6", width: 40, height: 4, left: left)
    let text = layout.output.replacing("\u{1B}[K", with: "").replacing("\u{1B}[J", with: "")
    let rows = text.split(separator: "\r\n", omittingEmptySubsequences: false)
    #expect(rows.count == 4)
    #expect(layout.row == 3)
    #expect(rows.indices.contains(layout.cursorRow))
    #expect(rows[layout.cursorRow].last == Character("\(6 - left / 2)"))
  }
}

@Suite struct HistoryTests {
  @Test func comesBackToTheDraft() {
    var history = History(decoding: "one\ntwo\n")
    #expect(history.previous("draft") == "two")
    #expect(history.previous("two") == "one")
    #expect(history.previous("one") == nil)
    #expect(history.next() == "two")
    #expect(history.next() == "draft")
    #expect(history.next() == nil)
  }

  @Test func survivesTheFile() {
    var history = History()
    for line in ["plain", "two\nlines", #"back\slash and \n"#, "plain"] { history.append(line) }
    #expect(History(decoding: history.encoded) == history)
  }

  @Test func leavesOutBlanksAndRepeats() {
    var history = History()
    for line in ["a", "a", "  ", "b"] { history.append(line) }
    #expect(history.entries == ["a", "b"])
  }

  @Test func keepsTheNewestOnly() {
    var history = History()
    for number in 0..<History.limit + 5 { history.append("\(number)") }
    #expect(history.entries.count == History.limit)
    #expect(history.entries.first == "5")
  }
}

@Suite struct FiguresTests {
  @Test(arguments: [
    (0.0, 2, "0.00"), (-0.004, 2, "0.00"), (1.04, 1, "1.0"), (9.96, 1, "10.0"), (-2.5, 1, "-2.5"),
    (41.7, 0, "42"), (0.05, 2, "0.05"), (.infinity, 1, "inf"),
  ]) func roundsToDigits(_ value: Double, _ digits: Int, _ expected: String) {
    #expect(Figures.fixed(value, digits) == expected)
  }

  @Test(arguments: [
    (0, "0 B"), (999, "999 B"), (98_362_432, "98.4 MB"), (999_999, "1.00 MB"), (.max, "9.22 EB"),
  ]) func writesBytes(_ count: Int, _ expected: String) { #expect(Figures.bytes(count) == expected) }

  @Test(arguments: [
    (0, "0"), (999, "999"), (1_000, "1,000"), (-134_515_008, "-134,515,008"),
    (.min, "-9,223,372,036,854,775,808"),
  ]) func groupsThousands(_ count: Int, _ expected: String) { #expect(Figures.grouped(count) == expected) }

  @Test(arguments: [
    (0.2, "1 s"), (59.0, "59 s"), (64.5, "1:05"), (7_210.0, "2:00:10"), (.infinity, "?"), (-3.0, "0 s"),
  ]) func writesDurations(_ seconds: Double, _ expected: String) {
    #expect(Figures.duration(seconds) == expected)
  }
}

@Suite struct TableTests {
  @Test func alignsColumnsByWhatIsSeen() {
    var table = Table([("name", .left), ("size", .right)])
    table.append(["漢字", "7"])
    table.append(["a"])
    #expect(table.lines == ["name  size", "漢字     7", "a"])
  }
}

@Suite struct ProgressTests {
  private func line(_ done: Int, _ total: Int, _ elapsed: Double) -> ProgressLine {
    ProgressLine(label: "reading", unit: "tokens", done: done, total: total, elapsed: elapsed)
  }

  @Test func showsOnlyWhatTakesLong() {
    #expect(!ProgressLine.isWorthShowing(done: 50, total: 100, elapsed: 0.5))
    #expect(ProgressLine.isWorthShowing(done: 10, total: 100, elapsed: 0.5))
    #expect(!ProgressLine.isWorthShowing(done: 0, total: 100, elapsed: 1))
    #expect(ProgressLine.isWorthShowing(done: 0, total: 100, elapsed: 2))
  }

  @Test func saysRateAndTimeLeft() {
    let text = line(250, 1_000, 5).text(width: 80)
    #expect(text.hasSuffix("25%  50.0 tokens/s  15 s left"))
  }

  @Test(arguments: [1, 8, 20, 40, 60, 80, 200]) func fitsItsTerminal(_ width: Int) {
    #expect(columns(line(999, 1_000, 100).text(width: width)) < width)
  }

  @Test func survivesFiguresThatMakeNoSense() {
    #expect(line(5, 0, 0).text(width: 80).contains("0%"))
    #expect(line(50, 10, 1).text(width: 80).contains("100%"))
  }
}
