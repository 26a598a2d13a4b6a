import Synchronization

/// The first halves of an adapter's products, [tokens, widest hand-off], and how many are done.
struct AdapterScratch {
  /// Matrices of one hand-off at most: query, key and value.
  static let places = 3
  private(set) var low = FloatBuffer(count: 0)
  /// Floats from one matrix of a hand-off to the next.
  private(set) var width = 0
  var stride: Int { width * Self.places }

  mutating func reserve(tokens: Int, rank: Int) {
    width = max(width, rank)
    guard low.count < tokens * stride else { return }
    low = FloatBuffer(count: tokens * stride)
  }
}

extension Decoder {
  /// Neighbouring tokens of a step that use the same tuning.
  struct TunedRun {
    var tokens: Range<Int>
    let tuning: Tuning
  }

  /// A pair of factors that takes part in a hand-off: of its matrix number `place`, for some tokens.
  fileprivate struct Change {
    let pair: LowRank
    let factor: Float
    let place: Int
    let tokens: Range<Int>
  }

  /// What adapters change in the products of one hand-off. Chunks 0 to `count` make the first
  /// halves. They are drawn before all others, so whoever waits for them waits for a thread that is
  /// at work on them.
  final class Changes {
    private let changes: [Change]
    private let parts: [(change: Int, rows: Range<Int>)]
    private let done = Atomic<Int>(0)

    /// Values of the first factor that a thread takes at a time.
    private static let partValues = 24_576

    fileprivate init(_ changes: [Change]) {
      self.changes = changes
      parts = changes.indices.flatMap { index in
        let pair = changes[index].pair
        let rows = max(8, Self.partValues / pair.columns)
        return stride(from: 0, to: pair.rank, by: rows).map { (index, $0..<min(pair.rank, $0 + rows)) }
      }
    }

    var count: Int { parts.count }

    /// Makes the first half of part `index`.
    func reduce(_ index: Int, _ x: Activations, scratch: FloatBuffer?, _ decoder: Decoder) {
      let change = changes[parts[index].change], low = decoder.adapters
      decoder.operations.reduce(
        change.pair, part: parts[index].rows, x, tokens: change.tokens, factor: change.factor,
        precision: decoder.precision, scratch: scratch, low: low.low,
        at: change.tokens.lowerBound * low.stride + change.place * low.width, stride: low.stride)
      done.wrappingAdd(1, ordering: .releasing)
    }

    /// Adds the second halves to `rows` of the product number `place`.
    func expand(_ place: Int, _ rows: Range<Int>, _ out: FloatBuffer, stride: Int, _ decoder: Decoder) {
      let low = decoder.adapters
      for change in changes where change.place == place {
        wait()
        decoder.operations.expand(
          change.pair, rows: rows, low: low.low,
          at: change.tokens.lowerBound * low.stride + place * low.width, stride: low.stride,
          tokens: change.tokens, out: out, outStride: stride)
      }
    }

    private func wait() {
      var rounds = 0
      while done.load(ordering: .acquiring) < parts.count { ThreadPool.pause(&rounds) }
    }
  }

  /// The runs of `rows` that use a tuning; none where all use the bare model.
  func tunedRuns(_ rows: [Row]) -> [TunedRun] {
    var runs: [TunedRun] = []
    for (token, row) in rows.enumerated() {
      guard let tuning = row.sequence.tuning, tuning.scale != 0 else { continue }
      if let last = runs.last, last.tokens.upperBound == token, last.tuning == tuning {
        runs[runs.count - 1].tokens = last.tokens.lowerBound..<token + 1
      } else {
        runs.append(TunedRun(tokens: token..<token + 1, tuning: tuning))
      }
    }
    return runs
  }

  /// What adapters change in the products of `sites` of a layer; nil for nothing.
  func changes(_ layer: Int, _ sites: [Adapter.Site]) -> Changes? {
    guard !tuned.isEmpty else { return nil }
    var changes: [Change] = []
    for run in tuned {
      for (place, site) in sites.enumerated() {
        guard let pair = run.tuning.adapter.pair(layer, site) else { continue }
        let factor = run.tuning.adapter.factor(pair, scale: run.tuning.scale)
        changes.append(Change(pair: pair, factor: factor, place: place, tokens: run.tokens))
      }
    }
    return changes.isEmpty ? nil : Changes(changes)
  }
}
