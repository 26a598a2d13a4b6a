import DuetDocuments
import Testing

@Suite struct ReaderTests {
  @Test func plainTextSplitsAtBlankLinesAndKeepsLineNumbers() throws {
    let document = try read("One\ntwo\n\n \nThree\n", "notes.txt")
    #expect(document.parts == ["One\ntwo", "Three"])
    #expect(document.blocks.map(\.lines) == [1...2, 5...5])
  }

  @Test(arguments: ["utf8", "utf16le", "utf16be", "windows1252"])
  func encodingsGiveTheSameText(encoding: String) throws {
    let text = "Grüße €"
    let bytes: [UInt8] =
      switch encoding {
      case "utf8": [0xEF, 0xBB, 0xBF] + Array(text.utf8)
      case "utf16le": [0xFF, 0xFE] + text.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
      case "utf16be": [0xFE, 0xFF] + text.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
      default: [0x47, 0x72, 0xFC, 0xDF, 0x65, 0x20, 0x80]
      }
    #expect(try DocumentReader().document(bytes, path: "a.txt").parts == [text])
  }

  @Test func lineEndsOfAllSystemsCountOnce() throws {
    let document = try read("one\r\n\r\ntwo\r\rthree", "a.txt")
    #expect(document.parts == ["one", "two", "three"])
    #expect(document.blocks.map(\.lines.lowerBound) == [1, 3, 5])
  }

  @Test func binariesAreRefused() throws {
    #expect(throws: ReadError.binary) { try read("text\0text", "a.txt") }
    #expect(throws: ReadError.binary) { try read(String(repeating: "\u{1}", count: 80), "a") }
    #expect(throws: ReadError.binary) { try read("any", "photo.JPG") }
    #expect(throws: ReadError.empty) { try read(" \n\n ", "a.txt") }
  }

  @Test func markdownFindsHeadingsFencesTablesAndTitle() throws {
    let text = """
      ---
      title: "The guide"
      ---
      # Set-up #
      Install it.

      Use
      ---

      ```sh
      # no heading

      run
      ```
      | a | b |
      |---|---|
      | 1 | 2 |
      ####### seven
      """
    let document = try read(text, "guide.md")
    #expect(document.title == "The guide")
    let kinds = document.blocks.map(\.kind)
    #expect(kinds == [.lines, .heading(1), .paragraph, .heading(2), .lines, .table, .paragraph])
    #expect(document.blocks.map(\.heading).filter { !$0.isEmpty } == ["Set-up", "Use"])
    #expect(document.blocks.map(\.lines) == [1...3, 4...4, 5...5, 7...8, 10...14, 15...17, 18...18])
  }

  @Test func htmlKeepsBlocksAndDropsScripts() throws {
    let html = """
      <!DOCTYPE html><html><head><title>Caf&eacute; &amp; bar</title>
      <style>p { color: red }</style><script>if (a < b) document.write("<p>no</p>")</script></head>
      <body><!-- <p>hidden</p> --><h1>Menu</h1>
      <p>Tea &#8364;2<br>Milk &lt;warm&gt; &unknown; 3 < 4</p>
      <ul><li>one<li>two</ul><table><tr><th>Day</th><th>Cake</th></tr><tr><td>Mon</td><td><p>Plum</p></td></tr></table>
      <pre>
      a
        b</pre>
      <P CLASS="x>y">Last
      """
    let document = try read(html, "menu.html")
    #expect(document.title == "Café & bar")
    #expect(
      document.parts == [
        "Menu", "Tea €2\nMilk <warm> &unknown; 3 < 4", "- one\n- two", "Day | Cake\nMon | Plum", "a\n  b",
        "Last",
      ])
    #expect(
      document.blocks.map(\.kind) == [.heading(1), .paragraph, .paragraph, .table, .lines, .paragraph])
    #expect(document.blocks.map(\.lines.lowerBound) == [3, 4, 5, 5, 7, 9])
  }

  @Test func htmlNamesAnEncodingThatItCannotRead() throws {
    let bytes = Array("<meta charset=\"Shift_JIS\"><p>".utf8) + [0x93, 0xFA, 0x96, 0x7B]
    #expect(throws: ReadError.encoding(name: "shift_jis")) {
      try DocumentReader().document(bytes, path: "a.html")
    }
  }

  @Test func docxGivesHeadingsTablesAndTitle() throws {
    let document = try DocumentReader().document(try fixture("apiary.docx"), path: "apiary.docx")
    #expect(document.title == "The apiary")
    #expect(
      document.parts == [
        "Bees & honey", "A hive holds forty thousand bees.", "Kept. Once.", "Harvest",
        "Month | Kilograms\nMay | 12\nJune | 31", "First\nsecond…",
      ])
    #expect(
      document.blocks.map(\.kind) == [.heading(1), .paragraph, .paragraph, .heading(2), .table, .paragraph])
    #expect(document.blocks.map(\.lines.lowerBound) == [1, 2, 3, 4, 5, 11])
  }

  @Test func docxWithoutItsPartsIsDamaged() {
    let archive = storedArchive([("other.xml", [])])
    #expect(throws: ReadError.damaged(format: "DOCX", problem: "has no word/document.xml")) {
      try DocumentReader().document(archive, path: "a.docx")
    }
  }

  @Test func pdfPagesComeFromTheExtractor() throws {
    let reader = DocumentReader(pdfText: { _ in "First page.\n\nMore.\n\u{0C}Second page.\n\u{0C}" })
    let document = try reader.document(Array("%PDF-1.7".utf8), path: "a.pdf")
    #expect(document.parts == ["First page.", "More.", "Second page."])
    #expect(document.blocks.map(\.page) == [1, 1, 2])
    #expect(throws: ReadError.noPDFExtractor) { try DocumentReader().document([], path: "a.pdf") }
    let scans = DocumentReader(pdfText: { _ in "\u{0C}\u{0C}" })
    #expect(throws: ReadError.scan) { try scans.document(Array("%PDF-1.7".utf8), path: "a.pdf") }
  }

  @Test func unknownExtensionsAreSniffed() throws {
    #expect(try read("plain words", "LICENSE").parts == ["plain words"])
    #expect(try read("<!doctype HTML><p>words", "page").parts == ["words"])
    #expect(try read("  indented: yes", "a.yaml").parts == ["  indented: yes"])
  }

  @Test func errorsNameTheRemedyInOneLine() {
    let all: [ReadError] = [
      .missing, .notAFile, .unreadable, .tooLarge(bytes: 2, limit: 1), .binary, .encoding(name: "x"),
      .damaged(format: "ZIP", problem: "ends"), .bomb(limit: 1), .noPDFExtractor, .extraction(problem: "x"),
      .empty, .scan,
    ]
    for error in all { #expect(!error.description.contains("\n")) }
  }
}
