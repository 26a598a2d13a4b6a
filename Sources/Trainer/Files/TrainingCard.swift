import DuetRuntime

/// What a tuning is, where it came from and how well it did, as Markdown.
public struct TrainingCard {
  private let trainer: Trainer
  private let title: String
  private let arguments: [String]
  private let metrics: [MetricsLine]

  /// - Parameters:
  ///   - trainer: after its run.
  ///   - title: what was made, such as "A grounded tuning of SmolLM2".
  ///   - arguments: the command that made it.
  ///   - metrics: of the run.
  public init(_ trainer: Trainer, title: String, arguments: [String], metrics: [MetricsLine]) {
    self.trainer = trainer
    self.title = title
    self.arguments = arguments
    self.metrics = metrics
  }

  /// The text.
  public var markdown: String {
    let file = trainer.trained.model.file
    func text(_ key: String) -> String? { (try? file.metadata.string(key)) ?? nil }
    let licence = text("general.license") ?? "not stated in the file"
    let data = trainer.data.paths.map { "- `\(Self.name($0))`" }.joined(separator: "\n")
    let skips = trainer.data.skips.total == 0 ? "none" : trainer.data.skips.description
    return """
      # \(title)

      | | |
      |---|---|
      | base | \(trainer.trained.model.name), \(trainer.trained.config.architecture) |
      | licence of the base | \(licence) |
      | method | \(method) |
      | trained parameters | \(trainer.trainedCount) |
      | rows | \(trainer.data.groups.count) |
      | rows left out | \(skips) |
      | steps, tokens | \(trainer.step), \(trainer.tokens) |
      | \(measure) of the last 20 steps | \(last) |
      | held-out \(measure) | \(heldOut) |

      ## Data

      \(data)

      The licences of the data apply to what is made of them: state them where the tuning is passed on.

      ## Command

          \(command)

      """
  }

  private static func name(_ path: String) -> String { String(path.split(separator: "/").last ?? "") }

  private var method: String {
    if case .projector(let options) = trainer.options.method {
      let beside = options.lora.map { " and \(Self.method($0))" } ?? ""
      return "projector of two layers, \(options.features) features over \(options.hidden) values\(beside)"
    }
    guard case .lora(let options) = trainer.options.method else { return "all weights" }
    return Self.method(options)
  }

  private static func method(_ options: LoRAOptions) -> String {
    let targets = LoRAOptions.Target.allCases.filter(options.targets.contains).map(\.rawValue)
    return "LoRA, rank \(options.rank), alpha \(options.alpha), on \(targets.joined(separator: " "))"
  }

  private var draws: Bool { trainer.options.objective != .likelihood }
  private var measure: String { draws ? "CIDEr-D (0 to 10)" : "loss, nats per token" }

  private var last: String {
    let losses = metrics.compactMap { draws ? $0.agreement : $0.loss }.suffix(20)
    return losses.isEmpty ? "none" : rounded(losses.reduce(0, +) / Double(losses.count))
  }

  private var heldOut: String {
    let values = metrics.compactMap { draws ? $0.heldOutAgreement : $0.heldOutLoss }
    guard let first = values.first, let best = trainer.best else { return "not measured" }
    return "\(rounded(first)) before, \(rounded(draws ? -best.loss : best.loss)) at step \(best.step)"
  }

  private func rounded(_ value: Double) -> String { "\((value * 10_000).rounded() / 10_000)" }

  /// Paths are cut to their last part: the card travels.
  private var command: String {
    arguments.map { argument in
      let word = argument.contains("/") ? Self.name(argument) : argument
      return word.contains(" ") ? "'\(word)'" : word
    }.joined(separator: " ")
  }

  /// Writes the card.
  ///
  /// - Throws: `TrainingError.output`.
  public func write(_ path: String) throws(TrainingError) {
    do {
      let file = try OutputFile(path: path)
      try file.write(markdown)
      try file.finish()
    } catch {
      throw .output(error)
    }
  }
}
