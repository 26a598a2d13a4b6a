import ArgumentParser
import DuetDocuments
import DuetRouter
import DuetRuntime
import DuetTerminal
import DuetTrainer
import Synchronization

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
    @OptionGroup var encoder: EncoderOption
    @Flag(help: "Print one JSON object.")
    var json = false
    @OptionGroup var model: ModelOption

    func run() throws {
      let tokenizer = try model.open().tokenizer
      let path = Folders.expanded(turns)
      let examples = try LabelledTurn.read(path: path)
      let others = try evaluate.map { try LabelledTurn.read(path: Folders.expanded($0)) }
      let encoder = try encoder.open().map { RememberingEncoder($0) }
      encoder?.remember(texts: (examples + (others ?? [])).flatMap { Router.texts($0.turn) })
      let model = try RouteModel(fittedTo: examples, tokenizer: tokenizer, encoder: encoder, path: path)
      try model.write(to: Folders.expanded(output), name: "router")
      guard let others else { return }
      let byWords = RouteEvaluation(others, router: Router(model, tokenizer: tokenizer))
      let byMeaning = encoder.map {
        RouteEvaluation(others, router: Router(model, tokenizer: tokenizer, encoder: $0))
      }
      if json {
        return try printJSON(Records(words: Record(byWords), meaning: Nullable(byMeaning.map(Record.init))))
      }
      try show(byWords)
      if let byMeaning, let encoder {
        try say("\nwith \(printable(encoder.name)):\n")
        try show(byMeaning)
      }
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

    private struct Records: Encodable {
      let words: Record
      let meaning: Nullable<Record>
    }

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

extension RouteModel {
  /// Fits a model to the candidates of turns, and with an encoder a second one that knows its cosines.
  ///
  /// - Throws: `LabelledTurnError.noExamples` unless there are some of either kind.
  init(
    fittedTo turns: [LabelledTurn], tokenizer: Tokenizer, encoder: (any TextEncoder)?, path: String
  ) throws(LabelledTurnError) {
    let measure = Router.Signals(tokenizer: tokenizer, encoder: encoder)
    var features: [[Float]] = [], similarities: [Float] = [], labels: [Bool] = []
    for turn in turns {
      for (signals, similarity) in measure.all(turn.turn) {
        features.append(signals.values)
        similarities.append(Float(similarity ?? 0))
        labels.append(turn.helps)
      }
    }
    let helpful = labels.count { $0 }
    guard min(helpful, labels.count - helpful) >= RouteSignals.names.count else {
      throw .noExamples(path: path)
    }
    let fit = LogisticRegression(features: features, labels: labels)
    let meaning = encoder.map { encoder in
      let fit = LogisticRegression(features: zip(features, similarities).map { $0 + [$1] }, labels: labels)
      return Meaning(encoder: encoder.name, weights: fit.weights.map(Float.init), bias: Float(fit.bias))
    }
    self.init(weights: fit.weights.map(Float.init), bias: Float(fit.bias), meaning: meaning)
  }
}

/// An encoder that encodes each text once.
private final class RememberingEncoder: TextEncoder {
  private let encoder: any TextEncoder
  private let known = Mutex<[String: [Float]]>([:])

  init(_ encoder: any TextEncoder) { self.encoder = encoder }

  var name: String { encoder.name }
  var dimensions: Int { encoder.dimensions }

  /// Texts that are encoded together, of like length.
  private static let batch = 64

  /// Encodes texts beforehand, with a progress bar.
  func remember(texts: [String]) {
    let open = Set(texts).sorted { ($0.utf8.count, $0) < ($1.utf8.count, $1) }
    let bar = Progress("encoding", unit: "texts")
    for start in stride(from: 0, to: open.count, by: Self.batch) {
      let batch = Array(open[start..<min(open.count, start + Self.batch)])
      let vectors = encoder.vectors(of: batch)
      known.withLock { known in
        for (text, vector) in zip(batch, vectors) { known[text] = vector }
      }
      bar.update(start + batch.count, of: open.count)
    }
    bar.clear()
  }

  func vectors(of texts: [String]) -> [[Float]] {
    texts.map { text in
      known.withLock { $0[text] } ?? encoder.vectors(of: [text]).first ?? []
    }
  }
}
