/// Turns `tokenizer.json` and `tokenizer_config.json` into the `tokenizer.ggml` keys of GGUF, so that
/// the tokenizer has one input.
///
/// The format is that of the `tokenizers` library (huggingface.co/docs/tokenizers).
struct CheckpointTokenizer {
  let folder: String
  let config: CheckpointConfig
  /// Rows of the embedding.
  let vocabularySize: Int

  /// As many tokens as a vocabulary may have.
  private static let mostTokens = Vocabulary.mostTokens

  private var path: String { folder + "/tokenizer.json" }

  func invalid(_ field: String, _ problem: String) -> CheckpointError {
    .invalid(path: path, field: field, problem: problem)
  }

  /// Adds the keys.
  func add(to pairs: inout MetadataPairs) throws(CheckpointError) {
    let settings = try TokenizerSettings(folder: folder)
    let root = try document(settings).root
    guard let model = root["model"], model.isObject else { throw .missing(path: path, field: "model") }
    var tokens = try TokenList(self, root, model)
    let special = SpecialTokenKeys(root, settings, config: config)
    switch try kind(model) {
    case .byteLevel:
      pairs.set("tokenizer.ggml.model", "gpt2")
      pairs.set("tokenizer.ggml.pre", try PublishedRule.name(of: root, path: path))
      tokens.set(&pairs)
      pairs.set("tokenizer.ggml.merges", .array(GGUFArray(strings: try merges(model))))
    case .pieces:
      let prefixed = addsSpacePrefix(root)
      if settings.value("add_prefix_space")?.bool != nil {
        pairs.set("tokenizer.ggml.add_space_prefix", prefixed)
      }
      pairs.set("tokenizer.ggml.model", "llama")
      pairs.set("tokenizer.ggml.pre", "default")
      tokens.markPieces(unknown: unknownToken(model, settings))
      tokens.set(&pairs)
      pairs.set("tokenizer.ggml.scores", .array(GGUFArray(floats: tokens.scores(merges: try merges(model)))))
      if !prefixed { pairs.set("tokenizer.ggml.add_space_prefix", false) }
    case .wordPiece:
      pairs.set("tokenizer.ggml.token_type_count", try config.integer("type_vocab_size") ?? 1)
      pairs.set("tokenizer.ggml.model", "bert")
      pairs.set("tokenizer.ggml.pre", "default")
      tokens.writeWordStarts()
      tokens.set(&pairs)
    case .unigram:
      pairs.set("tokenizer.ggml.model", "t5")
      pairs.set("tokenizer.ggml.pre", "default")
      tokens.markPieces(unknown: unknownToken(model, settings))
      tokens.set(&pairs)
      pairs.set("tokenizer.ggml.scores", .array(GGUFArray(floats: tokens.unigramScores(model))))
      pairs.set("tokenizer.ggml.add_space_prefix", addsSpacePrefix(root))
    }
    special.set(&pairs, tokenCount: tokens.count)
    setNormalizer(root, &pairs)
    settings.setTemplates(&pairs)
  }

  /// The file, or what it would be of a folder that has a list of words instead.
  private func document(_ settings: TokenizerSettings) throws(CheckpointError) -> JSONDocument {
    let list = folder + "/vocab.txt"
    guard !MappedFile.exists(path), MappedFile.exists(list) else { return try JSONDocument(path: path) }
    let json = try WordList(path: list, settings: settings).json
    let file: MappedFile
    do { file = try MappedFile(path: list, bytes: json) } catch { throw .file(error) }
    do { return try JSONDocument(file: file) } catch { throw .json(error) }
  }

  /// What becomes of capitals and accents, where BERT's rules say something of them.
  private func setNormalizer(_ root: JSONValue, _ pairs: inout MetadataPairs) {
    for step in steps(root["normalizer"], "normalizers") where step["type"]?.string == "BertNormalizer" {
      pairs.set("tokenizer.ggml.normalizer.lowercase", step["lowercase"]?.bool)
      pairs.set("tokenizer.ggml.normalizer.strip_accents", step["strip_accents"]?.bool)
    }
  }

