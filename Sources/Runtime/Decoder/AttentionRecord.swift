#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How much tokens attend to some positions of their sequence: shares of 0 to 1, means over all heads of all layers.
///
/// The attention kernels never hold a whole row of probabilities. A position's score is what they find
/// where it alone is the context, and the sum that it is a share of what they find for the whole one.
final class AttentionRecord {
  /// [rows][positions], of the last step; empty for rows that were not recorded.
  private(set) var shares: [[Float]] = []
  /// [rows][layers], of the last step: what the watched positions get together of a layer's attention; empty for
  /// rows that were not recorded.
  private(set) var layerShares: [[Float]] = []
  private let config: DecoderConfig
  private let operations: Operations
  private let state: FloatBuffer
  private let stateWidth: Int

  init(_ config: DecoderConfig, _ operations: Operations) {
    self.config = config
    self.operations = operations
    stateWidth = config.headSize + 2
    state = FloatBuffer(count: config.headsPerGroup * stateWidth)
  }

  /// Forgets the last step.
  func begin(rows: Int) {
    shares = Array(repeating: [], count: rows)
    layerShares = shares
  }

  /// Adds what the heads of one layer attend to.
  ///
  /// - Parameters:
  ///   - row: of the step.
  ///   - sequence: whose watched positions are meant.
  ///   - context: the positions that the row sees.
  ///   - layer: of the model.
  ///   - query: [rows, heads * head size]
  /// - Complexity: O(heads * (watched positions + context)).
  func add(
    _ row: Int, _ sequence: CachedSequence, context: Range<Int>, layer: Int, query: FloatBuffer
  ) {
    guard let watched = sequence.watched else { return }
    if shares[row].isEmpty {
      shares[row] = Array(repeating: 0, count: watched.count)
      layerShares[row] = Array(repeating: 0, count: config.layerCount)
    }
    let part = 1 / Float(config.headCount), partOfAll = part / Float(config.layerCount)
    for head in 0..<config.keyValueHeadCount {
      let group = config.headsPerGroup * config.headSize
      let start = (row * config.keyValueHeadCount + head) * group
      func attend(_ positions: Range<Int>, _ body: (_ head: Int, _ largest: Float, _ sum: Float) -> Void) {
        operations.attend(
          sequence, CollectionOfOne(positions), layer: layer, head: head, config, query: query, at: start,
          stride: group, state: state, at: 0)
        for index in 0..<config.headsPerGroup {
          let at = index * stateWidth + config.headSize
          body(index, state[at], state[at + 1])
        }
      }
      var largest = [Float](repeating: -.infinity, count: config.headsPerGroup)
      var sums = [Float](repeating: 0, count: config.headsPerGroup)
      let size = Decoder.segmentTokens
      for segment in context.lowerBound / size..<(context.upperBound - 1) / size + 1 {
        let positions =
          max(context.lowerBound, segment * size)..<min(context.upperBound, (segment + 1) * size)
        attend(positions) { index, score, sum in
          let top = max(largest[index], score)
          sums[index] = sums[index] * exp(largest[index] - top) + sum * exp(score - top)
          largest[index] = top
        }
      }
      for position in watched.clamped(to: context) {
        attend(position..<position + 1) { index, score, sum in
          let share = exp(score - largest[index]) * sum / sums[index]
          shares[row][position - watched.lowerBound] += partOfAll * share
          layerShares[row][layer] += part * share
        }
      }
    }
  }
}
