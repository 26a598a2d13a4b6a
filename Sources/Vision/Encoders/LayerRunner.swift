import DuetRuntime

/// Shares the work of a layer out among the threads.
final class LayerRunner {
  let operations: Operations
  let pool: ThreadPool
  private var scratch: [FloatBuffer] = []

  /// Rows and tokens of a chunk, whole tiles: what it reads and writes stays in a core's cache.
  private static let rows = 32
  private static let tokens = 256

  init(_ operations: Operations, _ pool: ThreadPool) {
    self.operations = operations
    self.pool = pool
  }

  /// Makes room for each thread.
  func reserve(_ floats: Int) {
    guard scratch.first.map({ $0.count < floats }) ?? true else { return }
    scratch = (0..<pool.threadCount).map { _ in FloatBuffer(count: floats) }
  }

  /// `out[t, :] = finish(layer * x[t, :] + bias) + residual[t, :]`; `out` has its rows `stride` apart.
  func apply(
    _ layer: LinearLayer, _ x: Activations, tokens: Int, finish: LayerFinish = .none,
    residual: (values: FloatBuffer, stride: Int)? = nil, out: FloatBuffer, stride: Int
  ) {
    reserve(operations.scratch(layer))
    if layer.isQuantized {
      let tile = Activations.tileTokens
      forEach((tokens + tile - 1) / tile, size: 4) { [operations] in
        x.quantize($0 * tile..<min(tokens, ($0 + 1) * tile), forPanels: true, operations)
      }
    }
    let rowChunks = (layer.rows + Self.rows - 1) / Self.rows
    let tokenChunks = (tokens + Self.tokens - 1) / Self.tokens
    pool.run(rowChunks * tokenChunks) { [operations, scratch] chunk, worker in
      let row = chunk % rowChunks * Self.rows, token = chunk / rowChunks * Self.tokens
      operations.apply(
        layer, rows: row..<min(layer.rows, row + Self.rows), x,
        tokens: token..<min(tokens, token + Self.tokens),
        finish: finish, residual: residual, scratch: scratch[worker], out: out, stride: stride)
    }
  }

  /// The same by packed floats.
  func apply(
    _ layer: PointwiseLayer, _ x: Activations, tokens: Int, finish: LayerFinish, residual: Activations? = nil,
    out: FloatBuffer, stride: Int
  ) {
    // Pixels of a chunk fit a part of the second cache; they come in sixes. Panels hold 16 rows.
    let size = max(12, min(192, 32_768 / layer.columns / 6 * 6)), rows = 128
    let rowChunks = (layer.rows + rows - 1) / rows, tokenChunks = (tokens + size - 1) / size
    pool.run(rowChunks * tokenChunks) { [operations] chunk, _ in
      let row = chunk % rowChunks * rows, token = chunk / rowChunks * size
      operations.apply(
        layer, rows: row..<min(layer.rows, row + rows), x, tokens: token..<min(tokens, token + size),
        finish: finish, residual: residual, out: out, stride: stride)
    }
  }

  /// Calls `body` for each of many small pieces of work.
  func forEach(_ count: Int, size: Int = 32, _ body: (Int) -> Void) {
    pool.run((count + size - 1) / size) { chunk, _ in
      for index in chunk * size..<min(count, (chunk + 1) * size) { body(index) }
    }
  }

  /// The same, with each thread's own scratch.
  func forEachWithScratch(_ count: Int, _ body: (Int, FloatBuffer) -> Void) {
    pool.run(count) { [scratch] chunk, worker in body(chunk, scratch[worker]) }
  }
}
