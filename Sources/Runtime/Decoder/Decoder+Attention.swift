import CKernels

/// Attention over segments, and its partial results: for each query head of a group and each segment of the context
/// the weighted values, the largest score and the sum of exponentials.
struct AttentionScratch {
  let segments: SegmentAttention
  private(set) var states: FloatBuffer

  init(_ config: DecoderConfig, _ operations: Operations) {
    segments = SegmentAttention(config, operations)
    states = FloatBuffer(count: 0)
  }

  /// Room for the states of `groups` groups of heads of a token; begins to lay segments ready.
  mutating func begin(_ groups: Int) {
    let count = groups * segments.stateWidth
    // Grown by half, for contexts grow by one token at a time.
    if states.count < count { states = FloatBuffer(count: count * 3 / 2) }
    segments.begin(states)
  }
}

extension Decoder {
  /// Positions that one call of the attention kernel covers.
  static let segmentTokens = Int(DUET_SEGMENT_PAGES) * CacheLayout.pageTokens

  /// hidden += output(attention(query, cache)), of the normalised hidden states.
  func attend(_ rows: [Row], _ layer: Int) {
    let weights = weights.layers[layer]
    normalize(
      rows.count, weights.attentionNorm,
      inBytes: weights.query.type.isQuantized && weights.key.type.isQuantized
        && weights.value.type.isQuantized
        && readsBytes(rows.count, changes(layer, .attention)))
    let announced = rows.count <= Self.directTokens && !announceKeys(rows, layer) ? weights.output : nil
    multiply(
      [(weights.query, space.query), (weights.key, space.key), (weights.value, space.value)],
      by: space.normed, tokens: rows.count, changes: changes(layer, .attention),
      before: announced)
    place(rows, layer, weights)
    record(rows, layer)
    let tiles = tiles(rows, layer)
    // Few tokens of very long contexts may have more segments than the pool shares out at once.
    let parts = tiles.reduce(0) { $0 + $1.segments.count } * config.keyValueHeadCount
    if rows.count <= Self.directTokens, parts <= ThreadPool.maximumChunks {
      attendBySegment(rows, tiles, layer)
    } else {
      attendByTile(rows, tiles, layer)
    }
    addProduct(
      of: weights.output, space.attended, tokens: rows.count, changes: changes(layer, .output),
      before: weights.gate, bias: weights.biases.output, norm: weights.attentionResultNorm)
  }

  /// Has waiting threads fetch keys and values of the first page, of which the calling thread reads the first head's at
  /// once and the others soon; false where there are few.
  private func announceKeys(_ rows: [Row], _ layer: Int) -> Bool {
    guard let row = rows.first, row.position >= Self.segmentTokens else { return false }
    let page = firstPosition(row, layer) / CacheLayout.pageTokens, places = row.sequence.places
    guard page < places.count else { return false }
    places[page].announce(to: pool, layer: layer)
    return true
  }

  /// Notes what is attended to, for the rows that may be asked for their logits.
  private func record(_ rows: [Row], _ layer: Int) {
    guard let attentionRecord else { return }
    for row in rows.count <= Self.directTokens ? rows.indices : rows.indices.suffix(1) {
      attentionRecord.add(
        row, rows[row].sequence, context: firstPosition(rows[row], layer)..<rows[row].position + 1,
        layer: layer, query: space.query)
    }
  }

  /// Normalises and rotates the tokens' queries and keys, and writes keys and values to the cache.
  private func place(_ rows: [Row], _ layer: Int, _ weights: DecoderWeights.Layer) {
    let table = config.isLocal(layer) ? space.localRotary ?? space.rotary : space.rotary
    let (query, key, value) = (space.query, space.key, space.value), biases = weights.biases
    let heads = config.headCount, groups = config.keyValueHeadCount
    forEachRun(rows.count) { [self] run, _ in
      for token in run {
        add(biases.query, to: query, token)
        add(biases.key, to: key, token)
        add(biases.value, to: value, token)
        prepare(query, token * heads, heads, norm: weights.queryNorm, table, token)
        prepare(key, token * groups, groups, norm: weights.keyNorm, table, token)
      }
      store(rows, run, layer, key, value)
    }
  }

  /// Writes the keys and values of a run to the cache.
  private func store(
    _ rows: [Row], _ run: Range<Int>, _ layer: Int, _ key: FloatBuffer, _ value: FloatBuffer
  ) {
    let width = config.keyValueHeadCount * config.headSize, size = CacheLayout.pageTokens
    var token = run.lowerBound
    while token < run.upperBound {
      let sequence = rows[token].sequence, first = rows[token].position, page = sequence.page(first)
      var place = 0
      repeat {
        page.store(
          key: key, value: value, at: token * width, slot: first % size + place, layer: layer, operations)
        (token, place) = (token + 1, place + 1)
      } while token < run.upperBound && first % size + place < size && rows[token].sequence === sequence
    }
  }

  private func prepare(
    _ values: FloatBuffer, _ first: Int, _ heads: Int, norm: FloatBuffer?, _ table: RotaryTable, _ token: Int
  ) {
    let size = config.headSize
    if let norm {
      for start in stride(from: first * size, to: (first + heads) * size, by: size) {
        operations.normalize(
          values, start..<start + size, weight: norm, epsilon: config.normEpsilon, out: values, at: start)
      }
    }
    operations.rotate(
      values, first * size..<(first + heads) * size, headSize: size, dimensions: table.rotary.dimensions,
      angles: table.angles, at: table.offset(token), split: table.rotary.split)
  }

