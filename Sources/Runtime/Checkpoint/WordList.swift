/// The `vocab.txt` of older BERT checkpoints, a token in each line, as the `tokenizer.json` that later
/// ones have (github.com/google-research/bert; transformers, `BertTokenizer`).
struct WordList {
  private let lines: [ArraySlice<UInt8>]
  private let lowercases: Bool
  /// The texts of special tokens by their roles.
  private let roles: [String: [UInt8]]

  /// Larger than any list of words.
  private static let maximumBytes = 1 << 26
  private static let usual = [
    ("pad", "[PAD]"), ("unk", "[UNK]"), ("cls", "[CLS]"), ("sep", "[SEP]"), ("mask", "[MASK]"),
  ]

  init(path: String, settings: TokenizerSettings) throws(CheckpointError) {
    let file: MappedFile
    do { file = try MappedFile(path: path) } catch { throw .file(error) }
    guard file.count <= Self.maximumBytes else {
      throw .invalid(path: path, field: "the file", problem: "is larger than any list of words")
    }
    let bytes = file.bytes(0..<file.count)
    // Counted first, for a line takes more memory than its bytes.
    guard bytes.count(where: { $0 == 0x0A }) <= Vocabulary.mostTokens else {
      throw .invalid(path: path, field: "the file", problem: "has more than \(Vocabulary.mostTokens) lines")
    }
    lines = Self.lines(bytes)
    lowercases = settings.value("do_lower_case")?.bool ?? true
    var roles: [String: [UInt8]] = [:]
    for (role, text) in Self.usual { roles[role] = Array((settings.token(role) ?? text).utf8) }
    for role in ["unk", "cls", "sep"] where !lines.contains(where: { $0.elementsEqual(roles[role] ?? []) }) {
      throw .missing(path: path, field: "line for the token \(role)")
    }
    self.roles = roles
  }

  private static func lines(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    return lines.map { $0.last == 0x0D ? $0.dropLast() : $0 }
  }

  /// The bytes of the `tokenizer.json`. O(bytes).
  var json: [UInt8] {
    func quoted(_ role: String) -> String {
      String(decoding: Self.quoted(roles[role, default: []][...]), as: UTF8.self)
    }
    func end(_ role: String) -> String { #"{"SpecialToken":{"id":\#(quoted(role)),"type_id":0}}"# }
    let added = Self.usual.compactMap { role, _ in
      lines.firstIndex { $0.elementsEqual(roles[role] ?? []) }.map {
        #"{"id":\#($0),"content":\#(quoted(role)),"special":true,"normalized":false}"#
      }
    }
    var bytes = Array(
      (#"{"added_tokens":[\#(added.joined(separator: ","))],"#
        + #""normalizer":{"type":"BertNormalizer","lowercase":\#(lowercases)},"#
        + #""pre_tokenizer":{"type":"BertPreTokenizer"},"#
        + #""post_processor":{"type":"TemplateProcessing","#
        + #""single":[\#(end("cls")),{"Sequence":{"id":"A","type_id":0}},\#(end("sep"))],"pair":[]},"#
        + #""model":{"type":"WordPiece","unk_token":\#(quoted("unk")),"vocab":{"#).utf8)
    for (number, line) in lines.enumerated() {
      bytes += Self.quoted(line) + Array((number + 1 < lines.count ? ":\(number)," : ":\(number)").utf8)
    }
    return bytes + Array("}}}".utf8)
  }

  private static func quoted(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var result: [UInt8] = [0x22]
    for byte in text {
      switch byte {
      case 0x22, 0x5C: result += [0x5C, byte]
      case 0..<0x20: result += Array("\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8)
      default: result.append(byte)
      }
    }
    return result + [0x22]
  }
}
