import DuetRuntime

/// Chooses a type for every tensor, so that a file of a given size loses least.
///
/// What a tensor's errors cost is taken to grow with its relative squared error (arXiv 2411.17525), by a
/// factor of its own, its sensitivity. Each tensor is quantized to every type, a sample of its rows at
/// least, and the choice is the best one on the lower convex hull of bytes and costs.
public struct BudgetPlanner {
  private let options: QuantizationOptions
  private let text: [UInt8]?

  /// Types that a tensor may get, as long as its rows are whole blocks of them.
  private static let types: [TensorType] = [
    .q2_K, .q3_K, .iq4_xs, .iq4_nl, .q4_0, .q4_K, .q4_1, .q5_0, .q5_K, .q5_1, .q6_K, .q8_0, .f16,
  ]
  /// Rows of a tensor that errors are measured with.
  private static let sampledRows = 192

  /// A planner for `options`.
  ///
  /// - Parameters:
  ///   - options: how tensors are quantized.
  ///   - text: what sensitivities are measured with; nil for a text of its own.
  public init(options: QuantizationOptions, text: [UInt8]? = nil) {
    self.options = options
    self.text = text
  }

  /// Bytes of a file before its tensors, and between them.
  public static func headerBytes(_ file: GGUFFile) -> Int {
    let first = file.tensors.map(\.range.lowerBound).min() ?? 0
    return first + 32 * file.tensors.count + 128
  }

  /// What one tensor costs as one type.
  struct Choice: Sendable {
    let type: TensorType
    let bytes: Int
    let cost: Double
  }

  /// Measures, and chooses.
  ///
  /// - Parameters:
  ///   - file: the model.
  ///   - bytes: that all tensors may take.
  ///   - progress: called with the steps done and in all.
  /// - Throws: `QuantizerError.budgetTooSmall` when no choice is small enough, or what reading throws.
  public func plan(
    _ file: GGUFFile, bytes: Int, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> QuantizationPlan {
    let searching = searchingOptions
    var plan = try QuantizationPlan(file, scheme: .f16, options: searching)
    let quantizer = try Quantizer(searching)
    let open = plan.tensors.indices.filter { index in
      let tensor = plan.tensors[index]
      return tensor.isQuantizable && !options.overrides.contains { $0.fits(tensor.source.name) }
    }
    let probe = SensitivityProbe(file, quantizer, text: text, options: searching)
    let total = open.count + probe.stepCount
    var hulls: [[Choice]] = []
    for (step, index) in open.enumerated() {
      try Task.checkCancellation()
      hulls.append(Self.hull(try choices(plan.tensors[index].source, quantizer)))
      progress(step + 1, total)
    }
    let sensitivities = try probe.sensitivities(open.map { file.tensors[$0].name }) {
      progress(open.count + $0, total)
    }
    let fixed = plan.tensors.indices.filter { !open.contains($0) }.reduce(0) {
      $0 + plan.tensors[$1].byteCount
    }
    let chosen = try Self.select(hulls, sensitivities, bytes: bytes - fixed, fixed: fixed)
    for (index, choice) in zip(open, chosen) { plan.tensors[index].type = choice.type }
    let counts = Dictionary(grouping: chosen, by: \.type).mapValues { $0.reduce(0) { $0 + $1.bytes } }
    let most = counts.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }?.key ?? .f16
    return QuantizationPlan(file, plan.tensors, scheme: .named(after: most))
  }

  /// Every type is searched: bytes are what counts here, not time.
  private var searchingOptions: QuantizationOptions {
    var options = options
    options.searches = true
    return options
  }

  private func choices(_ tensor: TensorInfo, _ quantizer: Quantizer) throws(QuantizerError) -> [Choice] {
    var result: [Choice] = []
    for type in Self.types where tensor.columns % type.blockLength == 0 {
      let stride = max(1, tensor.rows / Self.sampledRows)
      let bytes = type.rowBytes(tensor.columns) * tensor.rows
      if tensor.type == type {
        result.append(Choice(type: type, bytes: bytes, cost: 0))
        continue
      }
      let error = try quantizer.quantize(tensor, to: type, searches: true, stride: stride) { _ in }
      let share = error.weightedEnergy > 0 ? error.weightedError / error.weightedEnergy : 0
      result.append(Choice(type: type, bytes: bytes, cost: share))
    }
    return result
  }

  /// The choices that are best for some price of a byte, the smallest first. O(n²) for a handful.
  static func hull(_ choices: [Choice]) -> [Choice] {
    let sorted = choices.sorted { ($0.bytes, $0.cost) < ($1.bytes, $1.cost) }
    var hull: [Choice] = []
    for choice in sorted {
      if let last = hull.last, choice.cost >= last.cost || choice.bytes == last.bytes { continue }
      while hull.count > 1,
        slope(hull[hull.count - 2], hull[hull.count - 1]) <= slope(hull[hull.count - 1], choice)
      {
        hull.removeLast()
      }
      hull.append(choice)
    }
    return hull
  }

  /// What a byte more saves.
  private static func slope(_ a: Choice, _ b: Choice) -> Double {
    (a.cost - b.cost) / Double(b.bytes - a.bytes)
  }

  /// Starts with the smallest types, and takes the steps that save most per byte while they fit.
  static func select(
    _ hulls: [[Choice]], _ sensitivities: [Double], bytes: Int, fixed: Int
  ) throws(QuantizerError) -> [Choice] {
    var places = hulls.map { _ in 0 }
    var used = hulls.reduce(0) { $0 + ($1.first?.bytes ?? 0) }
    guard used <= bytes else { throw .budgetTooSmall(least: used + fixed, wanted: bytes + fixed) }
    var steps: [(gain: Double, tensor: Int, place: Int)] = []
    for (tensor, hull) in hulls.enumerated() {
      for place in hull.indices.dropFirst() {
        steps.append((sensitivities[tensor] * slope(hull[place - 1], hull[place]), tensor, place))
      }
    }
    steps.sort { ($0.gain, $1.tensor, $1.place) > ($1.gain, $0.tensor, $0.place) }
    for step in steps where places[step.tensor] == step.place - 1 {
      let hull = hulls[step.tensor]
      let more = hull[step.place].bytes - hull[step.place - 1].bytes
      guard used + more <= bytes else { continue }
      used += more
      places[step.tensor] = step.place
    }
    return hulls.indices.map { hulls[$0][places[$0]] }
  }
}

extension QuantizationPlan {
  init(_ file: GGUFFile, _ tensors: [TensorAssignment], scheme: QuantizationScheme) {
    self.file = file
    self.tensors = tensors
    self.scheme = scheme
  }
}