  /// Neighbours of one sequence, which see nearly the same, and the segments of the context that they see.
  private struct Tile {
    var tokens: Range<Int>
    var segments: Range<Int>
  }

  /// The most tokens of a tile.
  private static let tileTokens = 8

  private func tiles(_ rows: [Row], _ layer: Int) -> [Tile] {
    var tiles: [Tile] = []
    for (token, row) in rows.enumerated() {
      let segments = segments(row, layer)
      if let last = tiles.last, last.tokens.count < Self.tileTokens, rows[token - 1].sequence === row.sequence
      {
        tiles[tiles.count - 1].tokens = last.tokens.lowerBound..<token + 1
        tiles[tiles.count - 1].segments = last.segments.lowerBound..<segments.upperBound
      } else {
        tiles.append(Tile(tokens: token..<token + 1, segments: segments))
      }
    }
    return tiles
  }

  /// The segments of the context that a token attends to.
  private func segments(_ row: Row, _ layer: Int) -> Range<Int> {
    firstPosition(row, layer) / Self.segmentTokens..<row.position / Self.segmentTokens + 1
  }

  private func firstPosition(_ row: Row, _ layer: Int) -> Int {
    guard let window = config.slidingWindow, config.isLocal(layer) else { return 0 }
    return max(0, row.position + 1 - window)
  }

  /// A segment of a tile, and where the states of its heads and tokens start.
  private struct SegmentWork {
    let tokens: Int
    let state: Int
  }

  /// Few tokens: each segment is work of its own, so that one long context keeps every core busy.
  private func attendBySegment(_ rows: [Row], _ tiles: [Tile], _ layer: Int) {
    let heads = config.keyValueHeadCount
    attention.begin(tiles.reduce(0) { $0 + $1.tokens.count * $1.segments.count } * heads)
    var work: [SegmentWork] = [], firsts: [Int] = [], state = 0
    for tile in tiles {
      firsts.append(state)
      for segment in tile.segments {
        lay(rows, tile.tokens, layer, segment)
        work.append(SegmentWork(tokens: tile.tokens.count, state: state))
        state += tile.tokens.count * heads
      }
    }
    let segments = attention.segments, width = segments.stateWidth, threads = pool.threadCount
    announce(weights.layers[layer].output)
    let units = work.count * heads
    let chunks = Chunks(
      products: 0..<1, matrixRows: units, step: threads, largest: units / (2 * threads), smallest: 1)
    pool.run(chunks.count) { chunk, _ in
      // Threads take chunks nearly in turn: what is fetched for another is at least in the cache that they share.
      let range = chunks.range(chunk), later = chunk + threads
      let afterwards = later < chunks.count ? chunks.range(later).lowerBound : units
      for unit in range {
        let index = unit / heads, head = unit % heads, part = work[index]
        let next = unit + 1 < range.upperBound ? unit + 1 : afterwards
        segments.attend(
          index, head: head, state: (part.state + head * part.tokens) * width,
          before: (next / heads, next % heads))
      }
    }
    pool.run(tiles.count) { [self] index, _ in
      let tile = tiles[index], count = tile.tokens.count
      for (place, token) in tile.tokens.enumerated() {
        for head in 0..<heads {
          combine(
            token, head, first: firsts[index] + head * count + place, count: tile.segments.count,
            every: heads * count, width)
        }
      }
      if precision == .int8 { space.attended.quantize(tile.tokens, operations) }
    }
  }

  /// Many tokens: each tile is work of its own. The arithmetic is the same.
  private func attendByTile(_ rows: [Row], _ tiles: [Tile], _ layer: Int) {
    let most = tiles.reduce(0) { max($0, $1.segments.count) } * Self.tileTokens
    attention.begin(most * pool.threadCount)
    var firsts: [Int] = [], laid = 0
    for tile in tiles {
      firsts.append(laid)
      for segment in tile.segments { lay(rows, tile.tokens, layer, segment) }
      laid += tile.segments.count
    }
    let segments = attention.segments, width = segments.stateWidth
    pool.run(tiles.count) { [self] index, worker in
      let tile = tiles[index], count = tile.tokens.count
      for head in 0..<config.keyValueHeadCount {
        for place in 0..<tile.segments.count {
          segments.attend(firsts[index] + place, head: head, state: (worker * most + place * count) * width)
        }
        for (place, token) in tile.tokens.enumerated() {
          combine(token, head, first: worker * most + place, count: tile.segments.count, every: count, width)
        }
      }
      if precision == .int8 {
        space.attended.quantize(tile.tokens, forPanels: rows.count > Self.directTokens, operations)
      }
    }
  }

  /// Lays a segment of neighbouring tokens ready.
  private func lay(_ rows: [Row], _ tokens: Range<Int>, _ layer: Int, _ segment: Int) {
    let positions = segment * Self.segmentTokens..<(segment + 1) * Self.segmentTokens
    let contexts = tokens.map { token in
      (firstPosition(rows[token], layer)..<rows[token].position + 1).clamped(to: positions)
    }
    attention.segments.add(
      rows[tokens.lowerBound].sequence, contexts, layer: layer, query: space.query, token: tokens.lowerBound)
  }

  /// Joins the segments of the heads of one group.
  private func combine(_ token: Int, _ group: Int, first: Int, count: Int, every: Int, _ width: Int) {
    for head in 0..<config.headsPerGroup {
      let out = (token * config.headCount + group * config.headsPerGroup + head) * config.headSize
      operations.combine(
        attention.states, first * width + head * (config.headSize + 2), stride: every * width, count: count,
        out: space.attended.values, out..<out + config.headSize)
    }
  }
}
