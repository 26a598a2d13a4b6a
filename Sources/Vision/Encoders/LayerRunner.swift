import DuetRuntime

/// Shares the work of a layer out among the threads.
final class LayerRunner {
  let operations: Operations
  let pool: ThreadPool
  private var scratch: [FloatBuffer] = []

  /// Rows and tokens of a chunk, whole tiles: what it reads and writes stays in a core's cache.
  private static let rows = 32
  private static let tokens = 256
  /// Fewer are not worth packing rows for.
  private static let fewTokens = 64

  init(_ operations: Operations, _ pool: ThreadPool) {
    self.operations = operations
    self.pool = pool
  }

  /// Makes room for each thread.
  func reserve(_ floats: Int) {
    guard scratch.first.map({ $0.count < floats }) ?? true else { return }
    scratch = (0..<pool.threadCount).map { _ in FloatBuffer(count: floats) }
  }

  /// `out[t, :] = finish(layer * x[t, :] + bias) + residual[t, :]`. Quantized layers
  /// want `x` quantized for panels, which is done unless it has been.
  func apply(
    _ layer: LinearLayer, _ x: Activations, quantized: Bool = false, tokens: Int, finish: LayerFinish = .none,
    residual: Pixels? = nil, out: Pixels
  ) {
    reserve(operations.scratch(layer))
    if layer.isQuantized && !quantized { quantize(x, tokens: tokens) }
    let tile = Activations.tileTokens
    let rowChunks = (layer.rows + Self.rows - 1) / Self.rows
    // Where rows are few, tokens are shared out.
    let wanted = min(
      (4 * pool.threadCount + rowChunks - 1) / rowChunks, (tokens + Self.fewTokens - 1) / Self.fewTokens)
    let parts = max((tokens + Self.tokens - 1) / Self.tokens, wanted)
    let size = ((tokens + parts - 1) / parts + tile - 1) / tile * tile,
      tokenChunks = (tokens + size - 1) / size
    pool.run(rowChunks * tokenChunks) { [operations, scratch] chunk, worker in
      let row = chunk % rowChunks * Self.rows, token = chunk / rowChunks * size
      operations.apply(
        layer, rows: row..<min(layer.rows, row + Self.rows), x,
        tokens: token..<min(tokens, token + size), finish: finish,
        residual: residual?.dropFirst(token).channels(from: row), scratch: scratch[worker],
        out: out.dropFirst(token).channels(from: row))
    }
  }

  /// Makes the int8 form of some tokens, for panels.
  func quantize(_ x: Activations, tokens: Int) {
    let tile = Activations.tileTokens
    forEach((tokens + tile - 1) / tile, size: 4) { [operations] in
      x.quantize($0 * tile..<min(tokens, ($0 + 1) * tile), forPanels: true, operations)
    }
  }

  /// The same by packed floats.
  func apply(
    _ layer: PointwiseLayer, _ x: Pixels, count: Int, finish: LayerFinish, residual: Pixels? = nil,
    out: Pixels
  ) {
    let size = Self.pixels(layer), tokenChunks = (count + size - 1) / size, parts = 4 * pool.threadCount
    // Where pixels are few, rows are shared out.
    let rows = tokenChunks >= parts ? 128 : max(32, (layer.rows / parts + 31) / 32 * 32)
    let rowChunks = (layer.rows + rows - 1) / rows
    pool.run(rowChunks * tokenChunks) { [operations] chunk, _ in
      let row = chunk % rowChunks * rows, first = chunk / rowChunks * size
      operations.apply(
        layer, rows: row..<min(layer.rows, row + rows), x.dropFirst(first), count: min(size, count - first),
        finish: finish, residual: residual?.dropFirst(first).channels(from: row),
        out: out.dropFirst(first).channels(from: row))
    }
  }

  /// Pixels of a chunk: they fit a part of the second cache, and kernels take 14 or 6 at a time.
  private static func pixels(_ layer: PointwiseLayer) -> Int {
    max(56, min(196, 131_072 / layer.columns / 28 * 28))
  }

  /// The same for some rows, whose first `out` begins with, by the calling thread.
  static func apply(
    _ layer: PointwiseLayer, rows: Range<Int>, _ x: Pixels, count: Int, finish: LayerFinish,
    residual: Pixels? = nil, out: Pixels, _ operations: Operations
  ) {
    let size = pixels(layer)
    for first in stride(from: 0, to: count, by: size) {
      operations.apply(
        layer, rows: rows, x.dropFirst(first), count: min(size, count - first), finish: finish,
        residual: residual?.dropFirst(first), out: out.dropFirst(first))
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
