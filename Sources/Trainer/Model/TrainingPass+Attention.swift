import DuetRuntime

extension TrainingPass {
  private func angles(_ layer: Int) -> RotaryAngles {
    config.isLocal(layer) ? localAngles ?? angles : angles
  }

  /// Calls `body` with each token and its position within its row.
  private func forEachPosition(
    _ batch: PackedBatch, _ body: (_ part: Int, _ token: Int, _ position: Int) -> Void
  ) {
    var positions: [Int] = []
    for segment in batch.segments { positions += segment.beginning..<segment.seen }
    pool.forEachPart(batch.tokens.count, size: Self.tokenPart) { part, tokens in
      for token in tokens { body(part, token, positions[token]) }
    }
  }

  /// Where a head lies: query heads first, then key heads.
  private func head(_ block: Block, _ token: Int, _ head: Int) -> Range<Int> {
    let start = block.offset + token * block.stride + head * config.headSize
    return start..<start + config.headSize
  }

  /// Normalises queries and keys where the family does so, and rotates them.
  func place(_ index: Int, _ batch: PackedBatch) {
    let layer = trained.layers[index], saved = saved[index], angles = angles(index)
    let heads = config.headCount + config.keyValueHeadCount
    forEachPosition(batch) { [self] _, token, position in
      for number in 0..<heads {
        let range = head(saved.inputs, token, number)
        if let raw = saved.raw, let norm = number < config.headCount ? layer.queryNorm : layer.keyNorm {
          kernels.copy(saved.inputs.buffer, range, to: raw.buffer, at: head(raw, token, number).lowerBound)
          operations.normalize(
            saved.inputs.buffer, range, weight: norm.values, epsilon: config.normEpsilon,
            out: saved.inputs.buffer, at: range.lowerBound)
        }
        rotate(saved.inputs.buffer, range, angles.forward.angles, angles, position)
      }
    }
  }

  private func rotate(
    _ x: FloatBuffer, _ range: Range<Int>, _ table: FloatBuffer, _ angles: RotaryAngles, _ position: Int
  ) {
    operations.rotate(
      x, range, headSize: range.count, dimensions: angles.rotary.dimensions, angles: table,
      at: angles.forward.offset(position), split: angles.rotary.split)
  }

  /// Turns the gradients in `scratch.dInputs` back through rotation and norms.
  func placeBackward(_ index: Int, _ batch: PackedBatch) {
    let layer = trained.layers[index], angles = angles(index), tokens = batch.tokens.count
    let d = Block.rows(tokens, of: scratch.dInputs, shape.inputs)
    let gradients = [layer.queryNorm, layer.keyNorm].map {
      PartialGradients($0?.parameter, parts: tokens, size: Self.tokenPart, kernels)
    }
    forEachPosition(batch) { [self] part, token, position in
      for number in 0..<config.headCount + config.keyValueHeadCount {
        let range = head(d, token, number), isKey = number >= config.headCount
        rotate(d.buffer, range, angles.backward, angles, position)
        guard let raw = saved[index].raw, let norm = isKey ? layer.keyNorm : layer.queryNorm else { continue }
        // The queries' own place is free by now: their gradient is made there.
        let target = head(saved[index].inputs, token, number), buffer = saved[index].inputs.buffer
        kernels.clear(buffer, target)
        kernels.normalizeBackward(
          raw.buffer, head(raw, token, number), weight: norm.values, dy: d.buffer, range,
          epsilon: config.normEpsilon, dx: buffer, at: target.lowerBound,
          dweight: gradients[isKey ? 1 : 0].place(part))
        kernels.copy(buffer, target, to: d.buffer, at: range.lowerBound)
      }
    }
    for gradient in gradients { gradient.add(kernels) }
  }

  /// Some queries of a segment, and the keys that any of them sees: those of the beginning first, then
  /// those of the segment. Scores have a column for each.
  private struct Tile {
    let queries: Range<Int>  // tokens of the batch
    let beginning: Range<Int>  // tokens of the batch
    let own: Range<Int>  // tokens of the batch
    let segment: PackedBatch.Segment
    let window: Int?

