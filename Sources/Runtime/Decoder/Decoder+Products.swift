import CKernels

extension Decoder {
  /// Bytes of weights in a chunk of work: some microseconds' worth.
  private static let chunkBytes = 16_384
  /// The most rows of a chunk where panels are packed, but for huge matrices: a multiple of a panel's.
  private static let panelChunkRows = 96
  /// The most chunks of one matrix, so that the three of a hand-off are few enough for the pool.
  private static let matrixChunks = ThreadPool.maximumChunks / 4

  /// Calls `body` for runs of neighbouring tokens, with the thread's number, shared out among the threads where there are more than two.
  /// What all tokens need is best taken from the decoder before: threads that count references to the same
  /// objects for each token wait for one another.
  func forEachRun(_ count: Int, _ body: (Range<Int>, _ worker: Int) -> Void) {
    guard count > 2 else { return body(0..<count, 0) }
    let tile = Int(DUET_TILE_TOKENS), share = count / (4 * pool.threadCount)
    let size = count > Self.directTokens ? max(1, share / tile) * tile : 1
    pool.run((count + size - 1) / size) { chunk, worker in
      body(chunk * size..<min(count, (chunk + 1) * size), worker)
    }
  }

  /// Rows of matrices, or other pieces of work, that one thread takes at a time, the same of each: `step` large chunks,
  /// as many of half their size, of a quarter, and so on, then small ones. Long runs of memory are fetched ahead of
  /// use best, and what is fetched beyond a chunk's end is of use to nobody; small chunks at the end keep all threads
  /// busy until then.
  struct Chunks {
    let products: Range<Int>
    let matrixRows: Int
    private let step: Int
    private let largest: Int
    private let smallest: Int
    let count: Int

    init(products: Range<Int>, matrixRows: Int, step: Int, largest: Int, smallest: Int) {
      self.products = products
      self.matrixRows = matrixRows
      (self.step, self.largest, self.smallest) = (step, max(largest, smallest), smallest)
      var count = 0, rows = 0, size = self.largest
      while size > smallest, rows + step * size < matrixRows {
        rows += step * size
        count += step
        size = Self.half(size, smallest)
      }
      self.count = count + (matrixRows - rows + size - 1) / size
    }

    /// Up to `count` chunks of whole units of rows, as even as can be.
    init(products: Range<Int>, matrixRows: Int, unit: Int, count: Int) {
      let units = (matrixRows + unit - 1) / unit, least = units / count, more = units % count
      self.init(
        products: products, matrixRows: matrixRows, step: more, largest: (least + 1) * unit,
        smallest: max(1, least) * unit)
    }

    /// Half a size, in whole smallest ones.
    private static func half(_ size: Int, _ smallest: Int) -> Int {
      max(1, size / 2 / smallest) * smallest
    }

    func range(_ index: Int) -> Range<Int> {
      var index = index, start = 0, size = largest
      while size > smallest, index >= step {
        index -= step
        start += step * size
        size = Self.half(size, smallest)
      }
      start += index * size
      return start..<min(matrixRows, start + size)
    }
  }

  /// `out[t, :] = matrix * x[t, :]` for each pair of a matrix and a result, in one hand-off.
  ///
  /// Quantized weights are multiplied by int8 activations unless the decoder works in float.
  ///
  /// - Parameters:
  ///   - changes: what adapters add to the products, in the same hand-off.
  ///   - next: what is multiplied after these, which threads that have nothing to do bring nearer.
  ///   - nearby: of each thread where results of panels go instead, if `finish` alone reads them: the rows of a chunk
  ///     of each product, one after the other, [products][tokens, rows].
  ///   - finish: called with rows, and the thread, once they are complete in all results, whose matrices are alike.
  func multiply(
    _ products: [(matrix: Matrix, out: FloatBuffer)], by x: Activations, tokens: Int,
    changes: Changes? = nil, before next: Matrix? = nil, nearby: [FloatBuffer]? = nil,
    then finish: ((Range<Int>, _ worker: Int) -> Void)? = nil
  ) {
    observer?(products.map(\.matrix), x, tokens)
    let direct = tokens <= Self.directTokens
    let work = chunks(products, direct: direct, together: finish != nil)
    let leading = changes?.count ?? 0, parts = work.count, isTuned = leading > 0
    changes?.restart()
    if direct { rowProducts.prepare(products, x, tokens: tokens, precision: precision) }
    if let next, direct { announce(next) }
    pool.run(work.reduce(leading) { $0 + $1.count }) { [self, rowProducts] chunk, worker in
      guard chunk >= leading else {
        changes?.reduce(
          chunk, x, precision: precision, scratch: direct ? nil : space.panels[worker], worker: worker)
        return
      }
      var index = chunk - leading, part = 0
      while part < parts - 1, index >= work[part].count {
        index -= work[part].count
        part += 1
      }
      let rows = work[part].range(index)
      for place in work[part].products {
        guard direct else {
          let (matrix, all) = products[place]
          let out =
            nearby.map { Pixels($0[worker], stride: rows.count, from: place * tokens * rows.count) }
            ?? Pixels(all, stride: matrix.rows, from: rows.lowerBound)
          multiplyPanels(matrix, rows, x, tokens, out, worker)
          if isTuned {
            unsafe changes?.expand(
              place, rows, out.pointer(0..<tokens, 0..<rows.count), stride: out.stride)
          }
          continue
        }
        changes?.fetch(place, rows, worker: worker)
        rowProducts.multiply(place, rows, worker: worker)
        if isTuned {
          unsafe changes?.expand(
            place, rows, rowProducts.out(place) + rows.lowerBound, stride: work[part].matrixRows)
        }
      }
      finish?(rows, worker)
    }
    // The matrices and buffers whose addresses the threads had.
    extendLifetime(products)
    extendLifetime(x)
  }

