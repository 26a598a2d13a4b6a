import Synchronization

/// Turns text into a model's tokens and back, as the model's file describes it.
///
/// Text is bytes, normally UTF-8. Bytes that are not stay apart from letters and are encoded one by
/// one, so that `decode(encode(text))` gives `text` back, with these exceptions: a byte-level
/// vocabulary may lack some bytes (`missingBytes`), in SentencePiece vocabularies `▁` (U+2581) is a
/// space, and WordPiece and unigram vocabularies normalise text and know not all characters.
///
/// Opening reads the special tokens only; the tables for encoding are made by the first call that
/// needs them. All calls may come from several threads at once.
public final class Tokenizer: Sendable {
  /// The kinds that can be read, as `tokenizer.ggml.model` names them.
  public static let knownModels = ["gpt2", "llama", "bert", "t5"]

  /// How many tokens there are, numbered from 0.
  public let vocabularySize: Int
  /// The token that starts a text (BOS).
  public let beginningOfText: Int32?
  /// The token that ends a text (EOS).
  public let endOfText: Int32?
  /// The tokens after which a model has said all: the ends of a text, a turn or a message.
  public let endsGeneration: Set<Int32>
  /// Whether the model expects `beginningOfText` before a prompt.
  public let addsBeginning: Bool
  /// Whether the model expects `endOfText` after a text.
  public let addsEnd: Bool

  private let vocabulary: Vocabulary
  private let model: TokenizerModel
  private let unknown: Int32?
  private let specialKinds: [Int32: TokenKind]
  private let stripping: SpecialTokens.Stripping
  private let tables = Mutex<TokenizerTables?>(nil)

  /// Reads the `tokenizer.ggml` keys.
  ///
  /// - Complexity: O(tokens).
  /// - Throws: `TokenizerError`, naming the key.
  public init(metadata: GGUFMetadata) throws(TokenizerError) {
    var vocabulary = try Vocabulary(metadata: metadata)
    model = try TokenizerModel(metadata: metadata)
    let ids = try SpecialIDs(metadata: metadata, count: vocabulary.count, defaults: model.defaults)
    vocabulary.controls = ids.named.filter { vocabulary.kind($0) == .normal }
    self.vocabulary = vocabulary
    let (kinds, ends) = vocabulary.specialTokens()
    vocabularySize = vocabulary.count
    beginningOfText = ids.beginning
    endOfText = ids.end
    unknown = ids.unknown
    endsGeneration = ends.union([ids.end, ids.endOfTurn, ids.endOfMessage].compactMap { $0 })
    specialKinds = kinds
    stripping = vocabulary.stripping(metadata, model, kinds)
    do {
      addsBeginning = try metadata.bool("tokenizer.ggml.add_bos_token") ?? model.defaults.addsBeginning
      addsEnd = try metadata.bool("tokenizer.ggml.add_eos_token") ?? model.defaults.addsEnd
    } catch { throw .metadata(error) }
  }

  private var ready: TokenizerTables {
    tables.withLock { tables in
      if let tables { return tables }
      let made = TokenizerTables(
        vocabulary, model, special: specialKinds, unknown: unknown, stripping: stripping)
      tables = made
      return made
    }
  }

  /// The tokens of `text`.
  ///
  /// - Parameters:
  ///   - text: UTF-8; other bytes are encoded one by one.
  ///   - parseSpecial: whether the names of control tokens in the text become these tokens. Leave it
  ///     off for text that comes from a user.
  ///   - addBeginning: whether `beginningOfText` is put first, where there is one.
  ///   - addEnd: whether `endOfText` is put last, where there is one.
  /// - Complexity: O(n log w) for words of w bytes.
  public func encode(
    _ text: [UInt8], parseSpecial: Bool = false, addBeginning: Bool = false, addEnd: Bool = false
  ) -> [Int32] {
    var tokens: [Int32] = []
    if addBeginning, let beginningOfText { tokens.append(beginningOfText) }
    append(text, parseSpecial: parseSpecial, guards: [], &tokens)
    if addEnd, let endOfText { tokens.append(endOfText) }
    return tokens
  }

