import DuetDocuments
import Testing

@Suite struct ChunkerTests {
  private let small = ChunkOptions(targetBytes: 100, maximumBytes: 150)

  @Test func chunksKeepTheDocumentsTextInOrderAndUnderTheLimit() throws {
    var random = SeededGenerator(state: 5)
    for _ in 0..<200 {
      let words = (0..<Int.random(in: 1...400, using: &random)).map { _ in
        let word = String(repeating: "wé", count: Int.random(in: 1...8, using: &random))
        return word
          + ([" ", " ", " ", ". ", "\n", "\n\n", "\n# ", "\n```\n", "。"].randomElement(using: &random) ?? " ")
      }
      let text = words.joined()
      let chunks = Chunker.chunks(try read(text, "a.md"), options: small)
      let visible = { (text: String) in String(text.filter { !$0.isWhitespace }) }
      #expect(visible(chunks.map(\.text).joined()) == visible(text))
      for chunk in chunks {
        #expect(chunk.text.utf8.count <= 150)
        #expect(text.contains(chunk.text))
      }
    }
  }

  @Test func noWordIsCut() throws {
    let words = (0..<500).map { "word\($0)" }
    let chunks = Chunker.chunks(try read(words.joined(separator: " "), "a.txt"), options: small)
    #expect(chunks.flatMap { $0.text.split(separator: " ").map(String.init) } == words)
    #expect(chunks.count < 60)
  }

  @Test func linesAreThoseOfTheFile() throws {
    let lines = (1...300).map { $0 % 7 == 0 ? "" : "line \($0) has some words. " }
    for name in ["a.txt", "a.md", "a.swift"] {
      for chunk in Chunker.chunks(try read(lines.joined(separator: "\n"), name), options: small) {
        let cited = lines[(chunk.lines.lowerBound - 1)..<chunk.lines.upperBound].joined(separator: "\n")
        #expect(cited.contains(chunk.text))
        #expect(
          chunk.text.split(separator: "\n", omittingEmptySubsequences: false).count == chunk.lines.count)
      }
    }
  }

  @Test func chunksKnowTheHeadingsAboveThem() throws {
    let filler = String(repeating: "Some words here. ", count: 12)
    let text = "# A\n\(filler)\n## B\n\(filler)\n### C\n\(filler)\n## D\n\(filler)\n"
    let chunks = Chunker.chunks(try read(text, "a.md"), options: small)
    let paths = chunks.map { $0.headings.joined(separator: ">") }
    #expect(Set(paths) == ["A", "A>B", "A>B>C", "A>D"])
    #expect(chunks.filter { $0.text.hasPrefix("#") }.count == 4)
  }

  @Test func aHeadingStaysWithItsText() throws {
    let text =
      "First paragraph here.\n\n# Heading\n\nBelow it. \(String(repeating: "More words. ", count: 6))"
    let chunks = Chunker.chunks(try read(text, "a.md"), options: small)
    #expect(chunks.map(\.text).contains { $0.hasPrefix("# Heading\n\nBelow it.") })
  }

  @Test func shortSectionsShareAChunk() throws {
    let text = "# A\nx\n# B\ny\n# C\nz\n"
    #expect(Chunker.chunks(try read(text, "a.md"), options: ChunkOptions()).count == 1)
  }

  @Test func tablesAndCodeStayWholeIfTheyFit() throws {
    let table = (0..<8).map { "| cell \($0) |" }.joined(separator: "\n")
    let text = "Words before the table. And more of them come.\n\n\(table)\n\nWords after."
    let chunks = Chunker.chunks(try read(text, "a.md"), options: small)
    #expect(chunks.contains { $0.text.contains(table) })
  }

  @Test func pagesAreNotMixed() throws {
    let reader = DocumentReader(pdfText: { _ in "One.\u{0C}Two.\u{0C}Three." })
    let chunks = Chunker.chunks(try reader.document(Array("%PDF-".utf8), path: "a.pdf"))
    #expect(chunks.map(\.page) == [1, 2, 3])
  }
}
