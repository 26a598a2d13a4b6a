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
    for row in batch.rows { positions += 0..<row.count }
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
      x, range.lowerBound..<range.lowerBound + angles.rotary.dimensions, angles: table,
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

  /// Some queries of a row, the keys that any of them sees, and the parts of the buffers.
  private struct Tile {
    let queries: Range<Int>  // tokens of the batch
    let keys: Range<Int>
    let row: Range<Int>
    let window: Int?

    init(_ queries: Range<Int>, row: Range<Int>, window: Int?) {
      self.queries = queries
      self.row = row
      self.window = window
      let first = window.map { max(row.lowerBound, queries.lowerBound - $0 + 1) } ?? row.lowerBound
      keys = first..<queries.upperBound
    }

    /// The columns of the scores that one query sees.
    func visible(_ query: Int) -> Range<Int> {
      let token = queries.lowerBound + query
      let first = window.map { max(keys.lowerBound, token - $0 + 1) } ?? keys.lowerBound
      return first - keys.lowerBound..<token + 1 - keys.lowerBound
    }
  }

  private func tiles(_ row: Range<Int>, _ layer: Int) -> [Tile] {
    let window = config.isLocal(layer) ? config.slidingWindow : nil
    return stride(from: row.lowerBound, to: row.upperBound, by: Self.queryBlock).map {
      Tile($0..<min(row.upperBound, $0 + Self.queryBlock), row: row, window: window)
    }
  }

  /// Calls `body` for each row and each head of keys, shared out among the threads.
  private func forEachHead(
    _ batch: PackedBatch, _ body: (_ row: Range<Int>, _ keyHead: Int, _ worker: Int) -> Void
  ) {
    let heads = config.keyValueHeadCount
    pool.run(batch.rows.count * heads) { index, worker in
      body(batch.rows[index / heads], index % heads, worker)
    }
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
    let saved = saved[layer]
    forEachHead(batch) { [self] row, keyHead, worker in
      for tile in tiles(row, layer) {
        let keys = saved.inputs.rows(tile.keys).columns(columns(keyHead, from: shape.queries))
        let values = saved.inputs.rows(tile.keys).columns(columns(keyHead, from: shape.queries + shape.keys))
        let scores = Block(scratch.scores[worker], rows: tile.queries.count, columns: tile.keys.count)
        for head in keyHead * config.headsPerGroup..<(keyHead + 1) * config.headsPerGroup {
          let queries = saved.inputs.rows(tile.queries).columns(columns(head))
          MatrixProduct.multiply(
            queries, by: keys, bTransposed: true, into: scores, alpha: config.attentionScale)
          for query in 0..<tile.queries.count {
            let visible = tile.visible(query)
            saved.logSums[(tile.queries.lowerBound + query) * config.headCount + head] = kernels.softmax(
              scores.buffer, seen(scores, query, visible), softcap: config.attentionSoftcap)
            clearHidden(scores, query, visible)
          }
          MatrixProduct.multiply(
            scores, by: values, into: saved.attended.rows(tile.queries).columns(columns(head)))
        }
      }
    }
  }

  /// Writes the gradients of queries, keys and values to `scratch.dInputs`. Scores are computed
  /// again (arXiv 2205.14135, section 3.1 and appendix B.4).
  func attendBackward(_ layer: Int, _ batch: PackedBatch) {
    let tokens = batch.tokens.count
    let d = Block.rows(tokens, of: scratch.dInputs, shape.inputs)
    forEachToken(tokens) { [self] token in kernels.clear(d.buffer, d.range(token)) }
    forEachHead(batch) { [self] row, keyHead, worker in
      for tile in tiles(row, layer) {
        for head in keyHead * config.headsPerGroup..<(keyHead + 1) * config.headsPerGroup {
          attendBackward(tile, head, keyHead, worker, saved[layer], d)
        }
      }
    }
  }

  private func attendBackward(
    _ tile: Tile, _ head: Int, _ keyHead: Int, _ worker: Int, _ saved: SavedLayer, _ d: Block
  ) {
    let keyColumns = columns(keyHead, from: shape.queries)
    let valueColumns = columns(keyHead, from: shape.queries + shape.keys)
    let queries = saved.inputs.rows(tile.queries).columns(columns(head))
    let keys = saved.inputs.rows(tile.keys).columns(keyColumns)
    let values = saved.inputs.rows(tile.keys).columns(valueColumns)
    let scores = Block(scratch.scores[worker], rows: tile.queries.count, columns: tile.keys.count)
    let dScores = Block(scratch.dScores[worker], rows: tile.queries.count, columns: tile.keys.count)
    let attended = saved.attended.rows(tile.queries).columns(columns(head))
    let dAttended = Block.rows(d.rows, of: scratch.dAttended, shape.queries).rows(tile.queries)
      .columns(columns(head))
    MatrixProduct.multiply(queries, by: keys, bTransposed: true, into: scores, alpha: config.attentionScale)
    MatrixProduct.multiply(dAttended, by: values, bTransposed: true, into: dScores)
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
    let scale = config.attentionScale
    MatrixProduct.multiply(
      scores, aTransposed: true, by: dAttended, into: d.rows(tile.keys).columns(valueColumns), beta: 1)
    MatrixProduct.multiply(dScores, by: keys, into: d.rows(tile.queries).columns(columns(head)), alpha: scale)
    MatrixProduct.multiply(
      dScores, aTransposed: true, by: queries, into: d.rows(tile.keys).columns(keyColumns), alpha: scale,
      beta: 1)
  }
}