  /// Has waiting threads fetch what they will take first of a matrix.
  func announce(_ matrix: Matrix) {
    let rows = chunks(of: matrix, 0..<1, direct: true).range(0).count
    unsafe pool.announce(matrix.pointer(rows: 0..<matrix.rows), bytes: rows * matrix.rowBytes)
  }

  private func chunks(
    _ products: [(matrix: Matrix, out: FloatBuffer)], direct: Bool, together: Bool
  ) -> [Chunks] {
    func chunks(_ places: Range<Int>) -> Chunks {
      self.chunks(of: products[places.lowerBound].matrix, places, direct: direct)
    }
    return together ? [chunks(products.indices)] : products.indices.map { chunks($0..<$0 + 1) }
  }

  /// Of products `places`, whose matrices are as large as this one.
  private func chunks(of matrix: Matrix, _ places: Range<Int>, direct: Bool) -> Chunks {
    guard direct else { return panelChunks(of: matrix, places) }
    let rows = directRows(matrix, matrices: places.count), threads = pool.threadCount
    return Chunks(
      products: places, matrixRows: matrix.rows, step: threads,
      largest: matrix.rows / (2 * threads) / rows * rows, smallest: rows)
  }

  /// Some microseconds' worth of rows: whole runs of what is quantized from them, and whole groups
  /// of what adapters add to. Of large matrices more.
  private func directRows(_ matrix: Matrix, matrices: Int) -> Int {
    let fewest = matrix.rows / min(Self.matrixChunks, 64 * pool.threadCount) + 1
    let rows = max(Self.chunkBytes / max(1, matrices * matrix.rowBytes), fewest)
    let whole = matrices > 1 ? Int(DUET_RUN) : LowRank.groupRows
    return (rows + whole - 1) / whole * whole
  }

  /// Whole panels and whole runs of what is quantized from their results, as many chunks for each thread: 576 rows are
  /// three times 96 for each of two, not four chunks of 128 and one of 64; of 2,048 rows two chunks are smaller than
  /// the other 20, not one much smaller than 21.
  private func panelChunks(of matrix: Matrix, _ places: Range<Int>) -> Chunks {
    let most = (matrix.rows / (Self.matrixChunks * Self.panelChunkRows) + 1) * Self.panelChunkRows
    let threads = pool.threadCount
    return Chunks(
      products: places, matrixRows: matrix.rows, unit: max(operations.panelRows, Int(DUET_RUN)),
      count: (matrix.rows + threads * most - 1) / (threads * most) * threads)
  }

  /// The most rows of a chunk of panels of this matrix.
  func panelChunkRows(_ matrix: Matrix) -> Int { panelChunks(of: matrix, 0..<1).range(0).count }

  private func multiplyPanels(
    _ matrix: Matrix, _ rows: Range<Int>, _ x: Activations, _ tokens: Int, _ out: Pixels, _ worker: Int
  ) {
    if precision == .float32 {
      operations.multiplyDequantized(
        matrix, rows: rows, x, tokens: tokens, scratch: space.panels[worker], out: out)
    } else {
      operations.multiplyPanels(
        matrix, rows: rows, x, tokens: tokens, scratch: space.panels[worker], out: out)
    }
  }
}
