import ArgumentParser
import Foundation

/// Opens many damaged and lying models, adapters, checkpoints, encoders and pictures and checks that each is refused or
/// accepted, in time and within bounds of memory, and that none brings the process down.
@main
struct Hostile: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "duet-hostile",
    abstract:
      "Opens mutants of a model or of other files; exits 1 if one traps, hangs or takes too much memory.")

  @Argument(help: "A sound GGUF file to make mutants of; a tiny model is made where none is given.")
  var model: String?

  @Option(help: "A folder of sound JPEG and PNG files to make mutants of, in place of a model.")
  var images: String?

  @Flag(help: "Make mutants of an adapter of the tiny model, in place of a model.")
  var adapter = false
  @Flag(help: "Make mutants of documents, chat templates and vocabularies, in place of a model.")
  var texts = false

  @Flag(help: "Make mutants of sentence encoders, folders and files, in place of a model.")
  var encoders = false

  @Flag(help: "Make mutants of tiny checkpoint folders, in place of a model.")
  var checkpoints = false

  @Option(help: "How many mutants.")
  var count = 10_000

  @Option(help: "The seed; a mutant depends on the model, the seed and its number.")
  var seed: UInt64 = 1

  @Option(help: "The number of the first mutant.")
  var first = 0

  @Option(help: "Worker processes at a time.")
  var jobs = 2

  @Option(help: "Seconds of work that a mutant may take.")
  var timeLimit = 2.0

  @Option(help: "The folder in which mutants that fail are kept.")
  var keep = "."

  @Flag(help: "Write the first mutant to the folder of --keep and exercise it in this process.")
  var single = false

  @Flag(help: .hidden)
  var worker = false

  func validate() throws {
    guard count > 0, first >= 0, jobs > 0, timeLimit > 0 else {
      throw ValidationError("--count, --jobs and --time-limit must be above 0, --first 0 or more")
    }
  }

  func run() throws {
    let mutator = try source()
    if worker { return try Worker(mutator: mutator, timeLimit: timeLimit).run(first..<first + count) }
    if single { return try runSingle(mutator) }
    let failures = Supervisor(range: first..<first + count, arguments: workerArguments).run(jobs: jobs)
    for failure in failures {
      print("mutant \(failure.number) \(failure.problem); kept as \(try save(failure.number, mutator))")
    }
    if !failures.isEmpty { throw ExitCode.failure }
  }

  private func source() throws -> any MutantSource {
    if adapter { return try AdapterMutator(seed: seed) }
    if texts { return try TextMutator(seed: seed) }
    if let images { return try ImageMutator(folder: images, seed: seed) }
    if encoders { return try EncoderMutator(seed: seed) }
    if checkpoints {
      return CheckpointMutator(seed: seed, seeds: SeedCheckpoint.decoders, open: exerciseCheckpoint)
    }
    let bytes = try model.map { [UInt8](try Data(contentsOf: URL(filePath: $0))) } ?? SeedModel.bytes()
    return try Mutator(model: bytes, seed: seed)
  }

  private var workerArguments: [String] {
    var arguments = ["--seed", "\(seed)", "--time-limit", "\(timeLimit)"]
    if let model { arguments.append(model) }
    if let images { arguments += ["--images", images] }
    let flags = [
      ("--adapter", adapter), ("--checkpoints", checkpoints), ("--texts", texts), ("--encoders", encoders),
    ]
    return arguments + flags.filter(\.1).map(\.0)
  }

  private func runSingle(_ mutator: any MutantSource) throws {
    let path = try save(first, mutator)
    print("mutant \(first), \(path): \(mutator.mutant(first).story)")
    print(mutator.exercise(path: path))
  }

  /// Writes a mutant where it can be looked at.
  private func save(_ number: Int, _ mutator: any MutantSource) throws -> String {
    let path = "\(keep)/hostile-\(seed)-\(number).\(mutator.suffix)"
    try Data(mutator.mutant(number).bytes).write(to: URL(filePath: path))
    return path
  }
}
