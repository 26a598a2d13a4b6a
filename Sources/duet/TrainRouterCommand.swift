import ArgumentParser
import DuetRouter
import DuetRuntime
import DuetTerminal
import DuetTrainer

extension PairCommand {
  /// `duet pair train-router`: fits a router's weights to turns.
  struct TrainRouter: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "train-router",
      abstract: "Fit a router to turns of which it is known whether their context helps.",
      discussion: """
        Each line of TURNS is a JSON object: {"group": "…", "message": "…", "passages": ["…"], "helps": true}, and \
        where the turn follows another "previous": {"question": "…", "passages": ["…"]}.

        Examples:
          duet pair train-router train.jsonl -o router.gguf --evaluate test.jsonl
        """)

    @Argument(help: ArgumentHelp("What to learn from.", valueName: "turns"))
    var turns: String
    @Option(help: ArgumentHelp("Other turns, to see how well it does.", valueName: "turns"))
    var evaluate: String?
    @Option(name: [.customShort("o"), .long], help: ArgumentHelp("The router's weights.", valueName: "file"))
    var output: String
    @Flag(help: "Print one JSON object.")
    var json = false
    @OptionGroup var model: ModelOption

    func run() throws {
      let tokenizer = try model.open().tokenizer
      let path = Folders.expanded(turns)
      let examples = try LabelledTurn.read(path: path)
      let router = try Router(fittedTo: examples, tokenizer: tokenizer, path: path)
      try router.model.write(to: Folders.expanded(output), name: "router")
      guard let evaluate else { return }
      let result = RouteEvaluation(try LabelledTurn.read(path: Folders.expanded(evaluate)), router: router)
      if json { return try printJSON(Record(result)) }
      try show(result)
    }

    private func show(_ result: RouteEvaluation) throws {
      var table = Table([("turns", .left), ("count", .right), ("right", .right)])
      for group in result.groups {
        table.append([printable(group.name), Figures.grouped(group.count), percent(group.accuracy)])
      }
      for line in table.lines { try say(line) }
      let auroc = result.auroc.map { Figures.fixed($0, 4) } ?? "none"
      try say(
        "\nall \(percent(result.accuracy)), AUROC \(auroc), calibration error \(Figures.fixed(result.calibrationError, 4))"
      )
    }

    private func percent(_ share: Double) -> String { Figures.fixed(100 * share, 1) + " %" }

    private struct Record: Encodable {
      struct Group: Encodable {
        let name: String
        let count: Int
        let accuracy: Double
      }
      let groups: [Group]
      let accuracy: Double
      let auroc: Nullable<Double>
      let calibrationError: Double

      init(_ result: RouteEvaluation) {
        groups = result.groups.map { Group(name: $0.name, count: $0.count, accuracy: $0.accuracy) }
        accuracy = result.accuracy
        auroc = Nullable(finite: result.auroc)
        calibrationError = result.calibrationError
      }
    }
  }
}

extension Router {
  /// Fits a router to the candidates of turns.
  ///
  /// - Throws: `LabelledTurnError.noExamples` unless there are some of either kind.
  init(fittedTo turns: [LabelledTurn], tokenizer: Tokenizer, path: String) throws(LabelledTurnError) {
    let measure = Signals(tokenizer: tokenizer)
    var features: [[Float]] = [], labels: [Bool] = []
    for turn in turns {
      for signals in measure.all(turn.turn) {
        features.append(signals.values)
        labels.append(turn.helps)
      }
    }
    let helpful = labels.count { $0 }
    guard min(helpful, labels.count - helpful) >= RouteSignals.names.count else {
      throw .noExamples(path: path)
    }
    let fit = LogisticRegression(features: features, labels: labels)
    self.init(RouteModel(weights: fit.weights.map(Float.init), bias: Float(fit.bias)), tokenizer: tokenizer)
  }
}
