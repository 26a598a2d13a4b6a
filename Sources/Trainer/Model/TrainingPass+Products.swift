import DuetRuntime

extension TrainingPass {
  /// Calls `body` with each projection and the columns of the common result that are its own.
  private func forEach(_ projections: [Projection], _ body: (Int, Projection, Range<Int>) -> Void) {
    var column = 0
    for (index, projection) in projections.enumerated() {
      body(index, projection, column..<column + projection.rows)
      column += projection.rows
    }
  }

  /// out = W x + bias of each projection, side by side.
  ///
  /// - Parameter site: the place in the model, for dropout.
  func project(_ projections: [Projection], _ x: Block, into out: Block, site: Int) {
    forEach(projections) { index, projection, columns in
      let out = out.columns(columns)
      pool.multiply(x, by: projection.block, bTransposed: true, into: out)
      if let pair = projection.lowRank, trained.dropout > 0 {
        let low = Block.rows(x.rows, of: scratch.low, pair.rank)
        pool.multiply(dropped(x, site, index), by: pair.a.block, bTransposed: true, into: low)
        pool.multiply(low, by: pair.b.block, bTransposed: true, into: out, alpha: pair.scale, beta: 1)
      }
      guard let bias = projection.bias else { return }
      forEachToken(out.rows) { [self] token in
        kernels.add(bias.values, 0..<columns.count, to: out.buffer, at: out.range(token).lowerBound)
      }
    }
  }

  /// dx = the sum of each projection's transpose times its columns of `d`.
  func projectBackward(_ projections: [Projection], _ d: Block, into dx: Block, site: Int) {
    forEach(projections) { index, projection, columns in
      let d = d.columns(columns)
      pool.multiply(d, by: projection.block, into: dx, beta: index == 0 ? 0 : 1)
      guard let pair = projection.lowRank, trained.dropout > 0 else { return }
      let dLow = lowGradient(pair, d)
      let change = Block.rows(dx.rows, of: scratch.dropped, dx.columns)
      pool.multiply(dLow, by: pair.a.block, into: change)
      drop(change, site, index, into: change)
      forEachToken(dx.rows) { [self] token in
        kernels.add(change.buffer, change.range(token), to: dx.buffer, at: dx.range(token).lowerBound)
      }
    }
  }

  /// scale * d B: the gradient of A x.
  private func lowGradient(_ pair: LowRankPair, _ d: Block) -> Block {
    let dLow = Block.rows(d.rows, of: scratch.dLow, pair.rank)
    pool.multiply(d, by: pair.b.block, into: dLow, alpha: pair.scale)
    return dLow
  }

  /// Adds to the gradients of what is trained of each projection.
  func accumulate(_ projections: [Projection], _ x: Block, _ d: Block, site: Int) {
    forEach(projections) { index, projection, columns in
      let d = d.columns(columns)
      if let pair = projection.lowRank {
        let x = trained.dropout > 0 ? dropped(x, site, index) : x
        let low = Block.rows(x.rows, of: scratch.low, pair.rank)
        pool.multiply(x, by: pair.a.block, bTransposed: true, into: low)
        pool.multiply(
          d, aTransposed: true, by: low, into: pair.b.gradientBlock, alpha: pair.scale, beta: 1)
        pool.multiply(lowGradient(pair, d), aTransposed: true, by: x, into: pair.a.gradientBlock, beta: 1)
      }
      if let parameter = projection.parameter {
        pool.multiply(d, aTransposed: true, by: x, into: parameter.gradientBlock, beta: 1)
      }
      guard let bias = projection.bias?.parameter else { return }
      for token in 0..<d.rows { kernels.add(d.buffer, d.range(token), to: bias.gradient, at: 0) }
    }
  }

  /// `x` with a share of its values dropped; `x` itself where nothing is, as in evaluation.
  private func dropped(_ x: Block, _ site: Int, _ index: Int) -> Block {
    guard dropoutSeed != nil else { return x }
    let out = Block.rows(x.rows, of: scratch.dropped, x.columns)
    drop(x, site, index, into: out)
    return out
  }

  private func drop(_ x: Block, _ site: Int, _ index: Int, into out: Block) {
    guard let dropoutSeed else { return }
    var seeds = RandomSource(seed: dropoutSeed &+ UInt64(site * 4 + index))
    let seed = seeds.next()
    forEachToken(x.rows) { [self] token in
      kernels.dropout(
        x.buffer, x.range(token), share: trained.dropout, seed: seed, first: token * x.columns,
        out: out.buffer, at: out.range(token).lowerBound)
    }
  }
}
