import DuetRuntime
import Testing

/// Vocabularies that no tool should write.
@Suite struct TokenizerHostileTests {
  private func error(_ change: (inout GGUFBuilder) -> Void) -> String {
    var builder = TinyVocabulary.pieces([("a", 0)]).builder
    change(&builder)
    do {
      _ = try Tokenizer(metadata: builder.open().metadata)
      return "none"
    } catch { return "\(error)" }
  }

  @Test func `unknown kinds and rules are refused by name, with those that are known`() throws {
    let other = error { $0.set("tokenizer.ggml.model", .string("rwkv")) }
    #expect(other.contains("\"rwkv\"") && other.contains("gpt2, llama, bert, t5"))
    let builder = TinyVocabulary.byteLevel(pre: "strange").builder
    #expect {
      _ = try Tokenizer(metadata: builder.open().metadata)
    } throws: { "\($0)".contains("\"strange\"") && "\($0)".contains("smollm") }
  }

  @Test func `what is missing or of another type is named`() {
    #expect(error { $0.pairs.removeAll { $0.key.hasSuffix("model") } }.contains("tokenizer.ggml.model"))
    #expect(error { $0.pairs.removeAll { $0.key.hasSuffix("tokens") } }.contains("tokenizer.ggml.tokens"))
    #expect(error { $0.pairs.removeAll { $0.key.hasSuffix("scores") } }.contains("tokenizer.ggml.scores"))
    #expect(error { $0.set("tokenizer.ggml.tokens", .int32s([1])) }.contains("tokenizer.ggml.tokens"))
    #expect(error { $0.set("tokenizer.ggml.tokens", .strings([])) }.contains("has 0 elements"))
    #expect(error { $0.set("tokenizer.ggml.add_bos_token", .uint8(1)) }.contains("add_bos_token"))
  }

  @Test func `counts that differ and tokens out of range are named`() {
    #expect(error { $0.set("tokenizer.ggml.scores", .floats([0])) }.contains("scores has 1 elements for 260"))
    #expect(error { $0.set("tokenizer.ggml.token_type", .int32s([1, 1])) }.contains("token_type has 2"))
    for name in ["bos", "eos", "eot", "eom", "unknown"] {
      let key = "tokenizer.ggml.\(name)_token_id"
      #expect(error { $0.set(key, .uint32(260)) }.contains("\(key) is 260"))
      #expect(error { $0.set(key, .int32(-1)) }.contains("\(key) is -1"))
    }
  }

  @Test func `merges of unknown tokens, twins, empty tokens and odd scores are harmless`() throws {
    var bytes = TinyVocabulary.byteLevel(merges: ["a b"])
    bytes.merges += ["", " ", "x", "no token", "a b", "  ", "q ", " q", "a b c"]
    bytes.add("")
    bytes.add("a")
    bytes.add("", .control)
    bytes.add("", .userDefined)
    #expect(try bytes.open().pieces("ab ba") == ["ab", "Ġ", "b", "a"])
    var pieces = TinyVocabulary.pieces([("a", .nan), ("aa", .nan), ("b", -.infinity), ("ba", .infinity)])
    pieces.add("aaa", score: -0.0)
    pieces.add("", .userDefined)
    #expect(try pieces.open().pieces("baaab") == ["ba", "aa", "b"])
  }

  @Test func `numbers of no token are nothing`() throws {
    let tokenizer = try TinyVocabulary.byteLevel().open()
    for token in [-1, Int32.min, Int32.max, 256] as [Int32] {
      #expect(tokenizer.bytes(of: token, special: true).isEmpty && tokenizer.text(of: token).isEmpty)
    }
    #expect(tokenizer.decode([-1, 65, 9_999]) == [65] && tokenizer.token(named: "") == nil)
  }

  @Test func `many twins and long tokens cost no more than their length`() throws {
    var vocabulary = TinyVocabulary.pieces([("a", 0)])
    for _ in 0..<50_000 { vocabulary.add("aaaa", .userDefined) }
    for length in 1...400 { vocabulary.add(String(repeating: "b", count: length), score: Float(length)) }
    let tokenizer = try vocabulary.open()
    let start = ContinuousClock.now
    let text = [UInt8](repeating: 0x61, count: 100_000) + [UInt8](repeating: 0x62, count: 20_000)
    #expect(tokenizer.decode(tokenizer.encode(text)) == text)
    #expect(ContinuousClock.now - start < .seconds(5))
  }

  @Test func `changed bytes are an error or a tokenizer that works`() throws {
    var random = SplitMix(seed: 21)
    var pieces = TinyVocabulary.pieces([("a", 0), ("▁", 0), ("▁a", 1), ("\n", 0)])
    pieces.add("<tag>", .userDefined)
    let text = Array("a <tag> <s>\né\u{0}".utf8) + [0xff, 0xe2, 0x96]
    for file in [pieces.builder.bytes(), TinyVocabulary.byteLevel(merges: ["a b", "Ġ a"]).builder.bytes()] {
      for _ in 0..<500 {
        var bytes = file
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        let cut = Int.random(in: 0..<512, using: &random)
        if cut < 64 { bytes.removeLast(cut) }
        guard let metadata = try? GGUFBuilder.open(bytes).metadata else { continue }
        guard let tokenizer = try? Tokenizer(metadata: metadata) else { continue }
        let tokens = tokenizer.encode(text, parseSpecial: true, addBeginning: true, addEnd: true)
        _ = tokenizer.decode(tokens, special: true)
        for token in 0..<Int32(tokenizer.vocabularySize) { _ = tokenizer.bytes(of: token) }
      }
    }
  }
}
