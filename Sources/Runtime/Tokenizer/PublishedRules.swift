extension PreTokenizer {
  /// The names are those that GGUF converters write; rules as in each model's tokenizer.json, those
  /// of `default` as in llama.cpp, whose name it is.
  static let all: [Self] = [
    Self(
      "gpt-2", "phi-2", "mpt", "olmo", "jais", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat",
      "a.x-4.0", "mellum", "modern-bert", "exaone4", "trillion", "granite-docling", steps: [gpt2]),
    Self(
      "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2",
      steps: [.runs(.numbers, alone: true), gpt2]),
    Self(
      "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
      "jina-v5-nano",
      steps: [llama(longestNumber: 3)], takesWholeWords: true, addsBeginning: true),
    Self("dbrx", "smaug-bpe", "chatglm-bpe", steps: [llama(longestNumber: 3)]),
    Self("glm4", "glm5", steps: [llama(longestNumber: 3)], takesWholeWords: true),
    Self(
      "qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", "kormo", "f2llmv2", "grok-2",
      "solar-open",
      steps: [llama(longestNumber: 1)]),
    Self("qwen35", steps: [.matches(qwen35)]),
    Self("tekken", steps: [.matches(tekken)], takesWholeWords: true, addsBeginning: true),
    Self("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2", steps: [.matches(gpt4o)]),
    Self(
      "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4",
      steps: [
        .matches(WordPattern([.some(.numbers, upTo: 3)])), .runs(ideographsAndKana, alone: false),
        .matches(deepseekV3),
      ]),
    Self(
      "deepseek-coder",
      steps: [
        .runs(.lineEnds, alone: true), .matches(WordPattern([.maybe(.spaces), .some(anyLetter)])),
        .matches(WordPattern([.maybe(.spaces), .some(CharacterSet([.punctuation]))])),
        .runs(eastAsian, alone: false), .runs(.numbers, alone: true),
      ]),
    Self(
      "deepseek-llm",
      steps: [
        .runs(.lineEnds, alone: true), .matches(WordPattern([.maybe(.spaces), .some(deepseekLetters)])),
        .matches(WordPattern([.maybe(.spaces), .some(deepseekSigns)])), .finalSpace,
        .runs(eastAsian, alone: false), .runs(.numbers, alone: false),
      ]),
    Self(
      "falcon", steps: [.runs(CharacterSet([.punctuation], "$+<=>^~|`"), alone: false), gpt2, .digitTriples]),
    Self("bloom", "poro-chat", "gpt3-finnish", steps: [.matches(bloom)]),
    Self("viking", steps: [.matches(bloom), .runs(.numbers, alone: true)]),
    Self(
      "default",
      steps: [
        .runs(CharacterSet([.punctuation], "$+<=>^~|"), alone: false), gpt2, .runs(.numbers, alone: false),
        .digitTriples,
      ]),
  ]

  private static let gpt2 = Step.words(WordRules())

  private static func llama(longestNumber: Int) -> Step {
    .words(
      WordRules(
        endingsInAnyCase: true, anyCharacterLeadsLetters: true, longestNumber: longestNumber,
        keepsLineEnds: true))
  }
}

// The expressions of models whose words differ more; each as published in its tokenizer.json.
extension PreTokenizer {
  private typealias Item = WordPattern.Item

  private static let anyLetter = CharacterSet(CharacterSet.letters)
  /// `[^\r\n\p{L}\p{N}]`
  private static let lead = CharacterSet.not(CharacterSet.letters.union([.number]), "\r\n")
  /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
  private static let notLower = CharacterSet([.upper, .letter, .mark])
  /// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
  private static let notUpper = CharacterSet([.lower, .letter, .mark])

  /// `\s*[\r\n]+|\s+(?!\S)|\s+`
  private static let space: [[Item]] = [
    [.any(.spaces), .some(.lineEnds)], [.some(.spaces), .beforeSpace], [.some(.spaces)],
  ]

  /// ` ?[^\s\p{L}\p{N}]+[\r\n/]*`
  private static let symbols: [Item] = [
    .maybe(.blank), .some(.not(CharacterSet.letters.union([.number, .space]))),
    .any(CharacterSet([], "\r\n/")),
  ]

  /// Qwen 3.5: `[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*`, after the
  /// endings of Qwen 2 and before its white space.
  private static let qwen35 = WordPattern(
    alternatives: [
      [.ending(optional: false)],
      [.maybe(lead), .some(CharacterSet(CharacterSet.letters.union([.mark])))],
      [.one(.numbers)],
      [
        .maybe(.blank), .some(.not(CharacterSet.letters.union([.mark, .number, .space]))), .any(.lineEnds),
      ],
    ] + space)

