import CKernels

/// Partial results of attention: for each query head of a group and each segment of the context
/// the weighted values, the largest score and the sum of exponentials.
struct AttentionScratch {
  let stateWidth: Int  // floats of one group in one segment
  let threads: Int
  private(set) var states: FloatBuffer

  init(_ config: DecoderConfig, threads: Int) {
    stateWidth = config.headsPerGroup * (config.headSize + 2)
    self.threads = threads
    states = FloatBuffer(count: 0)
  }

  mutating func reserve(_ states: Int) {
    // Grown by half, for contexts grow by one token at a time.
    guard self.states.count < states * stateWidth else { return }
    self.states = FloatBuffer(count: states * stateWidth * 3 / 2)
  }
}

extension Decoder {
  /// Positions that one call of the attention kernel covers.
  static let segmentTokens = Int(DUET_SEGMENT_PAGES) * CacheLayout.pageTokens

  /// hidden += output(attention(query, cache)), of the normalised hidden states.
  func attend(_ rows: [Row], _ layer: Int) {
    let weights = weights.layers[layer]
    normalize(rows.count, weights.attentionNorm)
    multiply(
      [(weights.query, space.query), (weights.key, space.key), (weights.value, space.value)],
      by: space.normed, tokens: rows.count, changes: changes(layer, .attention))
    forEachToken(rows.count) { [self] token in place(rows[token], token, layer, weights) }
    record(rows, layer)
    let work = rows.count <= Self.directTokens ? segmentWork(rows, layer) : []
    if work.isEmpty { attendByToken(rows, layer) } else { attendBySegment(rows, layer, work) }
    multiply(
      [(weights.output, space.result)], by: space.attended, tokens: rows.count,
      changes: changes(layer, .output))
    addResult(rows.count, bias: weights.biases.output, norm: weights.attentionResultNorm)
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

  /// Normalises and rotates a token's queries and keys, and writes its keys and values to the cache.
  private func place(_ row: Row, _ token: Int, _ layer: Int, _ weights: DecoderWeights.Layer) {
    let table = config.isLocal(layer) ? space.localRotary ?? space.rotary : space.rotary
    add(weights.biases.query, to: space.query, token)
    add(weights.biases.key, to: space.key, token)
    add(weights.biases.value, to: space.value, token)
    for head in 0..<config.headCount {
      prepare(space.query, token * config.headCount + head, norm: weights.queryNorm, table, token)
    }
    for head in 0..<config.keyValueHeadCount {
      let index = token * config.keyValueHeadCount + head
      prepare(space.key, index, norm: weights.keyNorm, table, token)
      let range = index * config.headSize..<(index + 1) * config.headSize
      row.sequence.page(row.position).store(
        key: space.key, range, value: space.value, range, slot: row.position % CacheLayout.pageTokens,
        layer: layer, head: head, operations)
    }
  }

  private func prepare(
    _ heads: FloatBuffer, _ index: Int, norm: FloatBuffer?, _ table: RotaryTable, _ token: Int
  ) {
    let range = index * config.headSize..<(index + 1) * config.headSize
    if let norm {
      operations.normalize(
        heads, range, weight: norm, epsilon: config.normEpsilon, out: heads, at: range.lowerBound)
    }
    operations.rotate(
      heads, range.lowerBound..<range.lowerBound + table.rotary.dimensions, angles: table.angles,
      at: table.offset(token), split: table.rotary.split)
  }

  /// The segments of the context that a token attends to.
  private func segments(_ row: Row, _ layer: Int) -> Range<Int> {
    firstPosition(row, layer) / Self.segmentTokens..<row.position / Self.segmentTokens + 1
  }

  private func firstPosition(_ row: Row, _ layer: Int) -> Int {
    guard let window = config.slidingWindow, config.isLocal(layer) else { return 0 }
    return max(0, row.position + 1 - window)
  }

  /// The segments of all tokens; none where there are more than the pool shares out at once.
  private func segmentWork(_ rows: [Row], _ layer: Int) -> [(token: Int, segment: Int)] {
    let work = rows.indices.flatMap { token in segments(rows[token], layer).map { (token, $0) } }
    return work.count > ThreadPool.maximumChunks / config.keyValueHeadCount ? [] : work
  }

  /// Few tokens: each segment is work of its own, so that one long context keeps every core busy.
  private func attendBySegment(_ rows: [Row], _ layer: Int, _ work: [(token: Int, segment: Int)]) {
    let heads = config.keyValueHeadCount
    attention.reserve(work.count * heads)
    pool.run(work.count * heads) { [self] chunk, _ in
      let (token, segment) = work[chunk / heads]
      attendSegment(rows[token], token, layer, head: chunk % heads, segment, state: chunk)
    }
    let counts = rows.indices.map { segments(rows[$0], layer).count }
    forEachToken(rows.count) { [self] token in
      let first = counts[..<token].reduce(0, +)
      for head in 0..<heads {
        combine(token, head, first: first * heads + head, count: counts[token], every: heads)
      }
      if precision == .int8 { space.attended.quantize(token, operations) }
    }
  }

  /// Many tokens: each is work of its own. The arithmetic is the same.
  private func attendByToken(_ rows: [Row], _ layer: Int) {
    let most = rows.reduce(0) { max($0, segments($1, layer).count) }
    attention.reserve(most * pool.threadCount)
    pool.run(rows.count) { [self] token, worker in
      let range = segments(rows[token], layer)
      for head in 0..<config.keyValueHeadCount {
        for (index, segment) in range.enumerated() {
          attendSegment(rows[token], token, layer, head: head, segment, state: worker * most + index)
        }
        combine(token, head, first: worker * most, count: range.count, every: 1)
      }
      if precision == .int8 { space.attended.quantize(token, operations) }
    }
  }

  private func attendSegment(
    _ row: Row, _ token: Int, _ layer: Int, head: Int, _ segment: Int, state: Int
  ) {
    let start = max(segment * Self.segmentTokens, firstPosition(row, layer))
    let end = min((segment + 1) * Self.segmentTokens, row.position + 1)
    let group = config.headsPerGroup * config.headSize
    let query = (token * config.keyValueHeadCount + head) * group
    operations.attend(
      row.sequence, start..<end, layer: layer, head: head, config, query: space.query, query..<query + group,
      state: attention.states, at: state * attention.stateWidth)
  }

  /// Joins the segments of the heads of one group.
  private func combine(_ token: Int, _ group: Int, first: Int, count: Int, every: Int) {
    for head in 0..<config.headsPerGroup {
      let out = (token * config.headCount + group * config.headsPerGroup + head) * config.headSize
      operations.combine(
        attention.states, first * attention.stateWidth + head * (config.headSize + 2),
        stride: every * attention.stateWidth, count: count, out: space.attended.values,
        out..<out + config.headSize)
    }
  }
}