  private func append(_ text: [UInt8], parseSpecial: Bool, guards: [Int], _ tokens: inout [Int32]) {
    let tables = ready
    switch tables.encoding {
    case .byteLevel(let encoding):
      encoding.encode(text.span, tables.special, parseSpecial: parseSpecial, guards: guards.span, &tokens)
    case .pieces(let encoding):
      encoding.encode(text.span, tables.special, parseSpecial: parseSpecial, guards: guards.span, &tokens)
    case .wordPiece(let encoding):
      encoding.encode(text.span, tables.special, parseSpecial: parseSpecial, guards: guards.span, &tokens)
    case .unigram(let encoding):
      encoding.encode(text.span, tables.special, parseSpecial: parseSpecial, guards: guards.span, &tokens)
    }
  }

  /// `text` with every name of a control token marked as text, for `encode(guarded:)`. O(n).
  package func guarded(_ text: String) -> String {
    guard let bytes = ready.special.guarded(Array(text.utf8)) else { return text }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The tokens of `text`, where the names of control tokens become these tokens unless
  /// `guarded(_:)` marked them: those are encoded as any text is.
  package func encode(guarded text: [UInt8]) -> [Int32] {
    let guarded = GuardedText(text)
    var tokens: [Int32] = []
    append(guarded.bytes, parseSpecial: true, guards: guarded.places, &tokens)
    return tokens
  }

  /// The tokens of `text`; see `encode(_:parseSpecial:addBeginning:addEnd:)`.
  public func encode(
    _ text: String, parseSpecial: Bool = false, addBeginning: Bool = false, addEnd: Bool = false
  ) -> [Int32] {
    encode(Array(text.utf8), parseSpecial: parseSpecial, addBeginning: addBeginning, addEnd: addEnd)
  }

  /// The text of `tokens`.
  ///
  /// The space that encoding puts before text, where the vocabulary asks for it, is left out again
  /// at the start. Use `bytes(of:special:)` for text that continues other text.
  ///
  /// - Parameters:
  ///   - tokens: numbers that are no tokens have no text.
  ///   - special: whether control tokens are rendered by their names, not left out.
  public func decode(_ tokens: [Int32], special: Bool = false) -> [UInt8] {
    var result: [UInt8] = []
    var prefixed = model.addsSpacePrefix
    for token in tokens {
      let bytes = bytes(of: token, special: special)
      let drop = prefixed && !isSpecial(token) && bytes.first == 0x20
      result.append(contentsOf: drop ? bytes.dropFirst() : bytes[...])
      prefixed = prefixed && isSpecial(token)
    }
    return result
  }

  /// The bytes that `token` adds to a text, which need not be whole characters; none when there is
  /// no such token.
  ///
  /// - Parameters:
  ///   - token: its number.
  ///   - special: whether a control token is rendered by its name, not left out.
  public func bytes(of token: Int32, special: Bool = false) -> [UInt8] {
    let text = vocabulary.bytes(token)
    if let kind = specialKinds[token] { return special || kind == .userDefined ? text : [] }
    return model.render(text, isByte: !text.isEmpty && vocabulary.kind(token) == .byte)
  }

  /// The token whose text in the vocabulary is `name`, or nil.
  public func token(named name: String) -> Int32? {
    Array(name.utf8).withRaw(ready.index.token)
  }

  /// The text of `token` as the vocabulary has it, for display; empty when there is no such token.
  public func text(of token: Int32) -> String { vocabulary.bytes(token).withRaw { $0.text } }

  /// Whether `token` is a control or unknown token, which ordinary text never becomes.
  public func isSpecial(_ token: Int32) -> Bool {
    switch specialKinds[token] {
    case .control, .unknown: true
    default: false
    }
  }

  /// The bytes that no token stands for and encoding leaves out, as the vocabularies' own
  /// implementations do. SmolLM2 lacks 21: those never found in UTF-8, and some control characters.
  public var missingBytes: [UInt8] { ready.encoding.missingBytes }
}
