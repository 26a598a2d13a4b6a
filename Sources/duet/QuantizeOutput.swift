import DuetQuantize
import DuetRuntime
import DuetTerminal

extension QuantizeCommand {
  /// Says what is going to be done: the types, what fell back, and what would be better.
  func show(_ plan: QuantizationPlan, _ options: QuantizationOptions) throws {
    var table = Table([("type", .left), ("tensors", .right), ("bytes", .right)])
    for (type, tensors) in Dictionary(grouping: plan.tensors, by: \.type).sorted(by: {
      $0.key.name < $1.key.name
    }) {
      table.append([
        type.name, "\(tensors.count)", Figures.grouped(tensors.reduce(0) { $0 + $1.byteCount }),
      ])
    }
    for line in table.lines { try say(line) }
    try say(
      "\(printable(plan.file.path)): \(Figures.bytes(plan.byteCount)), \(Figures.fixed(plan.bitsPerWeight, 2)) bits per weight"
    )
    try showFallbacks(plan, options)
    if plan.requantizes {
      warn("the source was quantized before: its errors stay, and those reported here are added to them")
    }
  }

  private func showFallbacks(_ plan: QuantizationPlan, _ options: QuantizationOptions) throws {
    let fallbacks = plan.fallbacks
    guard !fallbacks.isEmpty else { return }
    let count = fallbacks.reduce(0) { $0 + $1.tensors.count }
    let isAdapter = plan.tensors.contains { $0.fallenBackFrom != nil && !$0.isQuantizable }
    let reason = isAdapter ? "an adapter is kept in 8 bits or more" : "their rows are no whole blocks of it"
    warn("\(count) of \(plan.tensors.count) tensors are not \(plan.scheme.rawValue): \(reason)")
    for group in fallbacks {
      let first = group.tensors.prefix(3).map { printable($0) }.joined(separator: ", ")
      let more = group.tensors.count > 3 ? ", … (\(group.tensors.count))" : ""
      warn("  \(group.from.name) became \(group.to.name): \(first)\(more)")
    }
    let better = plan.betterSchemes(options).prefix(3)
    guard !better.isEmpty else { return }
    let names = better.map { "\($0.scheme.rawValue) (\(Figures.bytes($0.bytes)))" }.joined(separator: ", ")
    warn("smaller, and no less accurate for such rows: \(names); or give --bits")
  }

  /// Says what the errors are.
  func show(_ results: [TensorResult]) throws {
    let changed = results.filter { $0.error.energy > 0 }
    guard !changed.isEmpty else { return }
    var table = Table([
      ("type", .left), ("tensors", .right), ("relative error", .right), ("worst", .right), ("in", .left),
    ])
    for (type, tensors) in Dictionary(grouping: changed, by: \.type).sorted(by: { $0.key.name < $1.key.name })
    {
      let worst = tensors.max { $0.error.relative < $1.error.relative }
      table.append([
        type.name, "\(tensors.count)", percent(Self.total(tensors)), percent(worst?.error.relative ?? 0),
        printable(worst?.name ?? ""),
      ])
    }
    try say()
    for line in table.lines { try say(line) }
    try say("relative error of all: \(percent(Self.total(changed)))")
  }

  private func percent(_ value: Double) -> String { "\(Figures.fixed(100 * value, 3)) %" }

  static func total(_ results: [TensorResult]) -> Double {
    let energy = results.reduce(0) { $0 + $1.error.energy }
    return energy > 0 ? (results.reduce(0) { $0 + $1.error.error } / energy).squareRoot() : 0
  }

  /// Writes the page about the errors.
  func write(_ path: String, _ plan: QuantizationPlan, _ results: [TensorResult]) throws {
    let page = QuantizationReport(
      title: "\(plan.scheme.rawValue) of \(plan.file.path)",
      summary: [
        "\(Figures.bytes(plan.byteCount)), \(Figures.fixed(plan.bitsPerWeight, 2)) bits per weight",
        "relative error of what was quantized: \(percent(Self.total(results.filter { $0.error.energy > 0 })))",
      ],
      tensors: results)
    let file = try OutputFile(path: Folders.expanded(path))
    try file.write(page.html)
    try file.finish()
  }
}

/// What `duet quantize --json` prints.
struct QuantizationRecord: Encodable {
  struct TensorRecord: Encodable {
    let name: String
    let was: String
    let type: String
    let wanted: String?
    let bytes: Int
    let relativeError: Nullable<Double>
    let weightedRelativeError: Nullable<Double>
  }
  let input: String
  let output: String?
  let type: String
  let bytes: Int
  let bitsPerWeight: Double
  let fellBack: Int
  let relativeError: Nullable<Double>
  let tensors: [TensorRecord]

  init(_ plan: QuantizationPlan, _ results: [TensorResult], output: String?) {
    input = plan.file.path
    self.output = output
    type = plan.scheme.rawValue
    bytes = plan.byteCount
    bitsPerWeight = plan.bitsPerWeight
    fellBack = plan.tensors.count(where: { $0.fallenBackFrom != nil })
    let changed = results.filter { $0.error.energy > 0 }
    relativeError = Nullable(changed.isEmpty ? nil : QuantizeCommand.total(changed))
    tensors = plan.tensors.enumerated().map { index, tensor in
      let error = index < results.count && results[index].error.energy > 0 ? results[index].error : nil
      return TensorRecord(
        name: tensor.source.name, was: tensor.source.type.name, type: tensor.type.name,
        wanted: tensor.fallenBackFrom?.name, bytes: tensor.byteCount,
        relativeError: Nullable(error?.relative), weightedRelativeError: Nullable(error?.weightedRelative))
    }
  }
}
