import ArgumentParser
import DuetRuntime
import DuetTerminal

/// `duet embed`: vectors of texts.
struct EmbedCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "embed",
    abstract: "Turn texts into vectors whose cosines say how close their meanings are.",
    discussion: """
      Each text given becomes one line of numbers; of a file, or of standard input, each line is a text. \
      Vectors have unit length. The model is a sentence encoder of the BERT family.

      Examples:
        duet embed "A cat sat on the mat."
        duet embed --compare "A cat sat." "A kitten lay." "Shares fell."
        duet embed --json --file lines.txt > vectors.jsonl
      """)

  @Argument(help: "The texts.")
  var texts: [String] = []
  @Option(
    help: ArgumentHelp("Take each line of this file as a text.", valueName: "file"), completion: .file())
  var file: String?
  @Flag(help: "Print the cosine of the first text and each other one instead.")
  var compare = false
  @Flag(help: "Print one JSON object for each text.")
  var json = false
  @Option(
    help: ArgumentHelp(
      "A sentence encoder: a path, or a name in the models folder (default: \(ModelFiles.encoderName)).",
      valueName: "path|name"),
    completion: .file(extensions: ["gguf"]))
  var model: String?
  @Option(help: "Threads that compute (default: one per core).")
  var threads: Int?

  private struct Record: Encodable {
    let text: String
    let vector: [Float]?
    let cosine: Double?
  }

  func validate() throws {
    try check("--threads", threads, 1...1_024)
    if file != nil, !texts.isEmpty { throw ValidationError("texts and --file exclude each other") }
  }

  func run() async throws {
    let encoder = try SentenceEncoder(
      path: try ModelFiles.path(model ?? ModelFiles.encoderName), threads: threads, kernels: Folders.kernels)
    let texts = try self.texts.isEmpty ? lines() : self.texts
    guard !compare || texts.count >= 2 else { throw ValidationError("--compare needs two texts or more") }
    let progress = Progress("embedding", unit: "texts")
    var first: [Float]?
    for start in stride(from: 0, to: texts.count, by: 64) {
      try Task.checkCancellation()
      let batch = Array(texts[start..<min(texts.count, start + 64)])
      for (text, vector) in zip(batch, encoder.vectors(of: batch)) {
        if compare, first == nil { first = vector } else { try show(text, vector, first) }
      }
      progress.update(start + batch.count, of: texts.count)
    }
  }

  private func lines() throws -> [String] {
    try Input.text(file).split(whereSeparator: \.isNewline).map(String.init)
  }

  private func show(_ text: String, _ vector: [Float], _ first: [Float]?) throws {
    let cosine = first.map { zip($0, vector).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
    if json { return try printJSON(Record(text: text, vector: cosine == nil ? vector : nil, cosine: cosine)) }
    guard let cosine else { return try say(vector.map { "\($0)" }.joined(separator: " ")) }
    try say("\(Figures.fixed(cosine, 4))  \(text)")
  }
}
