import DuetRuntime
import Testing

@Suite struct TokenizerTests {
  @Test func `merges join the earliest line first, the leftmost of equals`() throws {
    let tokenizer = try TinyVocabulary.byteLevel(merges: ["b c", "a b", "a bc", "Ġ a"]).open()
    #expect(tokenizer.pieces("abc") == ["abc"])
    #expect(tokenizer.pieces("aab") == ["a", "ab"])
    #expect(tokenizer.pieces("abab") == ["ab", "ab"])
    #expect(tokenizer.pieces("b abc") == ["b", "Ġ", "abc"])
    #expect(tokenizer.pieces("b a") == ["b", "Ġa"])
  }

  @Test func `joining equals a naive search for the first merge`() throws {
    var random = SplitMix(seed: 11)
    for _ in 0..<40 {
      let merges = randomMerges(&random)
      let tokenizer = try TinyVocabulary.byteLevel(merges: merges).open()
      for _ in 0..<40 {
        let word = randomSymbols(["a", "b", "c"], 1...30, &random)
        #expect(tokenizer.pieces(word.joined()) == naiveMerge(word, merges))
      }
    }
  }

  @Test func `pieces join by score as a naive search does`() throws {
    var random = SplitMix(seed: 12)
    for _ in 0..<40 {
      var texts = Set(["a", "b", "▁"])
      for _ in 0..<12 {
        texts.insert(randomSymbols(["a", "b", "▁", "é"], 2...4, &random).joined())
      }
      let pieces = texts.sorted().map { ($0, Float(Int.random(in: -6...0, using: &random))) }
      let tokenizer = try TinyVocabulary.pieces(pieces).open()
      for _ in 0..<40 {
        let text = randomSymbols(["a", "b", " ", "é", "\n"], 1...30, &random)
        #expect(tokenizer.pieces(text.joined()) == naivePieces(text, pieces))
      }
    }
  }

  @Test func `a byte without a token is left out before anything is joined`() throws {
    var vocabulary = TinyVocabulary.byteLevel(merges: ["a b", "ab c"])
    vocabulary.tokens.removeAll { $0.text == "x" }
    let tokenizer = try vocabulary.open()
    #expect(tokenizer.missingBytes == [0x78])
    #expect(tokenizer.pieces("axb") == ["ab"])
    #expect(tokenizer.pieces("xaxbxcx") == ["abc"])
    #expect(tokenizer.pieces("xxx").isEmpty)
  }

  @Test func `what has no piece becomes its bytes, or the unknown token`() throws {
    let tokenizer = try TinyVocabulary.pieces([("a", 0), ("▁", 0)]).open()
    #expect(tokenizer.pieces("a é") == ["a", "▁", "<0xC3>", "<0xA9>"])
    #expect(tokenizer.decode(tokenizer.encode([0x61, 0xff, 0x20, 0xc3])) == [0x61, 0xff, 0x20, 0xc3])
    var vocabulary = TinyVocabulary.pieces([("a", 0)])
    vocabulary.tokens.removeAll { $0.kind == .byte }
    #expect(try vocabulary.open().pieces("ab") == ["a", "<unk>"])
  }

  @Test func `a space is put before text and left out again`() throws {
    let tokenizer = try TinyVocabulary.pieces([("a", 0), ("▁", 0), ("▁a", 1)], spacePrefix: true).open()
    #expect(tokenizer.pieces("aa") == ["▁a", "a"])
    #expect(tokenizer.pieces("a<s>a", parseSpecial: true) == ["▁a", "<s>", "▁a"])
    #expect(tokenizer.encode("") == [])
    for text in ["a", " a", "  a", "\n a "] {
      let tokens = tokenizer.encode(text, addBeginning: true)
      #expect(String(decoding: tokenizer.decode(tokens), as: UTF8.self) == text)
    }
    #expect(tokenizer.bytes(of: tokenizer.encode("a")[0]) == Array(" a".utf8))
  }

  @Test func `control tokens come from text only where asked for`() throws {
    var vocabulary = TinyVocabulary.byteLevel(merges: ["a b"])
    vocabulary.add("<ctl>", .control)
    vocabulary.add("<tag>", .userDefined)
    vocabulary.add("<tag>x", .userDefined)
    vocabulary.add("<|im_end|>", .userDefined)
    let tokenizer = try vocabulary.open()
    #expect(tokenizer.pieces("ab<ctl>") == ["ab", "<", "c", "t", "l", ">"])
    #expect(tokenizer.pieces("ab<ctl>b", parseSpecial: true) == ["ab", "<ctl>", "b"])
    #expect(tokenizer.pieces("a<tag>b<tag>x") == ["a", "<tag>", "b", "<tag>x"])
    #expect(!tokenizer.pieces("<|im_end|>").contains("<|im_end|>"))
    let end = try #require(tokenizer.token(named: "<|im_end|>"))
    #expect(tokenizer.encode("<|im_end|>", parseSpecial: true) == [end])
    #expect(tokenizer.endsGeneration == [end])
    #expect(tokenizer.decode([end]) == [])
    #expect(tokenizer.decode([end], special: true) == Array("<|im_end|>".utf8))
  }

  @Test func `merges never make a control token`() throws {
    var vocabulary = TinyVocabulary.byteLevel(merges: ["a b", "b c"])
    vocabulary.tokens[256].kind = .control
    #expect(try vocabulary.open().pieces("abc") == ["a", "bc"])
  }

