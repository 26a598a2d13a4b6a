/// What a token is for, numbered as in the GGUF specification (`tokenizer.ggml.token_type`).
enum TokenKind: Int32 {
  case normal = 1
  case unknown = 2
  /// Marks a place, such as the end of a turn; never made from ordinary text.
  case control = 3
  /// Matched in the text before anything else.
  case userDefined = 4
  case unused = 5
  /// Stands for one byte, which its text names: `<0x0A>`.
  case byte = 6
}

/// The tokens of a model, left where they lie in the file: their texts, kinds and scores.
struct Vocabulary: Sendable {
  static let tokensKey = "tokenizer.ggml.tokens"
  static let kindsKey = "tokenizer.ggml.token_type"
  static let scoresKey = "tokenizer.ggml.scores"

  /// Four times the largest vocabulary in use; keeps tables small beside any file.
  static let mostTokens = 1 << 20

  /// How many tokens there are, 1 to `mostTokens`.
  let count: Int
  /// Bytes of the longest token.
  let longest: Int
  private let tokens: GGUFArray
  private let kinds: GGUFArray?
  let scores: GGUFArray?
  /// Tokens that are control tokens whatever the file calls them: those that start or end a text.
  var controls: Set<Int32> = []
  /// Where each token's bytes start within the array, and after the last one where the array ends;
  /// the 8 bytes before a start are that token's length.
  private let starts: [UInt32]

  /// Finds the tokens' places. O(n).
  init(metadata: GGUFMetadata) throws(TokenizerError) {
    let path = metadata.path
    do {
      let array = try metadata.array(Self.tokensKey, of: [.string])
      tokens = try metadata.required(Self.tokensKey, array)
      kinds = try metadata.array(Self.kindsKey, of: [.int32, .uint32])
      scores = try metadata.array(Self.scoresKey, of: [.float32])
    } catch { throw .metadata(error) }
    count = tokens.count
    guard count > 0, count <= Self.mostTokens, tokens.byteCount < Int(UInt32.max) else {
      throw .unusableSize(path: path, key: Self.tokensKey, count: count, limit: Self.mostTokens)
    }
    for (key, array) in [(Self.kindsKey, kinds), (Self.scoresKey, scores)] {
      guard let array, array.count != count else { continue }
      throw .countMismatch(path: path, key: key, count: array.count, expected: count)
    }
    (starts, longest) = Self.starts(tokens)
  }

  private static func starts(_ tokens: GGUFArray) -> ([UInt32], longest: Int) {
    var starts: [UInt32] = []
    starts.reserveCapacity(tokens.count + 1)
    var offset = 8
    var longest = 0
    tokens.forEachString { _, bytes in
      starts.append(UInt32(truncatingIfNeeded: offset))
      longest = max(longest, bytes.byteCount)
      offset += bytes.byteCount + 8
    }
    starts.append(UInt32(truncatingIfNeeded: offset))
    return (starts, longest)
  }

  func contains(_ token: Int32) -> Bool { token >= 0 && Int(token) < count }

  /// Calls `body` with the text of `token`, which must be one of the vocabulary.
  @inline(__always)
  func withText<R>(_ token: Int32, _ body: (RawSpan) -> R) -> R {
    let start = Int(starts[Int(token)])
    let end = Int(starts[Int(token) + 1]) - 8
    return tokens.withBytes(start..<end, body)
  }

  /// Calls `body` with each token and its text, in order. O(n).
  func forEach(_ body: (Int32, RawSpan) -> Void) {
    tokens.forEachString { index, bytes in body(Int32(truncatingIfNeeded: index), bytes) }
  }

  /// A copy of the text of `token`; empty when there is no such token.
  func bytes(_ token: Int32) -> [UInt8] {
    guard contains(token) else { return [] }
    return withText(token) { text in
      var bytes: [UInt8] = []
      bytes.append(text)
      return bytes
    }
  }

  /// What `token`, which must be one of the vocabulary, is for; kinds that no specification names
  /// count as normal.
  func kind(_ token: Int32) -> TokenKind {
    guard !controls.contains(token) else { return .control }
    guard let kinds else { return .normal }
    let start = 4 * Int(token)
    let raw = kinds.withBytes(start..<start + 4) { $0.littleEndian(Int32.self, at: 0) }
    return TokenKind(rawValue: raw) ?? .normal
  }

  /// The score of `token`, which must be one of the vocabulary; 0 where the file has none.
  func score(_ token: Int32) -> Float {
    guard let scores else { return 0 }
    let start = 4 * Int(token)
    return Float(
      bitPattern: scores.withBytes(start..<start + 4) { $0.littleEndian(UInt32.self, at: 0) })
  }
}

extension [UInt8] {
  /// Appends bytes of a mapped file. O(n).
  mutating func append(_ bytes: RawSpan) {
    reserveCapacity(count + bytes.byteCount)
    for offset in 0..<bytes.byteCount { append(bytes.littleEndian(UInt8.self, at: offset)) }
  }
}
