import ArgumentParser
import DuetRouter
import DuetRuntime
import DuetTerminal
import Foundation

/// `duet eval`: compares the tunings of a pair with each other and with what routes between them.
struct EvalCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Measure what a pair's tunings and its router are good for.",
    discussion: """
      Asks the base, both tunings and any further arms questions of five kinds: with the passage that answers \
      them, with that passage among others, with a passage that contradicts the world, without any, and \
      instructions. Written are eval.md, eval.json and eval.html, and the answers, from which a run that was \
      stopped goes on.

      DATA holds squad.dev.jsonl, popqa.dev.jsonl, conflictnq.dev.jsonl, webquestions.dev.jsonl and dolly.dev.jsonl. \
      With clapnq.dev.jsonl beside them, how often an arm says that a passage does not answer is counted, too.

      Examples:
        duet eval --pair pair.json --data DATA --out results
        duet eval --data DATA --out results --arm mixed=mixed.gguf --questions 60
      """)

  @Option(
    help: ArgumentHelp(
      "The manifest of a pair of adapters, or its folder (default: the pair that comes with Duet).",
      valueName: "path"),
    completion: .file(extensions: ["json"]))
  var pair: String?
  @Option(help: ArgumentHelp("The folder of questions.", valueName: "folder"), completion: .directory)
  var data: String
  @Option(help: ArgumentHelp("The folder for results.", valueName: "folder"), completion: .directory)
  var out: String
  @Option(
    name: .customLong("arm"),
    help: ArgumentHelp("A further adapter of the base; may be given several times.", valueName: "name=file"))
  var arms: [String] = []
  @Option(
    help: ArgumentHelp(
      "Rows that tunings were trained on: half of --questions more of those without context are theirs.",
      valueName: "file"),
    completion: .file(extensions: ["jsonl"]))
  var trained: String?
  @Option(help: "Questions of each kind.")
  var questions = 300
  @Option(help: "The half of each file that is asked: choosing or reporting.")
  var half = EvaluationSet.Half.reporting
  @OptionGroup var encoder: EncoderOption
  @OptionGroup var engine: EngineFlags

  func validate() throws {
    try check("--questions", questions, 1...100_000)
    for arm in arms where Self.parts(arm) == nil {
      throw ValidationError("--arm is \(arm); give NAME=FILE, such as mixed=mixed.gguf")
    }
  }

  private static func parts(_ arm: String) -> (name: String, path: String)? {
    let parts = arm.split(separator: "=", maxSplits: 1).map(String.init)
    return parts.count == 2 ? (parts[0], parts[1]) : nil
  }

  func run() async throws {
    let set = try EvaluationSet(
      folder: Folders.expanded(data), half: half, count: questions, trained: trained.map(Folders.expanded))
    guard let manifest = pair ?? DefaultPair.path else {
      throw ValidationError("no pair comes with this program; give one with --pair")
    }
    let pair = try PairFiles(manifest).open(engine.options, seesPictures: false, encoder: try encoder.open())
    let folder = Folders.expanded(out)
    try Folders.makePrivate(folder)
    let log = RecordLog(path: folder + "/answers-\(half.rawValue).jsonl")
    var evaluation = Evaluation(
      set.questions, arms: try allArms(pair), router: pair.router, known: try log.read())
    let bar = Progress("asking", unit: "questions")
    try await evaluation.run(progress: { bar.update($0, of: $1) }, keep: log.append)
    bar.clear()
    let report = EvaluationReport(evaluation)
    try write(report, title: "\(pair.name), \(half.rawValue) half", to: folder)
    try say(report.markdown.trimmingCharacters(in: .newlines))
  }

  private func allArms(_ pair: Pair) throws -> [Evaluation.Arm] {
    let base = Pair.Voice(engine: pair.free.engine, tuning: nil)
    // A pair of whole models has no base to ask.
    let first = pair.free.tuning == nil ? [] : [Evaluation.Arm(name: "base", voice: base)]
    let further = try arms.compactMap(Self.parts).map { name, path in
      Evaluation.Arm(
        name: name,
        voice: Pair.Voice(
          engine: base.engine, tuning: try AdapterOption.open(path, for: base.engine.model)))
    }
    return first
      + [
        Evaluation.Arm(name: Evaluation.free, voice: pair.free),
        Evaluation.Arm(name: Evaluation.grounded, voice: pair.grounded),
      ] + further
  }

  private func write(_ report: EvaluationReport, title: String, to folder: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    let texts = [
      "eval.md": report.markdown, "eval.html": report.html(title: title),
      "eval.json": String(decoding: try encoder.encode(report), as: UTF8.self) + "\n",
    ]
    for (name, text) in texts {
      let file = try OutputFile(path: folder + "/" + name)
      try file.write(text)
      try file.finish()
    }
  }
}

extension EvaluationSet.Half: ExpressibleByArgument {}

/// Records in a file, one JSON object a line; one whose line was cut off is asked for again.
private struct RecordLog {
  let path: String

  func read() throws -> [Evaluation.Record] {
    guard let data = FileManager.default.contents(atPath: path) else { return [] }
    let decoder = JSONDecoder()
    return data.split(separator: 10).compactMap { try? decoder.decode(Evaluation.Record.self, from: $0) }
  }

  func append(_ record: Evaluation.Record) throws {
    let line = try JSONEncoder().encode(record) + Data([10])
    if !FileManager.default.fileExists(atPath: path) {
      guard FileManager.default.createFile(atPath: path, contents: nil) else {
        throw CommandError.cannotWrite(path: path, problem: systemMessage(errno))
      }
    }
    do {
      let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
      defer { try? handle.close() }
      try handle.seekToEnd()
      try handle.write(contentsOf: line)
    } catch { throw CommandError.cannotWrite(path: path, problem: problem(error)) }
  }
}