    init(_ queries: Range<Int>, of segment: PackedBatch.Segment, window: Int?) {
      self.queries = queries
      self.segment = segment
      self.window = window
      let position = segment.beginning + queries.lowerBound - segment.range.lowerBound
      let first = window.map { max(0, position - $0 + 1) } ?? 0
      beginning = min(first, segment.beginning)..<segment.beginning
      own = segment.range.lowerBound + max(0, first - segment.beginning)..<queries.upperBound
    }

    var columns: Int { beginning.count + own.count }

    /// The keys in parts that lie together, with the columns of their scores.
    var parts: [(keys: Range<Int>, columns: Range<Int>, isShared: Bool)] {
      let all = [(beginning, 0..<beginning.count, true), (own, beginning.count..<columns, false)]
      return all.filter { !$0.0.isEmpty }
    }

    /// The columns of the scores that one query sees.
    func visible(_ query: Int) -> Range<Int> {
      let end = columns - queries.count + query + 1
      return (window.map { max(0, end - $0) } ?? 0)..<end
    }
  }

  private func tiles(_ segment: PackedBatch.Segment, _ layer: Int) -> [Tile] {
    let window = config.isLocal(layer) ? config.slidingWindow : nil, range = segment.range
    return stride(from: range.lowerBound, to: range.upperBound, by: Self.queryBlock).map {
      Tile($0..<min(range.upperBound, $0 + Self.queryBlock), of: segment, window: window)
    }
  }

  /// Calls `body` for each segment and each head of keys, shared out among the threads.
  private func forEachHead(
    _ batch: PackedBatch, _ body: (_ segment: Int, _ keyHead: Int, _ worker: Int) -> Void
  ) {
    let heads = config.keyValueHeadCount
    pool.run(batch.segments.count * heads) { index, worker in body(index / heads, index % heads, worker) }
  }

  private func columns(_ head: Int, from start: Int = 0) -> Range<Int> {
    start + head * config.headSize..<start + (head + 1) * config.headSize
  }

  /// Keeps what a query sees of its scores; the rest becomes zero.
  private func clearHidden(_ scores: Block, _ query: Int, _ visible: Range<Int>) {
    let range = scores.range(query)
    kernels.clear(scores.buffer, range.lowerBound..<range.lowerBound + visible.lowerBound)
    kernels.clear(scores.buffer, range.lowerBound + visible.upperBound..<range.upperBound)
  }

  private func seen(_ scores: Block, _ query: Int, _ visible: Range<Int>) -> Range<Int> {
    let start = scores.range(query).lowerBound
    return start + visible.lowerBound..<start + visible.upperBound
  }

  /// attended = softmax(scale * queries keys) values, within each row.
  func attend(_ layer: Int, _ batch: PackedBatch) {
    forEachHead(batch) { [self] segment, keyHead, worker in
      for tile in tiles(batch.segments[segment], layer) {
        for head in keyHead * config.headsPerGroup..<(keyHead + 1) * config.headsPerGroup {
          attend(tile, head, keyHead, worker, saved[layer])
        }
      }
    }
  }

  private func attend(_ tile: Tile, _ head: Int, _ keyHead: Int, _ worker: Int, _ saved: SavedLayer) {
    let scores = Block(scratch.scores[worker], rows: tile.queries.count, columns: tile.columns)
    let queries = saved.inputs.rows(tile.queries).columns(columns(head))
    for part in tile.parts {
      MatrixProduct.multiply(
        queries, by: keys(saved.inputs, part.keys, keyHead), bTransposed: true,
        into: scores.columns(part.columns), alpha: config.attentionScale)
    }
    for query in 0..<tile.queries.count {
      let visible = tile.visible(query)
      saved.logSums[(tile.queries.lowerBound + query) * config.headCount + head] = kernels.softmax(
        scores.buffer, seen(scores, query, visible), softcap: config.attentionSoftcap)
      clearHidden(scores, query, visible)
    }
    for (index, part) in tile.parts.enumerated() {
      MatrixProduct.multiply(
        scores.columns(part.columns), by: values(saved.inputs, part.keys, keyHead),
        into: saved.attended.rows(tile.queries).columns(columns(head)), beta: index == 0 ? 0 : 1)
    }
  }

  private func keys(_ inputs: Block, _ tokens: Range<Int>, _ head: Int) -> Block {
    inputs.rows(tokens).columns(columns(head, from: shape.queries))
  }

