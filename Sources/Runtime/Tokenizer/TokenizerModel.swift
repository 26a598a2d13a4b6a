/// The kinds of tokenizers, as `tokenizer.ggml.model` names them, with what each reads beside the
/// vocabulary.
enum TokenizerModel: Sendable {
  case byteLevel(PreTokenizer, merges: GGUFArray)
  case pieces(addsSpacePrefix: Bool)
  case wordPiece(lowercase: Bool, stripAccents: Bool)
  case unigram(UnigramNormalizer)

  /// What holds where the file says nothing.
  struct Defaults {
    var beginning: Int32?
    var end: Int32?
    var unknown: Int32?
    var addsBeginning = false
    var addsEnd = false
    /// Whether texts stand between the tokens that classify and separate, where a file names them.
    var marksClasses = false
  }

  init(metadata: GGUFMetadata) throws(TokenizerError) {
    let key = "tokenizer.ggml.model"
    let name: String
    do { name = try metadata.required(key, metadata.string(key)) } catch { throw .metadata(error) }
    switch name {
    case "gpt2": self = try Self.byteLevel(metadata)
    case "llama": self = try Self.pieces(metadata)
    case "bert": self = try Self.wordPiece(metadata)
    case "t5": self = try Self.unigram(metadata)
    default:
      throw .unknownModel(path: metadata.path, name: name, known: Tokenizer.knownModels)
    }
  }

  private static func byteLevel(_ metadata: GGUFMetadata) throws(TokenizerError) -> Self {
    let key = "tokenizer.ggml.merges"
    let name: String
    let merges: GGUFArray
    do {
      name = try metadata.string("tokenizer.ggml.pre") ?? "default"
      merges = try metadata.required(key, metadata.array(key, of: [.string]))
    } catch { throw .metadata(error) }
    guard merges.count <= MergeTable.mostMerges else {
      throw .unusableSize(path: metadata.path, key: key, count: merges.count, limit: MergeTable.mostMerges)
    }
    guard let rules = PreTokenizer.named(name) else {
      throw .unknownPreTokenizer(path: metadata.path, name: name, known: PreTokenizer.knownNames)
    }
    return .byteLevel(rules, merges: merges)
  }

  private static func pieces(_ metadata: GGUFMetadata) throws(TokenizerError) -> Self {
    do {
      _ = try metadata.required(Vocabulary.scoresKey, metadata[Vocabulary.scoresKey])
      return .pieces(addsSpacePrefix: try metadata.bool("tokenizer.ggml.add_space_prefix") ?? true)
    } catch { throw .metadata(error) }
  }

  private static func wordPiece(_ metadata: GGUFMetadata) throws(TokenizerError) -> Self {
    do {
      let lowercase = try metadata.bool("tokenizer.ggml.normalizer.lowercase") ?? true
      let stripAccents = try metadata.bool("tokenizer.ggml.normalizer.strip_accents") ?? lowercase
      return .wordPiece(lowercase: lowercase, stripAccents: stripAccents)
    } catch { throw .metadata(error) }
  }

  private static func unigram(_ metadata: GGUFMetadata) throws(TokenizerError) -> Self {
    do {
      _ = try metadata.required(Vocabulary.scoresKey, metadata[Vocabulary.scoresKey])
      let normalizer = UnigramNormalizer(
        table: try replacementTable(metadata),
        addsPrefix: try metadata.bool("tokenizer.ggml.add_space_prefix") ?? true,
        mergesSpaces: try metadata.bool("tokenizer.ggml.remove_extra_whitespaces") ?? false)
      return .unigram(normalizer)
    } catch { throw .metadata(error) }
  }

  private static func replacementTable(_ metadata: GGUFMetadata) throws(GGUFError) -> ReplacementTable? {
    let key = "tokenizer.ggml.precompiled_charsmap"
    guard let bytes = try metadata.array(key, of: [.uint8, .int8]), bytes.count > 0 else { return nil }
    guard let table = ReplacementTable(bytes.integers().map { UInt8(truncatingIfNeeded: $0) }) else {
      throw .invalid(path: metadata.path, field: key, problem: "is shorter than it says")
    }
    return table
  }

  /// SentencePiece and BERT number their special tokens so unless told otherwise.
  var defaults: Defaults {
    switch self {
    case .byteLevel(let rules, _): Defaults(addsBeginning: rules.addsBeginning)
    case .pieces: Defaults(beginning: 1, end: 2, unknown: 0, addsBeginning: true)
    case .wordPiece:
      Defaults(beginning: 101, end: 102, unknown: 100, addsBeginning: true, addsEnd: true, marksClasses: true)
    case .unigram: Defaults(end: 1, unknown: 2, addsEnd: true)
    }
  }

  /// Whether text of tokens starts with a space that was not in the text.
  var addsSpacePrefix: Bool {
    switch self {
    case .byteLevel: false
    case .pieces(let addsSpacePrefix): addsSpacePrefix
    case .wordPiece: true
    case .unigram(let normalizer): normalizer.addsPrefix
    }
  }

  /// The bytes that a token of this text, not a special one, stands for.
  func render(_ text: [UInt8], isByte: Bool) -> [UInt8] {
    if isByte, let byte = Self.byte(named: text) { return [byte] }
    switch self {
    case .byteLevel: return ByteLevel.decode(text)
    case .pieces, .wordPiece, .unigram: return Self.withSpaces(text)
    }
  }

