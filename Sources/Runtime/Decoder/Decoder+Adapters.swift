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
  struct TunedRun: Equatable {
    var tokens: Range<Int>
    let tuning: Tuning
  }

  /// The hand-offs of a layer, by the matrices that each multiplies.
  enum HandOff: Int, CaseIterable {
    case attention, output, gates, down

    var sites: [Adapter.Site] {
      switch self {
      case .attention: [.query, .key, .value]
      case .output: [.output]
      case .gates: [.gate, .up]
      case .down: [.down]
      }
    }
  }

  /// What adapters change in the products of one hand-off. Chunks 0 to `count` make the first
  /// halves. They are drawn before all others, so whoever waits for them waits for a thread that is
  /// at work on them.
  final class Changes {
    private let products: LowRankProducts
    private let laid: LaidVectors
    private var parts: [(change: Int, rows: Range<Int>)] = []
    /// The parts of each chunk.
    private var chunks: [Range<Int>] = []
    private let done = Atomic<Int>(0)
    /// What the hand-off after this one changes, and how much of it has been asked for.
    private let following: LowRankProducts?
    private var fetched = 0

    /// Parts in which the first factors of the following hand-off are asked for.
    private static let fetchParts = 4

    /// Values of first factors that a thread takes at a time, at most.
    private static let chunkValues = 49_152

    init(
      _ changes: [LowRankChange], before following: Changes?, _ scratch: AdapterScratch,
      _ laid: LaidVectors, _ operations: Operations
    ) {
      self.laid = laid
      self.following = following?.products
      products = LowRankProducts(
        changes, low: scratch.low, stride: scratch.stride, placeWidth: scratch.width, operations)
      var values = Self.chunkValues
      for (index, change) in changes.enumerated() {
        let most = max(8, Self.chunkValues / change.pair.columns)
        for start in stride(from: 0, to: change.pair.rank, by: most) {
          let rows = start..<min(change.pair.rank, start + most), size = rows.count * change.pair.columns
          if values + size > Self.chunkValues {
            chunks.append(parts.count..<parts.count)
            values = 0
          }
          parts.append((index, rows))
          chunks[chunks.count - 1] = chunks[chunks.count - 1].lowerBound..<parts.count
          values += size
        }
      }
    }

    var count: Int { chunks.count }

    /// Whether nothing here reads floats.
    var readsBytes: Bool { products.readsBytes }

    /// Prepares for another pass.
    func restart() {
      laid.renew()
      done.store(0, ordering: .relaxed)
      fetched = 0
    }

    /// Brings nearer what `expand` will read for these rows and, by the thread that is first to begin the following
    /// hand-off, what that one's first halves are made of.
    func fetch(_ place: Int, _ rows: Range<Int>, worker: Int) {
      products.fetchSecond(place, rows: rows)
      guard worker == 0, fetched < Self.fetchParts, let following else { return }
      following.fetchFirst(fetched, of: Self.fetchParts)
      fetched += 1
    }

    /// Makes the first halves of chunk `index`.
    func reduce(
      _ index: Int, _ x: Activations, precision: ActivationType, scratch: FloatBuffer?, worker: Int
    ) {
      for part in chunks[index] {
        products.reduce(
          parts[part].change, part: parts[part].rows, x, precision: precision, scratch: scratch, laid: laid,
          worker: worker)
      }
      done.wrappingAdd(1, ordering: .releasing)
    }

    /// Adds the second halves to `rows` of the product number `place`; `out` is the first token's first of them.
    @unsafe func expand(_ place: Int, _ rows: Range<Int>, _ out: UnsafeMutablePointer<Float>, stride: Int) {
      unsafe products.expand(place, rows: rows, out: out, outStride: stride) { wait() }
    }

    private func wait() {
      var rounds = 0
      while done.load(ordering: .acquiring) < chunks.count { ThreadPool.pause(&rounds) }
    }
  }

  /// The runs of `rows` that use a tuning; none where all use the bare model.
  private static func tunedRuns(_ rows: [Row]) -> [TunedRun] {
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

  /// Prepares the changes of all layers for a step, unless they are those of the one before.
  func tune(_ rows: [Row]) {
    let runs = Self.tunedRuns(rows)
    guard runs != tuned else { return }
    tuned = runs
    guard let rank = runs.map(\.tuning.adapter.rank).max() else { return tunedLayers = [] }
    adapters.reserve(tokens: rows.count, rank: rank)
    // From the last one on, for each to know the one that follows.
    var following: Changes?
    tunedLayers = weights.layers.indices.reversed().map { layer in
      HandOff.allCases.reversed().map { handOff in
        let changes = changes(layer, handOff.sites, before: following)
        following = changes ?? following
        return changes
      }.reversed()
    }.reversed()
  }

  private func changes(_ layer: Int, _ sites: [Adapter.Site], before following: Changes?) -> Changes? {
    var changes: [LowRankChange] = []
    for run in tuned {
      for (place, site) in sites.enumerated() {
        guard let pair = run.tuning.adapter.pair(layer, site) else { continue }
        let factor = run.tuning.adapter.factor(pair, scale: run.tuning.scale)
        changes.append(LowRankChange(pair: pair, factor: factor, place: place, tokens: run.tokens))
      }
    }
    return changes.isEmpty ? nil : Changes(changes, before: following, adapters, firstVectors, operations)
  }

  /// What adapters change in a hand-off of a layer; nil for nothing.
  func changes(_ layer: Int, _ handOff: HandOff) -> Changes? {
    tunedLayers.isEmpty ? nil : tunedLayers[layer][handOff.rawValue]
  }
}