  private func values(_ inputs: Block, _ tokens: Range<Int>, _ head: Int) -> Block {
    inputs.rows(tokens).columns(columns(head, from: shape.queries + shape.keys))
  }

  /// Writes the gradients of queries, keys and values to `scratch.dInputs`. Scores are computed
  /// again (arXiv 2205.14135, section 3.1 and appendix B.4).
  func attendBackward(_ layer: Int, _ batch: PackedBatch) {
    let tokens = batch.tokens.count
    let d = Block.rows(tokens, of: scratch.dInputs, shape.inputs)
    forEachToken(tokens) { [self] token in kernels.clear(d.buffer, d.range(token)) }
    kernels.clear(scratch.shared)
    forEachHead(batch) { [self] segment, keyHead, worker in
      for tile in tiles(batch.segments[segment], layer) {
        for head in keyHead * config.headsPerGroup..<(keyHead + 1) * config.headsPerGroup {
          attendBackward(tile, segment, head, keyHead, worker, saved[layer], d)
        }
      }
    }
    guard batch.beginning > 0 else { return }
    forEachToken(batch.beginning) { [self] token in
      for segment in 1..<batch.segments.count {
        let part = shared(segment, tile: 0..<batch.beginning, of: batch.beginning)
        kernels.add(
          part.buffer, part.range(token), to: d.buffer, at: d.range(token).lowerBound + shape.queries)
      }
    }
  }

  /// Keys and values of the beginning's tokens, for what one segment adds to their gradients.
  private func shared(_ segment: Int, tile tokens: Range<Int>, of beginning: Int) -> Block {
    let width = 2 * shape.keys
    return Block(
      scratch.shared, at: (segment * beginning + tokens.lowerBound) * width, rows: tokens.count,
      columns: width)
  }

  private func attendBackward(
    _ tile: Tile, _ segment: Int, _ head: Int, _ keyHead: Int, _ worker: Int, _ saved: SavedLayer, _ d: Block
  ) {
    let queries = saved.inputs.rows(tile.queries).columns(columns(head))
    let scores = Block(scratch.scores[worker], rows: tile.queries.count, columns: tile.columns)
    let dScores = Block(scratch.dScores[worker], rows: tile.queries.count, columns: tile.columns)
    let attended = saved.attended.rows(tile.queries).columns(columns(head))
    let dAttended = Block.rows(d.rows, of: scratch.dAttended, shape.queries).rows(tile.queries)
      .columns(columns(head))
    let scale = config.attentionScale
    for part in tile.parts {
      MatrixProduct.multiply(
        queries, by: keys(saved.inputs, part.keys, keyHead), bTransposed: true,
        into: scores.columns(part.columns), alpha: scale)
      MatrixProduct.multiply(
        dAttended, by: values(saved.inputs, part.keys, keyHead), bTransposed: true,
        into: dScores.columns(part.columns))
    }
    for query in 0..<tile.queries.count {
      let visible = tile.visible(query)
      let dot = kernels.dot(
        dAttended.buffer, dAttended.range(query), attended.buffer, attended.range(query))
      kernels.softmaxBackward(
        scores.buffer, seen(scores, query, visible), d: dScores.buffer, seen(dScores, query, visible),
        softcap: config.attentionSoftcap,
        logSum: saved.logSums[(tile.queries.lowerBound + query) * config.headCount + head], dot: dot)
      clearHidden(scores, query, visible)
      clearHidden(dScores, query, visible)
    }
    for (index, part) in tile.parts.enumerated() {
      let dShared = part.isShared ? shared(segment, tile: part.keys, of: tile.segment.beginning) : nil
      let dKeys = dShared?.columns(columns(keyHead)) ?? keys(d, part.keys, keyHead)
      let dValues = dShared?.columns(columns(keyHead, from: shape.keys)) ?? values(d, part.keys, keyHead)
      let dPart = dScores.columns(part.columns)
      MatrixProduct.multiply(
        scores.columns(part.columns), aTransposed: true, by: dAttended, into: dValues, beta: 1)
      MatrixProduct.multiply(
        dPart, by: keys(saved.inputs, part.keys, keyHead), into: d.rows(tile.queries).columns(columns(head)),
        alpha: scale, beta: index == 0 ? 0 : 1)
      MatrixProduct.multiply(dPart, aTransposed: true, by: queries, into: dKeys, alpha: scale, beta: 1)
    }
  }
}