  /// The byte that `<0x0A>` names.
  private static func byte(named text: [UInt8]) -> UInt8? {
    guard text.count == 6, text.starts(with: "<0x".utf8) else { return nil }
    return UInt8(Array(text[3..<5]).withRaw { $0.text }, radix: 16)
  }

  private static func withSpaces(_ text: [UInt8]) -> [UInt8] {
    guard text.contains(PieceEncoding.space[0]) else { return text }
    var result: [UInt8] = []
    var offset = 0
    while offset < text.count {
      let isSpace = text[offset...].starts(with: PieceEncoding.space)
      result.append(isSpace ? 0x20 : text[offset])
      offset += isSpace ? PieceEncoding.space.count : 1
    }
    return result
  }
}

/// The numbers of special tokens that a file names, checked against the vocabulary.
struct SpecialIDs {
  let beginning, end, unknown, endOfTurn, endOfMessage: Int32?

  /// Those that start or end something.
  var named: Set<Int32> { Set([beginning, end, endOfTurn, endOfMessage].compactMap { $0 }) }

  init(metadata: GGUFMetadata, count: Int, defaults: TokenizerModel.Defaults) throws(TokenizerError) {
    func read(_ name: String, _ standard: Int32? = nil) throws(TokenizerError) -> Int32? {
      let key = "tokenizer.ggml.\(name)_token_id"
      let token: Int?
      do { token = try metadata.integer(key) } catch { throw .metadata(error) }
      guard let token else { return standard.flatMap { Int($0) < count ? $0 : nil } }
      guard token >= 0, token < count else {
        throw .tokenOutOfRange(path: metadata.path, key: key, token: token, count: count)
      }
      return Int32(token)
    }
    let first = defaults.marksClasses ? try read("cls") : nil
    let last = defaults.marksClasses ? try read("seperator") : nil
    beginning = if let first { first } else { try read("bos", defaults.beginning) }
    end = if let last { last } else { try read("eos", defaults.end) }
    unknown = try read("unknown", defaults.unknown)
    endOfTurn = try read("eot")
    endOfMessage = try read("eom")
  }
}

extension Vocabulary {
  /// The control, unknown and user-defined tokens, and those of them whose names end a model's
  /// answer. Such a name is a control token even where the file calls it user-defined, so that no
  /// user's text can end a turn. O(tokens).
  func specialTokens() -> (kinds: [Int32: TokenKind], ends: Set<Int32>) {
    var kinds: [Int32: TokenKind] = [:]
    var ends: Set<Int32> = []
    for token in 0..<Int32(count) {
      let kind = kind(token)
      guard kind == .control || kind == .userDefined || kind == .unknown else { continue }
      kinds[token] = kind
      guard kind != .unknown, isEndName(token) else { continue }
      kinds[token] = .control
      ends.insert(token)
    }
    return (kinds, ends)
  }

  /// The tokens that take white space along, which GGUF has no key for: what lies after them, of Phi 3's
  /// all special ones but three (its tokenizer.json, `rstrip`); what lies before it, the mask of unigram
  /// vocabularies (transformers, `XLMRobertaTokenizer` and its kin). O(special tokens).
  func stripping(
    _ metadata: GGUFMetadata, _ model: TokenizerModel, _ kinds: [Int32: TokenKind]
  ) -> SpecialTokens.Stripping {
    func tokens(_ isWanted: (String) -> Bool) -> Set<Int32> {
      Set(kinds.keys.filter { token in withText(token) { isWanted($0.text) } })
    }
    if case .unigram = model { return .init(before: tokens { $0 == "<mask>" }) }
    guard case .string("phi3")? = metadata["general.architecture"], scores != nil else { return .init() }
    return .init(after: tokens { !["<unk>", "<s>", "<|endoftext|>"].contains($0) })
  }

  private func isEndName(_ token: Int32) -> Bool {
    withText(token) { $0.byteCount <= EndNames.longest && EndNames.all.contains($0.text) }
  }
}

/// What encoding needs, made once.
struct TokenizerTables: Sendable {
  enum Encoding: Sendable {
    case byteLevel(ByteLevelEncoding)
    case pieces(PieceEncoding)
    case wordPiece(WordPieceEncoding)
    case unigram(UnigramEncoding)

    var missingBytes: [UInt8] {
      switch self {
      case .byteLevel(let encoding): encoding.missingBytes
      case .pieces(let encoding): encoding.missingBytes
      case .wordPiece(let encoding): encoding.missingBytes
      case .unigram(let encoding): encoding.missingBytes
      }
    }
  }

  let index: TokenIndex
  let special: SpecialTokens
  let encoding: Encoding

  /// O(bytes of the vocabulary and the merges).
  init(
    _ vocabulary: Vocabulary, _ model: TokenizerModel, special: [Int32: TokenKind], unknown: Int32?,
    stripping: SpecialTokens.Stripping
  ) {
    index = TokenIndex(vocabulary)
    self.special = SpecialTokens(vocabulary, kinds: special, stripping: stripping)
    switch model {
    case .byteLevel(let rules, let merges): encoding = .byteLevel(ByteLevelEncoding(rules, merges, index))
    case .pieces(let addsSpacePrefix):
      encoding = .pieces(PieceEncoding(index, unknown: unknown, addsSpacePrefix: addsSpacePrefix))
    case .wordPiece(let lowercase, let stripAccents):
      encoding = .wordPiece(
        WordPieceEncoding(index, unknown: unknown, lowercase: lowercase, stripAccents: stripAccents))
    case .unigram(let normalizer):
      encoding = .unigram(UnigramEncoding(vocabulary, unknown: unknown, normalizer))
    }
  }
}
