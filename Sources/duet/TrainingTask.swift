import ArgumentParser
import DuetRuntime
import DuetTerminal
import DuetTrainer
import DuetVision

/// What a training is of: where its data come from, and how its result is written.
struct TrainingTask {
  /// In a word, for titles.
  let label: String
  /// Of the card.
  let title: String
  /// What a run must have in common with the one that it continues.
  let identity: [(name: String, value: String)]
  /// Prepares a run that begins.
  let begin: (_ trainer: Trainer) throws -> Void
  /// Reads files; what is measured on is not disturbed.
  let read: (_ paths: [String], _ isMeasured: Bool) throws -> TrainingData
  /// Writes what is trained under a path and a name.
  let write: (_ trainer: Trainer, _ path: String, _ name: String) throws -> Void

  /// Rows of instructions.
  static func rows(_ arm: TrainingArm, _ rows: RowFlags, _ model: Model, seed: UInt64) -> TrainingTask {
    TrainingTask(
      label: arm.rawValue, title: "A \(arm.rawValue) tuning of \(model.name)",
      identity: [("--arm", arm.rawValue)], begin: { _ in },
      read: { paths, isMeasured in
        var options = try rows.options(arm, seed: seed)
        // What is measured stays as it is, so that runs can be compared.
        if isMeasured { (options.distractors, options.unanswerable) = (0, 0) }
        let bar = Progress("reading rows", unit: "rows")
        defer { bar.clear() }
        return try TrainingData(
          paths: paths.map(Folders.expanded), model: model, options: options,
          progress: { bar.update($0, of: $1) })
      },
      write: { trainer, path, name in try trainer.writeTuning(path, name: name) })
  }
}

/// How a model is taught to see.
struct VisionFlags: ParsableArguments {
  enum Objective: String, ExpressibleByArgument, CaseIterable { case likelihood, cider }

  static let defaultQuestion = "Describe the picture in one sentence."

  @Option(
    name: .customLong("vision"),
    help: ArgumentHelp(
      "Train a projector of this encoder's features, an mmproj GGUF file; where it has a projector, that goes on.",
      valueName: "file"),
    completion: .file(extensions: ["gguf"]))
  var encoder: String?
  @Option(help: "Values between a new projector's two layers.")
  var hidden = 1_024
  @Option(help: "What the model is asked about each picture, and answers with a caption.")
  var question = Self.defaultQuestion

  @Flag(inversion: .prefixedNo, help: "Train on each picture as a mirror shows it, too.")
  var mirror = true
  @Option(
    help: ArgumentHelp(
      "likelihood learns the captions that are given, cider from captions drawn: how well they agree with those.",
      valueName: "objective"))
  var objective = Objective.likelihood
  @Option(help: "With --objective cider, captions that are drawn of each picture in a step (default: 6).")
  var draws: Int?

  var trainingObjective: TrainingObjective {
    objective == .cider ? .agreement(draws: draws ?? 6) : .likelihood
  }

  /// The largest rate, of a projector alone or with matrices of the model.
  func learningRate(alone: Bool) -> Double { objective == .cider ? 2e-4 : alone ? 1e-3 : 5e-4 }

  func validate() throws {
    try check("--hidden", hidden, 32...65_536)
    try check("--draws", draws, 2...16)
    if draws != nil, objective != .cider { throw ValidationError("--draws needs --objective cider") }
    if question.isEmpty { throw ValidationError("--question is empty") }
  }

  /// What is to be done with `--vision`; nil without.
  ///
  /// - Parameter lora: what of the model is trained too; nil for nothing.
  func task(
    _ model: Model, threads: Int, lora: LoRAOptions?
  ) throws -> (task: TrainingTask, options: ProjectorOptions)? {
    guard let path = encoder.map(Folders.expanded) else { return nil }
    let encoder = try VisionEncoder(path: path, threads: threads, tier: Folders.kernels, projects: false)
    let file = try GGUFFile(path: path), question = question, mirrors = mirror
    let task = TrainingTask(
      label: "vision", title: "A projector of pictures for \(model.name)",
      identity: [("--question", question), ("--mirror", mirror ? "yes" : "no")],
      begin: { if Trainer.projectorWidth(file) != nil { try $0.start(projectorFrom: file) } },
      read: { paths, isMeasured in
        let bar = Progress("looking at pictures", unit: "pictures")
        defer { bar.clear() }
        return try TrainingData(
          pictures: Folders.expanded(paths.first ?? ""), model: model, question: question,
          views: { path in
            let picture = try Bitmap(path: path, atLeast: 2 * encoder.processor.side)
            let all = isMeasured || !mirrors ? [picture] : [picture, picture.mirrored]
            return all.map(encoder.embeddings)
          },
          progress: { bar.update($0, of: $1) })
      },
      write: { trainer, path, name in
        if lora != nil { try trainer.writeTuning(TrainingRun.adapter(beside: path), name: name) }
        try trainer.writeProjector(path, encoder: file, name: name, question: question)
      })
    let options = ProjectorOptions(
      features: encoder.width, hidden: Trainer.projectorWidth(file) ?? hidden, lora: lora)
    return (task, options)
  }
}