  /// Mistral's Tekken: words end where a capital follows a small letter.
  private static let tekken = WordPattern(
    alternatives: [
      [.maybe(lead), .any(notLower), .some(notUpper)], [.maybe(lead), .some(notLower), .any(notUpper)],
      [.one(.numbers)], symbols,
    ] + space)

  /// GPT-4o and Llama 4: as Tekken, with endings kept at their words and numbers of three digits.
  private static let gpt4o = WordPattern(
    alternatives: [
      [.maybe(lead), .any(notLower), .some(notUpper), .ending(optional: true)],
      [.maybe(lead), .some(notLower), .any(notUpper), .ending(optional: true)],
      [.some(.numbers, upTo: 3)], symbols,
    ] + space)

  private static let deepseekV3 = WordPattern(
    alternatives: [
      [
        .one(CharacterSet([], "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")),
        .some(CharacterSet([], ranges: [0x41...0x5a, 0x61...0x7a])),
      ],
      [
        .maybe(.not(CharacterSet.letters.union([.punctuation, .symbol]), "\r\n")),
        .some(CharacterSet(CharacterSet.letters.union([.mark]))),
      ],
      [.maybe(.blank), .some(CharacterSet([.punctuation, .symbol])), .any(.lineEnds)],
    ] + space)

  /// ` ?[^(\s|.,!?…。，、।۔،)]+`
  private static let bloom = WordPattern([.maybe(.blank), .some(.not([.space], "(|.,!?…。，、।۔،)"))])

  private static let ideographsAndKana = CharacterSet(
    [], ranges: [0x4e00...0x9fa5, 0x3040...0x309f, 0x30a0...0x30ff])
  private static let eastAsian = CharacterSet(
    [], ranges: [0x4e00...0x9fa5, 0x0800...0x4e00, 0xac00...0xd7ff])
  private static let deepseekSigns = CharacterSet(
    [],
    ranges: [0x21...0x2f, 0x3a...0x7e, 0xff01...0xff0f, 0xff1a...0xff5e, 0x2018...0x201f, 0x3000...0x3002])

  /// DeepSeek LLM's list of letters with case.
  private static let deepseekLetters = CharacterSet(
    [],
    ranges: [
      0x41...0x5a, 0x61...0x7a, 0xb5...0xb5, 0xc0...0xd6, 0xd8...0xf6, 0xf8...0x1ba, 0x1bc...0x1bf,
      0x1c4...0x293, 0x295...0x2af, 0x370...0x373, 0x376...0x376, 0x377...0x377, 0x37b...0x37d,
      0x37f...0x37f, 0x386...0x386, 0x388...0x38a, 0x38c...0x38c, 0x38e...0x3a1, 0x3a3...0x3f5,
      0x3f7...0x481, 0x48a...0x52f, 0x531...0x556, 0x10a0...0x10c5, 0x13a0...0x13f5, 0x13f8...0x13fd,
      0x1c90...0x1cba, 0x1cbd...0x1cbf, 0x1d00...0x1d2b, 0x1d6b...0x1d77, 0x1d79...0x1d9a, 0x1e00...0x1f15,
      0x1f18...0x1f1d, 0x1f20...0x1f45, 0x1f48...0x1f4d, 0x1f50...0x1f57, 0x1f59...0x1f59, 0x1f5b...0x1f5b,
      0x1f5d...0x1f5d, 0x1f5f...0x1f7d, 0x1f80...0x1fb4, 0x1fb6...0x1fbc, 0x1fbe...0x1fbe, 0x1fc2...0x1fc4,
      0x1fc6...0x1fcc, 0x1fd0...0x1fd3, 0x1fd6...0x1fdb, 0x1fe0...0x1fec, 0x1ff2...0x1ff4, 0x1ff6...0x1ffc,
      0x2102...0x2102, 0x2107...0x2107, 0x210a...0x2113, 0x2115...0x2115, 0x2119...0x211d, 0x2124...0x2124,
      0x2126...0x2126, 0x2128...0x2128, 0x212a...0x212d, 0x212f...0x2134, 0x2139...0x2139, 0x213c...0x213f,
      0x2145...0x2149, 0x214e...0x214e, 0x2183...0x2183, 0x2184...0x2184, 0x2c00...0x2c7b, 0x2c7e...0x2ce4,
      0x2ceb...0x2cee, 0x2cf2...0x2cf2, 0x2cf3...0x2cf3, 0xa640...0xa66d, 0xa680...0xa69b, 0xa722...0xa76f,
      0xa771...0xa787, 0xa78b...0xa78e, 0xab70...0xabbf, 0xfb00...0xfb06, 0xfb13...0xfb17, 0xff21...0xff3a,
      0xff41...0xff5a, 0x10400...0x1044f, 0x104b0...0x104d3, 0x104d8...0x104fb, 0x10c80...0x10cb2,
      0x10cc0...0x10cf2, 0x118a0...0x118df, 0x1e900...0x1e943,
    ])
}
