#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Positions of a sequence of which it is recorded how much the last tokens attend to them.
package struct WatchedPositions: Sendable, Equatable {
  /// Whose shares are told apart; they may be empty, and overlap.
  package var ranges: [Range<Int>]
  /// The layers that are looked at.
  package var layers: Range<Int>

  package init(_ ranges: [Range<Int>], layers: Range<Int>) {
    self.ranges = ranges
    self.layers = layers
  }
}

/// How much a token attends to ranges of its sequence's positions: shares of 0 to 1, means over heads.
public struct AttentionShares: Sendable, Equatable {
  /// [layers][ranges]
  package var layers: [[Float]]

  /// By range, the mean over the layers. O(layers · ranges).
  public var means: [Float] {
    guard let first = layers.first else { return [] }
    return first.indices.map { range in layers.reduce(0) { $0 + $1[range] } / Float(layers.count) }
  }
}

/// Records how much tokens attend to what their sequences watch.
///
/// The attention kernels never hold a whole row of probabilities. A range's score is what they find
/// where it alone is the context, and the sum that it is a share of what they find for the whole one.
final class AttentionRecord {
  /// [rows], of the last step; nil for rows that were not recorded.
  private(set) var shares: [AttentionShares?] = []
  private let config: DecoderConfig
  private let segments: SegmentAttention
  private let state: FloatBuffer
  /// Of each head of a group what `weigh` found in the whole context, and in a range.
  private var whole: [Weight]
  private var part: [Weight]

  /// A sum of exponentials of scores, each less the largest.
  private struct Weight {
    var largest = -Float.infinity
    var sum: Float = 0

    mutating func add(_ largest: Float, _ sum: Float) {
      let top = max(self.largest, largest)
      self.sum = self.sum * exp(self.largest - top) + sum * exp(largest - top)
      self.largest = top
    }
  }

  init(_ config: DecoderConfig, _ operations: Operations) {
    self.config = config
    segments = SegmentAttention(config, operations)
    state = FloatBuffer(count: segments.stateWidth)
    whole = Array(repeating: Weight(), count: config.headsPerGroup)
    part = whole
  }

  /// Forgets the last step.
  func begin(rows: Int) { shares = Array(repeating: nil, count: rows) }

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
    guard let watched = sequence.watched, watched.layers.contains(layer) else { return }
    var found = [Float](repeating: 0, count: watched.ranges.count)
    for head in 0..<config.keyValueHeadCount {
      func weigh(_ positions: Range<Int>, _ weights: inout [Weight]) {
        for index in weights.indices { weights[index] = Weight() }
        let size = Decoder.segmentTokens
        for segment in positions.lowerBound / size..<(positions.upperBound - 1) / size + 1 {
          segments.begin(state)
          segments.add(
            sequence, [positions.clamped(to: segment * size..<(segment + 1) * size)],
            layer: layer,
            query: query, token: row)
          segments.attend(0, head: head, state: 0)
          for index in weights.indices {
            let at = index * (config.headSize + 2) + config.headSize
            weights[index].add(state[at], state[at + 1])
          }
        }
      }
      weigh(context, &whole)
      for (index, range) in watched.ranges.enumerated() {
        let seen = range.clamped(to: context)
        if seen.isEmpty { continue }
        weigh(seen, &part)
        for (some, all) in zip(part, whole) {
          found[index] += some.sum * exp(some.largest - all.largest) / (all.sum * Float(config.headCount))
        }
      }
    }
    if shares[row] == nil { shares[row] = AttentionShares(layers: []) }
    shares[row]?.layers.append(found)
  }
}
