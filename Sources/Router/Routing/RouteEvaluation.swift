/// How well a router tells turns whose context helps from others.
public struct RouteEvaluation: Sendable {
  /// The figures of one kind of turn.
  public struct Group: Sendable {
    /// What kind.
    public let name: String
    /// How many turns.
    public let count: Int
    /// The share that was routed rightly, 0 to 1.
    public let accuracy: Double
  }

  /// In the order of their first turns.
  public let groups: [Group]
  /// The share of all turns that was routed rightly.
  public let accuracy: Double
  /// The likelihood that a turn whose context helps scores higher than one whose does not (the area
  /// under the ROC curve); nil unless there are both.
  public let auroc: Double?
  /// Expected calibration error, in ten bins of scores (arXiv 1706.04599).
  public let calibrationError: Double

  private static let bins = 10

  /// Routes all turns; those without context count as scored 0.
  ///
  /// - Complexity: O(n log n) besides routing.
  public init(_ turns: [LabelledTurn], router: Router) {
    let results = turns.map { turn in
      let decision = Router.decide(turn.turn, .auto, with: router)
      return Result(
        group: turn.group, score: decision.score ?? 0, helps: turn.helps,
        isRight: (decision.route == .grounded) == turn.helps)
    }
    var names: [String] = []
    for result in results where !names.contains(result.group) { names.append(result.group) }
    groups = names.map { name in
      let own = results.filter { $0.group == name }
      return Group(name: name, count: own.count, accuracy: Self.accuracy(own))
    }
    accuracy = Self.accuracy(results)
    auroc = Self.auroc(results)
    calibrationError = Self.calibrationError(results)
  }

  private struct Result {
    let group: String
    let score: Double
    let helps: Bool
    let isRight: Bool
  }

  private static func accuracy(_ results: [Result]) -> Double {
    Double(results.count(where: \.isRight)) / Double(max(1, results.count))
  }

  /// By the ranks of scores (Mann and Whitney 1947), equal ones sharing theirs.
  private static func auroc(_ results: [Result]) -> Double? {
    let sorted = results.sorted { $0.score < $1.score }
    let positives = sorted.count(where: \.helps), negatives = sorted.count - positives
    guard positives > 0, negatives > 0 else { return nil }
    var rankSum = 0.0, start = 0
    while start < sorted.count {
      let end = sorted[start...].firstIndex { $0.score != sorted[start].score } ?? sorted.count
      let rank = Double(start + end + 1) / 2
      rankSum += rank * Double(sorted[start..<end].count(where: \.helps))
      start = end
    }
    return (rankSum - Double(positives * (positives + 1)) / 2) / Double(positives * negatives)
  }

  private static func calibrationError(_ results: [Result]) -> Double {
    var error = 0.0
    for bin in 0..<bins {
      let own = results.filter { min(bins - 1, Int($0.score * Double(bins))) == bin }
      guard !own.isEmpty else { continue }
      let mean = own.reduce(0) { $0 + $1.score } / Double(own.count)
      let share = Double(own.count(where: \.helps)) / Double(own.count)
      error += abs(mean - share) * Double(own.count) / Double(results.count)
    }
    return error
  }
}
