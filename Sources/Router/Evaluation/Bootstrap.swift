import DuetRuntime

/// Intervals of means by drawing whole clusters again, with replacement (Efron and Tibshirani 1993).
public enum Bootstrap {
  /// A mean with the interval that holds it in 95 of 100 draws.
  public struct Estimate: Sendable, Equatable, Encodable {
    /// Of all values.
    public let mean: Double
    /// The lower end.
    public let low: Double
    /// The upper end.
    public let high: Double
  }

  private static let draws = 2_000

  /// The mean of the columns' means, where each column has values that belong to clusters.
  ///
  /// Columns are drawn from separately, so that each keeps its weight.
  ///
  /// - Parameter columns: values with their clusters, at least one in each.
  /// - Complexity: O(draws · clusters).
  public static func mean(_ columns: [[(cluster: String, value: Double)]]) -> Estimate {
    let groups = columns.map(clusters)
    let mean = average(columns.map { $0.reduce(0) { $0 + $1.value } / Double(max(1, $0.count)) })
    var random = RandomSource(seed: 1)
    var means: [Double] = []
    for _ in 0..<draws {
      means.append(average(groups.map { drawn($0, &random) }))
    }
    means.sort()
    return Estimate(mean: mean, low: means[draws / 40], high: means[draws - 1 - draws / 40])
  }

  private typealias Cluster = (sum: Double, count: Int)

  /// In the order of their first values, so that equal seeds draw alike.
  private static func clusters(_ values: [(cluster: String, value: Double)]) -> [Cluster] {
    var indices: [String: Int] = [:], clusters: [Cluster] = []
    for (name, value) in values {
      let index = indices[name] ?? clusters.count
      if index == clusters.count {
        indices[name] = index
        clusters.append((0, 0))
      }
      clusters[index].sum += value
      clusters[index].count += 1
    }
    return clusters
  }

  private static func drawn(_ clusters: [Cluster], _ random: inout RandomSource) -> Double {
    var sum = 0.0, count = 0
    for _ in clusters {
      let cluster = clusters[Int.random(in: 0..<clusters.count, using: &random)]
      sum += cluster.sum
      count += cluster.count
    }
    return sum / Double(max(1, count))
  }

  private static func average(_ values: [Double]) -> Double {
    values.reduce(0, +) / Double(max(1, values.count))
  }
}