  private enum Kind { case byteLevel, pieces, wordPiece, unigram }

  private func kind(_ model: JSONValue) throws(CheckpointError) -> Kind {
    switch model["type"]?.string {
    case "BPE", nil: return model["byte_fallback"]?.bool == true ? .pieces : .byteLevel
    case "WordPiece": return .wordPiece
    case "Unigram": return .unigram
    case let name?: throw .unsupported(path: path, feature: "a tokenizer of the kind \(name)")
    }
  }

  private func unknownToken(_ model: JSONValue, _ settings: TokenizerSettings) -> String? {
    model["unk_token"]?.string ?? settings.token("unk")
  }

  /// Lines of two parts with a space between; a space within a part becomes the byte-level alphabet's.
  private func merges(_ model: JSONValue) throws(CheckpointError) -> [String] {
    guard let list = model["merges"], list.isArray else { throw .missing(path: path, field: "model.merges") }
    var merges: [String] = []
    try list.forEachElement { (merge) throws(CheckpointError) in
      if let line = merge.string { return merges.append(line) }
      let parts = merge.elements.compactMap(\.string)
      guard parts.count == 2, merge.count == 2 else {
        throw invalid("model.merges", "has an entry of another form than two texts")
      }
      merges.append(parts.map(Self.withoutSpaces).joined(separator: " "))
    }
    return merges
  }

  private static func withoutSpaces(_ part: String) -> String {
    guard part.utf8.contains(0x20) else { return part }
    return String(String.UnicodeScalarView(part.unicodeScalars.map { $0 == " " ? "\u{120}" : $0 }))
  }

  /// Whether a space is put before text, as SentencePiece does unless told otherwise.
  private func addsSpacePrefix(_ root: JSONValue) -> Bool {
    for part in steps(root["normalizer"], "normalizers") where part["type"]?.string == "Prepend" {
      return true
    }
    for part in steps(root["pre_tokenizer"], "pretokenizers") where part["type"]?.string == "Metaspace" {
      if let scheme = part["prepend_scheme"]?.string { return scheme != "never" }
      return part["add_prefix_space"]?.bool ?? true
    }
    return false
  }
}

/// The steps of a sequence, or the one step that there is.
func steps(_ value: JSONValue?, _ list: String) -> [JSONValue] {
  guard let value, value.isObject else { return [] }
  return value["type"]?.string == "Sequence" ? value[list]?.elements ?? [] : [value]
}

/// The tokens of `tokenizer.json` by number: gaps are filled up to the rows of the embedding.
struct TokenList {
  private var texts: [[UInt8]?]
  private var kinds: [TokenKind]
  private var added: Set<Int> = []

  var count: Int { texts.count }

  init(_ tokenizer: CheckpointTokenizer, _ root: JSONValue, _ model: JSONValue) throws(CheckpointError) {
    let size = tokenizer.vocabularySize
    guard size > 0, size <= Vocabulary.mostTokens else {
      throw tokenizer.invalid(
        "the vocabulary", "has \(size) embeddings, where 1 to \(Vocabulary.mostTokens) are allowed")
    }
    texts = [[UInt8]?](repeating: nil, count: size)
    kinds = [TokenKind](repeating: .unused, count: size)
    guard let vocabulary = model["vocab"] else { throw tokenizer.invalid("model", "has no vocab") }
    var index = 0
    try vocabulary.forEachElement { (piece) throws(CheckpointError) in
      try set(index, piece.elements.first?.bytes, .normal, tokenizer)
      index += 1
    }
    try vocabulary.forEachMember { (text, number) throws(CheckpointError) in
      try set(number.integer, text, .normal, tokenizer)
    }
    try root["added_tokens"]?.forEachElement { (token) throws(CheckpointError) in try add(token, tokenizer) }
  }

  private mutating func set(
    _ number: Int?, _ text: [UInt8]?, _ kind: TokenKind, _ tokenizer: CheckpointTokenizer
  ) throws(CheckpointError) {
    guard let number, let text, texts.indices.contains(number) else {
      throw tokenizer.invalid(
        "a token",
        "has the number \(number.map { "\($0)" } ?? "of another form"), where 0 to \(count - 1) is allowed")
    }
    texts[number] = text
    kinds[number] = kind
  }

