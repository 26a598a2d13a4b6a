extension Decoder {
  /// Bytes of weights in a chunk of work: some microseconds' worth.
  private static let chunkBytes = 24_576
  /// Rows of a chunk where panels are packed: a multiple of a panel's.
  private static let panelChunkRows = 32
  /// The most chunks of one matrix, so that the three of a hand-off are few enough for the pool.
  private static let matrixChunks = ThreadPool.maximumChunks / 4

  /// Calls `body` for every token, shared out among the threads where there are many.
  func forEachToken(_ count: Int, _ body: (Int) -> Void) {
    let size = 8
    guard count > Self.directTokens else {
      for token in 0..<count { body(token) }
      return
    }
    pool.run((count + size - 1) / size) { chunk, _ in
      for token in chunk * size..<min(count, (chunk + 1) * size) { body(token) }
    }
  }

  /// Rows of a matrix that one thread takes at a time.
  private struct Chunks {
    let matrix: Matrix
    let out: FloatBuffer
    let rows: Int
    var count: Int { (matrix.rows + rows - 1) / rows }

    func range(_ index: Int) -> Range<Int> { index * rows..<min(matrix.rows, (index + 1) * rows) }
  }

  /// `out[t, :] = matrix * x[t, :]` for each pair of a matrix and a result, in one hand-off.
  ///
  /// Quantized weights are multiplied by int8 activations unless the decoder works in float.
  ///
  /// - Parameter changes: what adapters add to the products, in the same hand-off.
  func multiply(
    _ products: [(matrix: Matrix, out: FloatBuffer)], by x: Activations, tokens: Int,
    changes: Changes? = nil
  ) {
    observer?(products.map(\.matrix), x, tokens)
    let direct = tokens <= Self.directTokens || precision == .float32
    let work = products.map { matrix, out in
      Chunks(matrix: matrix, out: out, rows: direct ? directRows(matrix) : Self.panelRows(matrix))
    }
    let first = changes?.count ?? 0
    changes?.restart()
    pool.run(first + work.reduce(0) { $0 + $1.count }) { [self] chunk, worker in
      guard chunk >= first else {
        changes?.reduce(chunk, x, scratch: direct ? nil : space.panels[worker], self)
        return
      }
      var index = chunk - first
      for (place, part) in work.enumerated() {
        guard index >= part.count else {
          multiply(part.matrix, part.range(index), x, tokens, part.out, worker, direct: direct)
          changes?.expand(place, part.range(index), part.out, stride: part.matrix.rows, self)
          return
        }
        index -= part.count
      }
    }
  }

  /// Some microseconds' worth of rows; of large matrices more, for each chunk's first bytes are read
  /// before the hardware has begun to fetch ahead.
  private func directRows(_ matrix: Matrix) -> Int {
    let fewest = matrix.rows / min(Self.matrixChunks, 64 * pool.threadCount) + 1
    let rows = max(Self.chunkBytes / max(1, matrix.rowBytes), fewest)
    // Adapters add to whole groups of rows.
    return (rows + LowRank.groupRows - 1) / LowRank.groupRows * LowRank.groupRows
  }

  private static func panelRows(_ matrix: Matrix) -> Int {
    (matrix.rows / (matrixChunks * panelChunkRows) + 1) * panelChunkRows
  }

  private func multiply(
    _ matrix: Matrix, _ rows: Range<Int>, _ x: Activations, _ tokens: Int, _ out: FloatBuffer, _ worker: Int,
    direct: Bool
  ) {
    if precision == .float32 && tokens > Self.directTokens {
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
