import DuetRuntime
import Testing

@Suite struct TextAssemblerTests {
  /// What comes out when `bytes` go in as parts of `size`, one text for each part and the end.
  private func assemble(_ bytes: [UInt8], by size: Int, stops: [String] = []) -> (
    parts: [String], stopped: Bool
  ) {
    var assembler = TextAssembler(stops: stops)
    var parts: [String] = []
    for start in stride(from: 0, to: bytes.count, by: size) {
      parts.append(assembler.append(Array(bytes[start..<min(start + size, bytes.count)])))
    }
    parts.append(assembler.finish())
    return (parts, assembler.isStopped)
  }

  @Test(arguments: ["plain", "äöü€", "字漢", "👩‍👩‍👧‍👦!", "🇩🇪🇫🇷x", "👍🏽 e\u{301}", "\u{200D}a\u{200D}", "a\r\nb", ""])
  func `any text comes out whole, however it is cut`(_ text: String) {
    for size in 1...7 {
      let parts = assemble(Array(text.utf8), by: size).parts
      #expect(parts.joined() == text)
      #expect(!parts.joined().unicodeScalars.contains("\u{FFFD}"))
    }
  }

  @Test func `joined emoji and flags come at once`() {
    let family = assemble(Array("👩‍👩‍👧 ok".utf8), by: 1).parts.filter { !$0.isEmpty }
    #expect(!family.contains { $0.unicodeScalars.last == "\u{200D}" })
    let flags = assemble(Array("🇩🇪🇫🇷.".utf8), by: 4).parts.filter { !$0.isEmpty }
    #expect(flags.joined() == "🇩🇪🇫🇷.")
    #expect(
      flags.allSatisfy { part in
        part.unicodeScalars.count { $0.value >= 0x1F1E6 && $0.value <= 0x1F1FF } % 2 == 0
      })
  }

  @Test func `bytes that are no text become replacement characters, and nothing traps`() {
    #expect(assemble([0x61, 0xff, 0x62], by: 1).parts.joined() == "a\u{FFFD}b")
    #expect(assemble([0xe2, 0x82], by: 1).parts.joined() == "\u{FFFD}")
    #expect(assemble([0xff, 0xe2, 0x80, 0x8d], by: 4).parts.joined() == "\u{FFFD}\u{200D}")
    var random = SplitMix(seed: 51)
    let pieces: [[UInt8]] = [
      [0xff], [0x80], [0xe2, 0x80, 0x8d], [0xf0, 0x9f], [0xf0, 0x9f, 0x87, 0xa9], [0x61], [0xc3],
      [0xed, 0xa0, 0x80],
      [0xf0, 0x9f, 0x91, 0xa9], [0xf8, 0x88], [0xe2], [0x0a],
    ]
    for _ in 0..<4_000 {
      let count = Int.random(in: 1...6, using: &random)
      let bytes = (0..<count).flatMap { _ in pieces[Int.random(in: 0..<pieces.count, using: &random)] }
      for size in 1...5 {
        #expect(
          assemble(bytes, by: size).parts.joined() == String(decoding: bytes, as: UTF8.self), "\(bytes)")
      }
    }
  }

  @Test func `no part of a stop string comes out`() {
    let stops = ["STOP", "\n\nQ:", "€€"]
    for stop in stops {
      let text = "before SSTO \nQ € " + stop + "after"
      for size in 1...9 {
        let (parts, stopped) = assemble(Array(text.utf8), by: size, stops: stops)
        #expect(parts.joined() == "before SSTO \nQ € " && stopped, "\(stop), \(size)")
      }
    }
  }

  @Test func `what only begins like a stop string comes out in the end`() {
    for text in ["aST", "aSTOx", "STSTO", "S", "aaab", "aabaa"] {
      for size in 1...3 {
        let (parts, stopped) = assemble(Array(text.utf8), by: size, stops: ["STOP", "aaaa"])
        #expect(parts.joined() == text && !stopped)
      }
    }
  }

  @Test func `the stop string that is complete first ends the text`() {
    #expect(assemble(Array("xabcd".utf8), by: 1, stops: ["abcd", "bc"]).parts.joined() == "xa")
    #expect(assemble(Array("xabcd".utf8), by: 5, stops: ["bc", "abcd"]).parts.joined() == "x")
    #expect(assemble(Array("aabaab!".utf8), by: 1, stops: ["aab!", ""]).parts.joined() == "aab")
  }

  @Test func `nothing follows a stop`() {
    var assembler = TextAssembler(stops: ["."])
    #expect(assembler.append(Array("a.b".utf8)) == "a")
    #expect(assembler.append(Array("c".utf8)).isEmpty && assembler.finish().isEmpty && assembler.isStopped)
  }
}