  private mutating func add(_ token: JSONValue, _ tokenizer: CheckpointTokenizer) throws(CheckpointError) {
    guard let text = token["content"]?.string else {
      throw tokenizer.invalid("added_tokens", "has an entry without content")
    }
    let number = token["id"]?.integer
    let isControl = token["special"]?.bool == true || Self.looksSpecial(text)
    let bytes = isControl ? Array(text.utf8) : Self.withSpaces(text)
    try set(number, bytes, isControl ? .control : .userDefined, tokenizer)
    if let number { added.insert(number) }
  }

  /// Some models mark tokens as ordinary that are none.
  private static func looksSpecial(_ text: String) -> Bool {
    ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].contains(text) || text.hasPrefix("<|") && text.hasSuffix("|>")
      || text.hasPrefix("<｜") && text.hasSuffix("｜>") || text.hasPrefix("<unused") && text.hasSuffix(">")
  }

  /// User-defined tokens are matched in the text as it is: `▁` stands for a space in pieces only.
  private static func withSpaces(_ text: String) -> [UInt8] {
    Array(String(String.UnicodeScalarView(text.unicodeScalars.map { $0 == "\u{2581}" ? " " : $0 })).utf8)
  }

  /// Marks the tokens of a vocabulary of pieces that stand for a byte or for what is unknown.
  mutating func markPieces(unknown: String?) {
    let unknown = unknown.map { Array($0.utf8) }
    for index in texts.indices {
      guard let text = texts[index] else { continue }
      if Self.isByte(text) { kinds[index] = .byte }
      if text == unknown { kinds[index] = .unknown }
    }
  }

  private static func isByte(_ text: [UInt8]) -> Bool {
    text.count == 6 && text.starts(with: "<0x".utf8) && text[5] == UInt8(ascii: ">")
      && text[3].hexadecimalValue != nil && text[4].hexadecimalValue != nil
  }

  /// Words begin with `▁` and what continues them with nothing, instead of nothing and `##`.
  mutating func writeWordStarts() {
    for index in texts.indices where kinds[index] != .control {
      guard let text = texts[index] else { continue }
      texts[index] = text.starts(with: "##".utf8) ? Array(text.dropFirst(2)) : PieceEncoding.space + text
    }
  }

  func set(_ pairs: inout MetadataPairs) {
    let names = texts.enumerated().map { index, text in
      text.map { String(decoding: $0, as: UTF8.self) } ?? "[PAD\(index)]"
    }
    pairs.set("tokenizer.ggml.tokens", .array(GGUFArray(strings: names)))
    pairs.set("tokenizer.ggml.token_type", .array(GGUFArray(integers: kinds.map(\.rawValue))))
  }

  /// Scores that make merging by score do what the list of merges says: the first piece that the list
  /// makes has the highest. Files of SentencePiece number their scores so.
  func scores(merges: [String]) -> [Float] {
    // Bytes, for hashing n combining marks as text takes n² steps.
    var order: [[UInt8]: Int] = [:]
    for merge in merges {
      let bytes = Array(merge.utf8)
      guard let space = bytes.firstIndex(of: 0x20) else { continue }
      let whole = Array(bytes[..<space] + bytes[(space + 1)...])
      if order[whole] == nil { order[whole] = order.count }
    }
    // Pieces that no merge makes, single characters, follow in the order of their numbers.
    var next = order.count
    return texts.enumerated().map { index, text in
      guard let text else { return -10_000 }
      if added.contains(index) { return -1_000 }
      guard kinds[index] == .normal else { return 0 }
      if let place = order[text] { return -Float(place) }
      defer { next += 1 }
      return -Float(next)
    }
  }

  /// Logarithms of probabilities, as the file states them.
  func unigramScores(_ model: JSONValue) -> [Float] {
    var scores = [Float](repeating: -1_000, count: count)
    var index = 0
    model["vocab"]?.forEachElement { piece in
      if index < count { scores[index] = Float(piece.elements.last?.number ?? 0) }
      index += 1
    }
    return scores
  }
}
