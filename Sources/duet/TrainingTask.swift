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
  /// Reads files; what is measured on is not disturbed.
  let read: (_ paths: [String], _ isMeasured: Bool) throws -> TrainingData
  /// Writes what is trained under a path and a name.
  let write: (_ trainer: Trainer, _ path: String, _ name: String) throws -> Void

  /// Rows of instructions.
  static func rows(_ arm: TrainingArm, _ rows: RowFlags, _ model: Model, seed: UInt64) -> TrainingTask {
    TrainingTask(
      label: arm.rawValue, title: "A \(arm.rawValue) tuning of \(model.name)",
      identity: [("--arm", arm.rawValue)],
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
  static let learningRate = 1e-3

  @Option(
    name: .customLong("vision"),
    help: ArgumentHelp(
      "Train a projector of this encoder's features: an mmproj GGUF file.", valueName: "file"),
    completion: .file(extensions: ["gguf"]))
  var encoder: String?
  @Option(help: "Values between the projector's two layers.")
  var hidden = 1_024
  @Option(help: "What the model is asked about each picture, and answers with a caption.")
  var question = "Describe the picture in one sentence."

  func validate() throws {
    try check("--hidden", hidden, 32...65_536)
    if question.isEmpty { throw ValidationError("--question is empty") }
  }

  /// What is to be done with `--vision`; nil without.
  func task(_ model: Model, threads: Int) throws -> (task: TrainingTask, options: ProjectorOptions)? {
    guard let path = encoder.map(Folders.expanded) else { return nil }
    let encoder = try VisionEncoder(path: path, threads: threads, projects: false)
    let file = try GGUFFile(path: path), question = question
    let task = TrainingTask(
      label: "vision", title: "A projector of pictures for \(model.name)",
      identity: [("--question", question)],
      read: { paths, _ in
        let bar = Progress("looking at pictures", unit: "pictures")
        defer { bar.clear() }
        return try TrainingData(
          pictures: Folders.expanded(paths.first ?? ""), model: model, question: question,
          features: { try encoder.embeddings(of: Bitmap(path: $0, atLeast: 2 * encoder.processor.side)) },
          progress: { bar.update($0, of: $1) })
      },
      write: { trainer, path, name in
        try trainer.writeProjector(path, encoder: file, name: name, question: question)
      })
    return (task, ProjectorOptions(features: encoder.width, hidden: hidden))
  }
}
