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
    let tokenizer = try Tokenizer(metadata: try GGUFFile(path: try ModelFiles.path(model.model)).metadata)
    let bytes = text.isEmpty ? try Input.bytes(nil) : Array(text.joined(separator: " ").utf8)
    let tokens = tokenizer.encode(bytes, parseSpecial: special)
    if ids { return try say(tokens.map { "\($0)" }.joined(separator: " ")) }
    let records = tokens.map { TokenRecord(id: $0, piece: piece($0, tokenizer)) }
    if json { return try printJSON(Record(count: tokens.count, tokens: records)) }
    try show(records)
  }

  private func piece(_ token: Int32, _ tokenizer: Tokenizer) -> String {
    String(decoding: tokenizer.bytes(of: token, special: true), as: UTF8.self)
  }

  private func show(_ records: [TokenRecord]) throws {
    var table = Table([("id", .right), ("piece", .left)])
    for record in records { table.append(["\(record.id)", Self.quoted(record.piece)]) }
    if !records.isEmpty { try say(table.lines.joined(separator: "\n")) }
    try say("\(Figures.grouped(records.count)) \(records.count == 1 ? "token" : "tokens")")
  }

  /// In quotes, with what cannot be seen escaped.
  private static func quoted(_ text: String) -> String {
    "\""
      + text.unicodeScalars.map {
        $0.value < 0x80 || (0x80..<0xA0).contains($0.value) ? $0.escaped(asASCII: false) : String($0)
      }
      .joined() + "\""
  }
}
