import DuetRuntime
import DuetTerminal
import DuetTrainer
import Foundation

/// One training as the command line shows and stores it.
final class TrainingRun {
  struct Record: Encodable {
    let out: String
    let steps: Int
    let tokens: Int
    let loss: Nullable<Double>
    let heldOutLoss: Nullable<Double>
    /// CIDEr-D, where captions were drawn; the losses then are null.
    let agreement: Nullable<Double>
    let heldOutAgreement: Nullable<Double>
    let bestStep: Nullable<Int>
    let seconds: Double
    let tokensPerSecond: Nullable<Double>
    let trainedParameters: Int
    let rows: Int
    let skipped: [String: Int]
  }

  private let model: Model
  private let out: String
  private let task: TrainingTask
  private let options: TrainingOptions
  private let arguments: [String]
  private(set) var record: Record?

  init(
    model: Model, out: String, task: TrainingTask, options: TrainingOptions, arguments: [String]
  ) {
    self.model = model
    self.out = out
    self.task = task
    self.options = options
    self.arguments = arguments
  }

  private var stem: String { Self.stem(out) }
  private var checkpoint: String { stem + ".checkpoint" }

  private static func stem(_ out: String) -> String { out.hasSuffix(".gguf") ? String(out.dropLast(5)) : out }

  /// The files that lie beside the tuning.
  static func companions(_ out: String, hasAdapter: Bool) -> [String] {
    let suffixes = [".checkpoint", ".metrics.jsonl", ".svg", ".md"] + (hasAdapter ? [adapterSuffix] : [])
    return suffixes.map { stem(out) + $0 }
  }

  private static let adapterSuffix = ".adapter.gguf"

  /// Where the adapter lies that was trained with what is written to `out`.
  static func adapter(beside out: String) -> String { stem(out) + adapterSuffix }

  func start(data: [String], heldOut: [String], initial: String?, resumes: Bool) throws {
    let rows = try task.read(data, false), measured = heldOut.isEmpty ? nil : try task.read(heldOut, true)
    let trainer = try Trainer(model, data: rows, heldOut: measured, options: options)
    if resumes { try trainer.resume(checkpoint, identity: task.identity) } else { try task.begin(trainer) }
    if let initial { try trainer.start(from: Folders.expanded(initial)) }
    describe(trainer, rows)
    let log = MetricsLog(path: stem + ".metrics.jsonl", upTo: trainer.step)
    let bar = Progress("training", unit: "tokens")
    let started = Date(), first = trainer.tokens
    try trainer.run(
      checkpoint: { [self] trainer in
        if options.checkpointInterval > 0 { try trainer.writeCheckpoint(checkpoint, identity: task.identity) }
        try log.write()
      },
      keep: { [self] trainer in try task.write(trainer, out, name) },
      report: { [self] event in try report(event, log, bar, since: first) })
    bar.clear()
    try finish(log)
    let seconds = -started.timeIntervalSinceNow
    record = Record(
      out: out, steps: trainer.step, tokens: trainer.tokens,
      loss: Nullable(finite: log.lines.last { $0.loss != nil }?.loss),
      heldOutLoss: Nullable(finite: draws ? nil : trainer.best?.loss),
      agreement: Nullable(finite: log.lines.last { $0.agreement != nil }?.agreement),
      heldOutAgreement: Nullable(finite: draws ? trainer.best.map { -$0.loss } : nil),
      bestStep: Nullable(trainer.best?.step),
      seconds: seconds,
      tokensPerSecond: Nullable(finite: Double(trainer.tokens - first) / max(seconds, 1e-9)),
      trainedParameters: trainer.trainedCount, rows: rows.groups.count, skipped: rows.skips.counts)
    let card = TrainingCard(trainer, title: task.title, arguments: arguments, metrics: log.lines)
    try card.write(stem + ".md")
  }

  private var name: String { String(stem.split(separator: "/").last ?? "tuning") }

  private func describe(_ trainer: Trainer, _ data: TrainingData) {
    if data.skips.total > 0 { warn("left out \(data.skips.total) rows: \(data.skips)") }
    let start = trainer.step > 0 ? "going on from step \(trainer.step): " : ""
    warn(
      "\(start)\(Figures.grouped(trainer.trainedCount)) parameters, \(Figures.grouped(data.groups.count)) rows, "
        + "\(trainer.steps) steps, \(Figures.grouped(trainer.totalTokens)) tokens")
  }

  private func finish(_ log: MetricsLog) throws {
    try log.write()
    try log.writeCurve(stem + ".svg", title: "\(name): \(task.label), \(model.name)")
  }

  private func report(
    _ event: TrainingEvent, _ log: MetricsLog, _ bar: DuetTerminal.Progress, since first: Int
  ) throws {
    switch event {
    case .progress(let tokens, let total): bar.update(tokens - first, of: total - first)
    case .step(let step):
      var line = MetricsLine(step: step.number, tokens: step.tokens)
      if draws { line.agreement = -step.loss } else { line.loss = step.loss }
      line.rate = step.rate
      line.norm = step.norm
      line.tokensPerSecond = Double(step.stepTokens) / max(step.seconds, 1e-9)
      try log.append(line)
      let rate = Figures.short(line.tokensPerSecond ?? 0)
      show("step \(step.number)/\(step.total)  \(measure(step.loss))  \(rate) tokens/s", bar)
    case .evaluation(let step, let loss, let isBest):
      var line = MetricsLine(step: step, tokens: log.lines.last?.tokens ?? 0)
      if draws { line.heldOutAgreement = -loss } else { line.heldOutLoss = loss }
      try log.append(line)
      show("step \(step)  held-out \(measure(loss))\(isBest ? ", the best so far" : "")", bar)
    case .checkpoint: break
    case .stoppedEarly(let step): show("stopped at step \(step): no progress on held-out rows", bar)
    }
  }

  private var draws: Bool { options.objective != .likelihood }

  /// A loss in words. CIDEr-D is given in hundredths, as it is in papers.
  private func measure(_ loss: Double) -> String {
    draws ? "CIDEr \(Figures.fixed(-100 * loss, 1))" : "loss \(Figures.fixed(loss, 4))"
  }

  private func show(_ text: String, _ bar: DuetTerminal.Progress) {
    bar.clear()
    warn(text)
  }

  func say() throws {
    guard let record else { return }
    let heldOut = draws ? record.heldOutAgreement.value.map { -$0 } : record.heldOutLoss.value
    let loss = heldOut.map { "held-out \(measure($0)) at step \(record.bestStep.value ?? 0)" }
    let last = draws ? record.agreement.value.map { -$0 } : record.loss.value
    let rate = Figures.short(record.tokensPerSecond.value ?? 0)
    try duet.say(
      "\(record.out): \(loss ?? measure(last ?? 0)), "
        + "\(Figures.grouped(record.tokens)) tokens, \(rate) tokens/s")
  }
}
