import CKernels

extension Decoder {
  /// Bytes of weights in a chunk of work: some microseconds' worth.
  private static let chunkBytes = 16_384
  /// Rows of a chunk where panels are packed: a multiple of a panel's.
  private static let panelChunkRows = 128
  /// The most chunks of one matrix, so that the three of a hand-off are few enough for the pool.
  private static let matrixChunks = ThreadPool.maximumChunks / 4

  /// Calls `body` for every token, shared out among the threads where there are more than two.
  func forEachToken(_ count: Int, _ body: (Int) -> Void) {
    let size = count > Self.directTokens ? 8 : 1
    guard count > 2 else {
      for token in 0..<count { body(token) }
      return
    }
    pool.run((count + size - 1) / size) { chunk, _ in
      for token in chunk * size..<min(count, (chunk + 1) * size) { body(token) }
    }
  }

  /// Rows of matrices that one thread takes at a time: the same of each.
  private struct Chunks {
    let products: Range<Int>
    let matrixRows: Int
    let rows: Int
    var count: Int { (matrixRows + rows - 1) / rows }

    func range(_ index: Int) -> Range<Int> { index * rows..<min(matrixRows, (index + 1) * rows) }
  }

  /// `out[t, :] = matrix * x[t, :]` for each pair of a matrix and a result, in one hand-off.
  ///
  /// Quantized weights are multiplied by int8 activations unless the decoder works in float.
  ///
  /// - Parameters:
  ///   - changes: what adapters add to the products, in the same hand-off.
  ///   - finish: called with rows once they are complete in all results, whose matrices are alike.
  func multiply(
    _ products: [(matrix: Matrix, out: FloatBuffer)], by x: Activations, tokens: Int,
    changes: Changes? = nil, then finish: ((Range<Int>) -> Void)? = nil
  ) {
    observer?(products.map(\.matrix), x, tokens)
    let direct = tokens <= Self.directTokens
    let work = chunks(products, direct: direct, together: finish != nil)
    let leading = changes?.count ?? 0
    changes?.restart()
    pool.run(work.reduce(leading) { $0 + $1.count }) { [self] chunk, worker in
      guard chunk >= leading else {
        changes?.reduce(chunk, x, scratch: direct ? nil : space.panels[worker], self)
        return
      }
      var index = chunk - leading
      for part in work {
        guard index >= part.count else {
          for place in part.products {
            let (matrix, out) = products[place]
            multiply(matrix, part.range(index), x, tokens, out, worker, direct: direct)
            changes?.expand(place, part.range(index), out, stride: matrix.rows, self)
          }
          finish?(part.range(index))
          return
        }
        index -= part.count
      }
    }
  }

  private func chunks(
    _ products: [(matrix: Matrix, out: FloatBuffer)], direct: Bool, together: Bool
  ) -> [Chunks] {
    func chunks(_ places: Range<Int>) -> Chunks {
      let matrix = products[places.lowerBound].matrix
      let rows = direct ? directRows(matrix, matrices: places.count) : Self.panelRows(matrix)
      return Chunks(products: places, matrixRows: matrix.rows, rows: rows)
    }
    return together ? [chunks(products.indices)] : products.indices.map { chunks($0..<$0 + 1) }
  }

  /// Some microseconds' worth of rows: whole runs of what is quantized from them, and whole groups
  /// of what adapters add to. Of large matrices more.
  private func directRows(_ matrix: Matrix, matrices: Int) -> Int {
    let fewest = matrix.rows / min(Self.matrixChunks, 64 * pool.threadCount) + 1
    let rows = max(Self.chunkBytes / max(1, matrices * matrix.rowBytes), fewest)
    let whole = matrices > 1 ? Int(DUET_RUN) : LowRank.groupRows
    return (rows + whole - 1) / whole * whole
  }

  private static func panelRows(_ matrix: Matrix) -> Int {
    (matrix.rows / (matrixChunks * panelChunkRows) + 1) * panelChunkRows
  }

  private func multiply(
    _ matrix: Matrix, _ rows: Range<Int>, _ x: Activations, _ tokens: Int, _ out: FloatBuffer, _ worker: Int,
    direct: Bool
  ) {
    if precision == .float32, !direct {
      operations.multiplyDequantized(
        matrix, rows: rows, x, tokens: tokens, scratch: space.panels[worker], out: out, stride: matrix.rows)
    } else if direct {
      operations.multiply(
        matrix, rows: rows, x, tokens: tokens, precision: precision, out: out, stride: matrix.rows)
    } else {
      operations.multiplyPanels(
        matrix, rows: rows, x, tokens: tokens, scratch: space.panels[worker], out: out, stride: matrix.rows)
    }
  }
}