  @Test func `bytes of all kinds come back`() throws {
    var random = SplitMix(seed: 13)
    let tokenizers = [
      try TinyVocabulary.byteLevel(merges: ["a b", "Ġ a"], pre: "smollm").open(),
      try TinyVocabulary.byteLevel(merges: ["a b", "Ġ a"], pre: "llama-bpe").open(),
      try TinyVocabulary.byteLevel(merges: ["a b", "Ġ a"], pre: "default").open(),
      try TinyVocabulary.pieces([("a", 0), ("▁", 0), ("▁a", 1), ("é", 1)], spacePrefix: true).open(),
    ]
    for _ in 0..<2_000 {
      let count = Int.random(in: 0...40, using: &random)
      let bytes = (0..<count).map { _ in
        Bool.random(using: &random) ? UInt8.random(in: 0...255, using: &random) : 0x61
      }
      for tokenizer in tokenizers { #expect(tokenizer.decode(tokenizer.encode(bytes)) == bytes) }
    }
  }

  @Test func `the first calls may come from many threads`() async throws {
    let tokenizer = try TinyVocabulary.byteLevel(merges: ["a b"]).open()
    let results = await withTaskGroup(of: [Int32].self) { group in
      for _ in 0..<16 { group.addTask { tokenizer.encode("abab ab") } }
      return await group.reduce(into: Set<[Int32]>()) { $0.insert($1) }
    }
    #expect(results == [tokenizer.encode("abab ab")])
  }

  @Test func `special tokens and defaults follow the kind of model`() throws {
    let bytes = try TinyVocabulary.byteLevel().open()
    #expect(bytes.beginningOfText == nil && bytes.endOfText == nil && !bytes.addsBeginning)
    #expect(try TinyVocabulary.byteLevel(pre: "llama-bpe").open().addsBeginning)
    let pieces = try TinyVocabulary.pieces([("a", 0)]).open()
    #expect(pieces.beginningOfText == 1 && pieces.endOfText == 2 && pieces.addsBeginning && !pieces.addsEnd)
    #expect(pieces.encode("a", addBeginning: true, addEnd: true) == [1, 259, 2])
    var vocabulary = TinyVocabulary.pieces([("a", 0)])
    vocabulary.pairs.append(("tokenizer.ggml.eot_token_id", .uint32(259)))
    vocabulary.pairs.append(("tokenizer.ggml.add_bos_token", .bool(false)))
    let other = try vocabulary.open()
    #expect(other.endsGeneration == [2, 259] && !other.addsBeginning)
  }

  @Test func `llama 3 takes a word that is a token as it is`() throws {
    var vocabulary = TinyVocabulary.byteLevel(merges: ["a b"], pre: "llama-bpe")
    vocabulary.add("abc")
    #expect(try vocabulary.open().pieces("abc abcd") == ["abc", "Ġ", "ab", "c", "d"])
    vocabulary.pairs = [("tokenizer.ggml.pre", .string("qwen2"))]
    #expect(try vocabulary.open().pieces("abc") == ["ab", "c"])
  }

  @Test(.enabled(if: ModelFiles.available(ModelFiles.smolLM2, ModelFiles.gemma3), ModelFiles.absent))
  func `real models name their ends`() throws {
    let small = try Tokenizer(metadata: ModelFiles.open(ModelFiles.smolLM2).metadata)
    #expect(small.endsGeneration == [0, 2] && small.beginningOfText == 1 && !small.addsBeginning)
    #expect(small.missingBytes.count == 21)
    let gemma = try Tokenizer(metadata: ModelFiles.open(ModelFiles.gemma3).metadata)
    #expect(gemma.endsGeneration == [1, 106] && gemma.beginningOfText == 2 && gemma.addsBeginning)
    #expect(gemma.encode("<s></s>") == [203, 212] && gemma.missingBytes.isEmpty)
  }
}

private func randomSymbols(
  _ alphabet: [String], _ count: ClosedRange<Int>, _ random: inout SplitMix
) -> [String] {
  (0..<Int.random(in: count, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? "a" }
}

/// Random merges over three letters, each of parts that exist by then.
private func randomMerges(_ random: inout SplitMix) -> [String] {
  var parts = ["a", "b", "c"]
  var merges: [String] = []
  for _ in 0..<10 {
    let left = parts.randomElement(using: &random) ?? "a"
    let right = parts.randomElement(using: &random) ?? "a"
    guard !parts.contains(left + right) else { continue }
    merges.append("\(left) \(right)")
    parts.append(left + right)
  }
  return merges.shuffled(using: &random)
}

/// Looks through all pairs for the earliest merge, again and again.
private func naiveMerge(_ symbols: [String], _ merges: [String]) -> [String] {
  var symbols = symbols
  while true {
    let ranks = zip(symbols, symbols.dropFirst()).map { merges.firstIndex(of: "\($0) \($1)") ?? .max }
    guard let best = ranks.min(), best < .max, let index = ranks.firstIndex(of: best) else { return symbols }
    symbols[index] += symbols.remove(at: index + 1)
  }
}

/// Looks through all pairs for the piece of the highest score, again and again.
private func naivePieces(_ text: [String], _ pieces: [(String, Float)]) -> [String] {
  var symbols = text.map { $0 == " " ? "▁" : $0 }
  let scores = Dictionary(uniqueKeysWithValues: pieces)
  while true {
    let found = zip(symbols, symbols.dropFirst()).map { scores[$0 + $1] }
    guard let best = found.compactMap({ $0 }).max(), let index = found.firstIndex(of: best) else { break }
    symbols[index] += symbols.remove(at: index + 1)
  }
  return symbols.flatMap { symbol in
    scores[symbol] != nil
      ? [symbol] : symbol.utf8.map { "<0x\($0 < 16 ? "0" : "")\(String($0, radix: 16, uppercase: true))>" }
  }
}

/// A small generator with a seed (Steele et al., 2014), so that tests repeat.
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
    return value ^ value >> 31
  }
}
