import DuetRuntime

/// Vocabularies of a few tokens, for tests that need no model.
struct TinyVocabulary {
  /// Kinds of tokens, as the GGUF specification numbers them.
  enum Kind: Int32 {
    case normal = 1
    case unknown, control, userDefined, unused, byte
  }

  var model: String
  var tokens: [(text: String, kind: Kind, score: Float)] = []
  var merges: [String] = []
  var pairs: [(key: String, value: GGUFBuilder.Value)] = []

  /// A character for every byte, as GPT-2 has them, then the special tokens of a chat model.
  static func byteLevel(merges: [String] = [], pre: String = "gpt-2") -> Self {
    var vocabulary = Self(model: "gpt2", merges: merges)
    var spare: UInt32 = 256
    for byte in UInt32(0)..<256 {
      let printable = (0x21...0x7e).contains(byte) || (0xa1...0xac).contains(byte) || byte >= 0xae
      vocabulary.add(String(Unicode.Scalar(printable ? byte : spare) ?? "?"))
      if !printable { spare += 1 }
    }
    for merge in merges { vocabulary.add(merge.split(separator: " ").joined()) }
    vocabulary.pairs = [("tokenizer.ggml.pre", .string(pre))]
    return vocabulary
  }

  /// Unknown, start and end tokens, a token for every byte, then `pieces`.
  static func pieces(_ pieces: [(String, Float)], spacePrefix: Bool = false) -> Self {
    var vocabulary = Self(model: "llama")
    vocabulary.add("<unk>", .unknown)
    vocabulary.add("<s>", .control)
    vocabulary.add("</s>", .control)
    for byte in 0..<256 {
      let digits = String(byte, radix: 16, uppercase: true)
      vocabulary.add("<0x\(byte < 16 ? "0" : "")\(digits)>", .byte)
    }
    for (text, score) in pieces { vocabulary.add(text, score: score) }
    vocabulary.pairs = [("tokenizer.ggml.add_space_prefix", .bool(spacePrefix))]
    return vocabulary
  }

  mutating func add(_ text: String, _ kind: Kind = .normal, score: Float = 0) {
    tokens.append((text, kind, score))
  }

  /// The file, which tests may change before it is written.
  var builder: GGUFBuilder {
    var builder = GGUFBuilder()
    builder.set("tokenizer.ggml.model", .string(model))
    builder.set("tokenizer.ggml.tokens", .strings(tokens.map(\.text)))
    builder.set("tokenizer.ggml.token_type", .int32s(tokens.map(\.kind.rawValue)))
    if model == "llama" { builder.set("tokenizer.ggml.scores", .floats(tokens.map(\.score))) }
    if model == "gpt2" { builder.set("tokenizer.ggml.merges", .strings(merges)) }
    for (key, value) in pairs { builder.set(key, value) }
    return builder
  }

  func open() throws -> Tokenizer { try Tokenizer(metadata: builder.open().metadata) }
}

extension Tokenizer {
  /// The texts of the tokens of `text`.
  func pieces(_ text: String, parseSpecial: Bool = false) -> [String] {
    encode(text, parseSpecial: parseSpecial).map { self.text(of: $0) }
  }
}
