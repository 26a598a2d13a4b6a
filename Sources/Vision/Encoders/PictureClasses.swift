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
  /// Each name once, and for each row the place of its own: several may share one.
  private let names: [String]
  private let places: [Int]
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
    var known: [String: Int] = [:], distinct: [String] = []
    places = names.map { name in
      if let place = known[name] { return place }
      known[name] = distinct.count
      distinct.append(name)
      return distinct.count - 1
    }
    self.names = distinct
    layer = try weights.layer("v.classes", rows: names.count, columns: columns).packed(by: weights.operations)
    mean = Activations(capacity: 1, width: columns)
    scores = FloatBuffer(count: names.count)
  }

  /// What features, [tokens, columns], are likeliest of. Rows of the same name count together. O(features + rows).
  func likeliest(_ features: FloatBuffer, tokens: Int, _ run: LayerRunner) -> [String] {
    let width = mean.width
    for column in 0..<width { mean.values[column] = 0 }
    for token in 0..<tokens {
      run.operations.add(features, token * width..<(token + 1) * width, to: mean.values, at: 0)
    }
    for column in 0..<width { mean.values[column] /= Float(tokens) }
    run.apply(layer, mean, tokens: 1, out: Pixels(scores, stride: scores.count))
    let values = scores.array(0..<scores.count), largest = values.max() ?? 0
    let exponentials = values.map { exp($0 - largest) }, total = exponentials.reduce(0, +)
    var shares = [Float](repeating: 0, count: names.count)
    for (place, exponential) in zip(places, exponentials) { shares[place] += exponential / total }
    return zip(names, shares).filter { $0.1 >= Self.threshold }
      .sorted { ($0.1, $1.0) > ($1.1, $0.0) }.prefix(Self.most).map(\.0)
  }
}
