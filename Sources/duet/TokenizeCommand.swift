import ArgumentParser
import DuetRuntime
import DuetTerminal

/// `duet tokenize`: the tokens of a text.
struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize",
    abstract: "Show the tokens that a text becomes.",
    discussion: """
      Reads standard input where no text is given.

      Examples:
        duet tokenize "Hello, world"
        duet tokenize --special "<|im_start|>user"
        duet tokenize --ids < book.txt > ids.txt
      """)

  @Argument(help: "The text.")
  var text: [String] = []
  @Flag(help: "Names of control tokens in the text become these tokens.")
  var special = false
  @Flag(help: "Print the numbers alone, in one line.")
  var ids = false
  @Flag(help: "Print one JSON object.")
  var json = false
  @OptionGroup var model: ModelOption

  private struct TokenRecord: Encodable {
    let id: Int32
    let piece: String
  }
  private struct Record: Encodable {
    let count: Int
    let tokens: [TokenRecord]
  }

  func validate() throws {
    if ids && json { throw ValidationError("--ids and --json exclude each other") }
  }

  func run() throws {
    // Opened by its metadata alone: a model that cannot be run can still be tokenized with.
    let tokenizer = try Tokenizer(metadata: try Model.file(path: try ModelFiles.path(model.model)).metadata)
    let bytes = text.isEmpty ? try Input.bytes(nil) : Array(text.joined(separator: " ").utf8)
    let tokens = tokenizer.encode(bytes, parseSpecial: special)
    if ids { return try say(tokens.map { "\($0)" }.joined(separator: " ")) }
    guard json else { return try show(tokens, tokenizer) }
    let records = tokens.map { TokenRecord(id: $0, piece: piece($0, tokenizer)) }
    try printJSON(Record(count: tokens.count, tokens: records))
  }

  private func piece(_ token: Int32, _ tokenizer: Tokenizer) -> String {
    String(decoding: tokenizer.bytes(of: token, special: true), as: UTF8.self)
  }

  private func show(_ tokens: [Int32], _ tokenizer: Tokenizer) throws {
    var table = Table([("id", .right), ("piece", .left)])
    for token in tokens {
      table.append(["\(token)", Self.quoted(tokenizer.bytes(of: token, special: true))])
    }
    if !tokens.isEmpty { try say(table.lines.joined(separator: "\n")) }
    try say("\(Figures.grouped(tokens.count)) \(tokens.count == 1 ? "token" : "tokens")")
  }

  /// In quotes, with what cannot be seen, and bytes that are part of a character, escaped.
  private static func quoted(_ bytes: [UInt8]) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      return "\"" + bytes.map { $0 < 0x80 ? quoted(UnicodeScalar($0)) : hexadecimal($0) }.joined() + "\""
    }
    return "\"" + text.unicodeScalars.map(quoted).joined() + "\""
  }

  private static func quoted(_ scalar: UnicodeScalar) -> String {
    scalar.value < 0xA0 ? scalar.escaped(asASCII: false) : String(scalar)
  }

  private static func hexadecimal(_ byte: UInt8) -> String {
    "\\x" + String(byte, radix: 16, uppercase: true)
  }
}
