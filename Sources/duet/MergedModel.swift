import DuetQuantize
import DuetRuntime
import DuetTerminal
import DuetTrainer
import Foundation

/// A model with an adapter added for good.
struct MergedModel {
  let adapter: String
  let model: Model
  var scale: Float = 1

  /// Writes the model, with progress.
  ///
  /// - Parameter scheme: the types of its matrices; nil to store those that the adapter changes in single
  ///   precision and the others as they are.
  func write(to target: String, scheme: QuantizationScheme?, replaces: Bool) throws {
    if !replaces, FileManager.default.fileExists(atPath: target) { throw OutputError.exists(path: target) }
    let merge = try AdapterMerge(adapter, into: model, scale: scale)
    let bar = Progress("merging", unit: "tensors")
    defer { bar.clear() }
    guard let scheme else {
      return try merge.write(to: target, replaces: replaces) { bar.update($0, of: $1) }
    }
    let whole = target + ".merging"
    defer { try? FileManager.default.removeItem(atPath: whole) }
    try merge.write(to: whole, replaces: true) { bar.update($0, of: $1) }
    bar.clear()
    var options = QuantizationOptions()
    options.allowsRequantizing = true
    options.kernels = Folders.kernels
    let plan = try QuantizationPlan(GGUFFile(path: whole), scheme: scheme, options: options)
    let quantizing = Progress("quantizing", unit: "MB")
    defer { quantizing.clear() }
    _ = try plan.write(to: target, options: options, replaces: replaces) {
      quantizing.update($0 / 1_000_000, of: max(1, $1 / 1_000_000))
    }
  }
}
