import DuetDocuments
import Testing

/// Files made to break a reader: each is read or refused, in bounded time and memory.
@Suite struct HostileFileTests {
  /// Reads and cuts `bytes`; an error is as good as a result.
  private func survive(_ bytes: [UInt8], _ name: String) {
    guard let document = try? DocumentReader().document(bytes, path: name) else { return }
    for chunk in Chunker.chunks(document) { #expect(!chunk.text.isEmpty) }
  }

  private func mutate(_ original: [UInt8], name: String, rounds: Int, seed: UInt64) {
    var random = SeededGenerator(state: seed)
    for _ in 0..<rounds {
      var bytes = original
      switch Int.random(in: 0..<4, using: &random) {
      case 0: bytes.removeLast(Int.random(in: 0...bytes.count, using: &random))
      case 1:
        for _ in 0..<Int.random(in: 1...16, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] ^=
            1 << UInt8.random(in: 0..<8, using: &random)
        }
      case 2:
        let start = Int.random(in: 0..<bytes.count, using: &random)
        let value: UInt8 = [0, 0xFF, 0x7F, 0x80].randomElement(using: &random) ?? 0
        for index in start..<min(bytes.count, start + 4) { bytes[index] = value }
      default:
        let start = Int.random(in: 0..<bytes.count, using: &random)
        bytes.insert(
          contentsOf: bytes[start...].prefix(40), at: Int.random(in: 0..<bytes.count, using: &random))
      }
      survive(bytes, name)
    }
  }

  @Test func mutatedArchivesNeverTrap() throws {
    mutate(try fixture("apiary.docx"), name: "a.docx", rounds: 3_000, seed: 1)
  }

  @Test func mutatedXMLNeverTraps() {
    let xml = """
      <?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><w:document><w:body><w:p><w:pPr><w:pStyle w:val="Heading1"/>
      </w:pPr><w:r><w:t>Head &amp; &#x41;</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc>
      <w:tc/></w:tr></w:tbl><w:p><w:t><![CDATA[x]]></w:t><!-- c --></w:p></w:body></w:document>
      """
    let original = Array(xml.utf8)
    var random = SeededGenerator(state: 2)
    for _ in 0..<3_000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...8, using: &random) {
        let index = Int.random(in: 0..<bytes.count, using: &random)
        bytes[index] = Array("<>/&;\"=!-[]".utf8).randomElement(using: &random) ?? 0
      }
      survive(storedArchive([("word/document.xml", bytes)]), "a.docx")
    }
  }

  @Test func mutatedHTMLAndMarkdownNeverTrap() {
    let html =
      "<html><head><title>T&amp;</title><script>x</script></head><body><h2>H</h2><pre>\n a</pre><table><tr><td>1"
      + "<td>2</table><ul><li>é<li>&#x1F600;</ul><!-- c --><p title='a>b'>Text &lt;"
    mutate(Array(html.utf8), name: "a.html", rounds: 3_000, seed: 3)
    let markdown = "---\ntitle: t\n---\n# A\ntext\n===\n```\ncode\n```\n| a |\n|---|\n\n~~~\n\u{1F600} 中文。\n"
    mutate(Array(markdown.utf8), name: "a.md", rounds: 3_000, seed: 4)
  }

  @Test func bombsAreRefused() throws {
    let limit = (16 << 20) + 200 * (try fixture("bomb.docx").count)
    do {
      _ = try DocumentReader().document(try fixture("bomb.docx"), path: "bomb.docx")
      Issue.record("the bomb was read")
    } catch ReadError.bomb(let bound) {
      #expect(bound <= limit)
    }
  }

  @Test func nestingAndEntitiesCostNothing() throws {
    let deep = String(repeating: "<w:tbl><w:tr><w:tc>", count: 200_000)
    survive(storedArchive([("word/document.xml", Array(deep.utf8))]), "a.docx")
    survive(Array(String(repeating: "<div><table><tr><td><pre>x", count: 200_000).utf8), "a.html")
    let laughs = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><w:p><w:r><w:t>&b;</w:t></w:r></w:p>"
    let archive = storedArchive([("word/document.xml", Array(laughs.utf8))])
    #expect(try DocumentReader().document(archive, path: "a.docx").parts == ["&b;"])
  }

  @Test(arguments: [
    "<", "<!--", "<!", "</", "<a", "<a b='", "<script>", "<script><", "&", "&#", "<title>", "<pre>\n", "<li>",
    "<br>",
    "<![CDATA[", "```\n", "| ", "# ", "---\n", "-\n", "a.", "a", "word ", "\n", "\u{0C}", ". ", "中", "*_",
  ])
  func repetitionIsLinear(piece: String) {
    let text = Array(String(repeating: piece, count: 2_000_000 / piece.utf8.count).utf8)
    let clock = ContinuousClock()
    for name in ["a.html", "a.md", "a.txt", "a.swift"] {
      let elapsed = clock.measure { survive(text, name) }
      #expect(elapsed < .seconds(10), "\(name)")
    }
    let archive = storedArchive([("word/document.xml", text), ("word/styles.xml", text)])
    #expect(clock.measure { survive(archive, "a.docx") } < .seconds(10))
  }
}
