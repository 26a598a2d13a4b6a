#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A logistic regression, fitted by Newton's method (iteratively reweighted least squares).
public struct LogisticRegression: Sendable {
  /// One per feature.
  public private(set) var weights: [Double]
  /// Added to the weighted sum.
  public private(set) var bias: Double

  /// Fits weights to examples.
  ///
  /// Features are standardised meanwhile, so that `ridge` weighs on all alike.
  ///
  /// - Parameters:
  ///   - features: [examples][features], finite.
  ///   - labels: whether each example is one of the sought.
  ///   - ridge: the square penalty of a standardised weight.
  ///   - iterations: steps at most; a step that changes no weight by a millionth is the last.
  /// - Complexity: O(iterations · examples · features²).
  public init(features: [[Float]], labels: [Bool], ridge: Double = 0.01, iterations: Int = 50) {
    precondition(features.count == labels.count, "one label per example")
    let width = features.first?.count ?? 0
    let scale = Standardisation(features, width: width)
    // The last one is the bias, whose feature is 1.
    var beta = [Double](repeating: 0, count: width + 1)
    for _ in 0..<iterations {
      var system = NormalEquations(size: width + 1)
      for (example, label) in zip(features, labels) {
        let x = scale.applied(example) + [1]
        let p = 1 / (1 + exp(-zip(beta, x).reduce(0) { $0 + $1.0 * $1.1 }))
        system.add(x, weight: p * (1 - p), residual: (label ? 1 : 0) - p)
      }
      system.regularise(beta, ridge: ridge)
      let step = system.solution()
      for index in beta.indices { beta[index] += step[index] }
      if step.allSatisfy({ abs($0) < 1e-6 }) { break }
    }
    weights = zip(beta, scale.deviations).map { $0 / $1 }
    bias = beta[width] - zip(weights, scale.means).reduce(0) { $0 + $1.0 * $1.1 }
  }
}

/// Features with mean 0 and deviation 1.
private struct Standardisation {
  let means: [Double]
  let deviations: [Double]

  init(_ features: [[Float]], width: Int) {
    let count = Double(max(1, features.count))
    var sums = [Double](repeating: 0, count: width), squares = sums
    for example in features {
      for index in 0..<width {
        sums[index] += Double(example[index])
        squares[index] += Double(example[index]) * Double(example[index])
      }
    }
    let means = sums.map { $0 / count }
    self.means = means
    deviations = (0..<width).map { index in
      let variance = squares[index] / count - means[index] * means[index]
      return variance > 1e-12 ? variance.squareRoot() : 1
    }
  }

  func applied(_ example: [Float]) -> [Double] {
    example.indices.map { (Double(example[$0]) - means[$0]) / deviations[$0] }
  }
}

/// A symmetric positive system of linear equations in the making.
private struct NormalEquations {
  private var matrix: [[Double]]
  private var right: [Double]

  init(size: Int) {
    matrix = Array(repeating: Array(repeating: 0, count: size), count: size)
    right = Array(repeating: 0, count: size)
  }

  mutating func add(_ x: [Double], weight: Double, residual: Double) {
    for row in x.indices {
      right[row] += residual * x[row]
      for column in 0...row { matrix[row][column] += weight * x[row] * x[column] }
    }
  }

  /// The bias bears no penalty beyond what keeps the system solvable.
  mutating func regularise(_ beta: [Double], ridge: Double) {
    for index in beta.indices {
      let penalty = index == beta.count - 1 ? 1e-9 : ridge
      matrix[index][index] += penalty
      right[index] -= penalty * beta[index]
    }
  }

  /// By the Cholesky decomposition, of which the lower half is read.
  func solution() -> [Double] {
    var lower = matrix, x = right
    for row in x.indices {
      for column in 0...row {
        var sum = matrix[row][column]
        for k in 0..<column { sum -= lower[row][k] * lower[column][k] }
        lower[row][column] = row == column ? max(sum, 1e-12).squareRoot() : sum / lower[column][column]
      }
    }
    for row in x.indices {
      for k in 0..<row { x[row] -= lower[row][k] * x[k] }
      x[row] /= lower[row][row]
    }
    for row in x.indices.reversed() {
      for k in x.indices where k > row { x[row] -= lower[k][row] * x[k] }
      x[row] /= lower[row][row]
    }
    return x
  }
}
