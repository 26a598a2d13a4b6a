/// Rows of tokens laid end to end for one pass. Tokens attend within their own row only, and the
/// positions of each row start at 0.
package struct PackedBatch: Sendable {
  /// A position whose next token counts.
  package struct Target: Sendable, Equatable {
    /// Where in the batch the prediction is made.
    package let position: Int
    /// The token to be predicted.
    package let token: Int32
    /// How much it counts.
    package let weight: Float
  }

  package private(set) var tokens: [Int32] = []
  /// Where each row lies.
  package private(set) var rows: [Range<Int>] = []
  package private(set) var targets: [Target] = []

  package init() {}

  /// The sum of the weights.
  package var weight: Double { targets.reduce(0) { $0 + Double($1.weight) } }
  /// Tokens of the longest row.
  package var longestRow: Int { rows.reduce(0) { max($0, $1.count) } }

  /// Appends a row: its tokens, and for each the weight of predicting it. The last token is not
  /// read, for nothing is predicted from it.
  package mutating func append(tokens row: [Int32], weights: [Float]) {
    precondition(row.count == weights.count, "tokens and weights differ in number")
    guard row.count > 1 else { return }
    let start = tokens.count
    tokens += row.dropLast()
    rows.append(start..<tokens.count)
    for index in 1..<row.count where weights[index] != 0 {
      targets.append(Target(position: start + index - 1, token: row[index], weight: weights[index]))
    }
  }
}
