import DuetRuntime

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The last layer of a classifier: how likely it is that a picture shows each of some things, by the mean of its
/// features. Its names tell a language model in words what the features alone would have to be learnt to mean.
struct PictureClasses {
  static let namesKey = "duet.vision.classes"
  /// The most things that are named, and how likely each must be.
  private static let most = 5
  private static let threshold: Float = 0.03

  private let layer: LinearLayer
  private let names: [String]
  private let mean: Activations
  private let scores: FloatBuffer

  /// Finds `v.classes` and the names of its rows; nil where the file has no such layer.
  init?(_ weights: VisionWeights, columns: Int) throws(VisionError) {
    guard weights.has("v.classes.weight") else { return nil }
    let path = weights.file.path
    guard case .array(let values)? = weights.file.metadata[Self.namesKey], values.count > 0,
      case let names = values.strings(), names.count == values.count,
      names.allSatisfy({ (1...128).contains($0.utf8.count) })
    else {
      throw .file(
        .invalid(path: path, field: Self.namesKey, problem: "is no list of names of 1 to 128 bytes"))
    }
    self.names = names
    layer = try weights.layer("v.classes", rows: names.count, columns: columns)
    mean = Activations(capacity: 1, width: columns)
    scores = FloatBuffer(count: names.count)
  }

  /// What features, [tokens, columns], are likeliest of. Rows of the same name count together. O(features + rows).
  func likeliest(_ features: FloatBuffer, tokens: Int, _ run: LayerRunner) -> [String] {
    let width = mean.width
    for column in 0..<width {
      var sum: Float = 0
      for token in 0..<tokens { sum += features[token * width + column] }
      mean.values[column] = sum / Float(tokens)
    }
    run.apply(layer, mean, tokens: 1, out: scores, stride: names.count)
    let values = scores.array(0..<names.count), largest = values.max() ?? 0
    let exponentials = values.map { exp($0 - largest) }, total = exponentials.reduce(0, +)
    var shares: [String: Float] = [:]
    for (name, exponential) in zip(names, exponentials) { shares[name, default: 0] += exponential / total }
    return shares.filter { $0.value >= Self.threshold }
      .sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(Self.most).map(\.key)
  }
}
