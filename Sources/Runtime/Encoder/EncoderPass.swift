import CKernels

/// The buffers of an encoder and its forward pass over a batch of texts, whose tokens lie one after
/// another: nothing is padded.
final class EncoderPass: Sendable {
  private let config: EncoderConfig
  private let weights: EncoderWeights
  private let operations: Operations
  private let pool: ThreadPool
  /// Tokens of a batch.
  let capacity: Int

  private let hidden: Activations  // [tokens, width]
  private let attended: Activations  // [tokens, width]
  private let inner: Activations  // [tokens, feed forward]
  private let query, key, value: FloatBuffer  // [tokens, width]
  private let heads: [HeadSpace]  // one for each thread
  private let panels: [FloatBuffer]

  init(
    _ config: EncoderConfig, _ weights: EncoderWeights, _ operations: Operations, threads: Int, capacity: Int
  ) {
    self.config = config
    self.weights = weights
    self.operations = operations
    self.capacity = capacity
    pool = ThreadPool(threadCount: threads)
    hidden = Activations(capacity: capacity, width: config.width, panels: operations)
    attended = Activations(capacity: capacity, width: config.width, panels: operations)
    inner = Activations(capacity: capacity, width: config.feedForwardLength, panels: operations)
    query = FloatBuffer(count: capacity * config.width)
    key = FloatBuffer(count: capacity * config.width)
    value = FloatBuffer(count: capacity * config.width)
    heads = (0..<pool.threadCount).map { _ in HeadSpace(config, tokens: capacity) }
    let scratch = operations.panelScratch(columns: max(config.width, config.feedForwardLength))
    panels = (0..<pool.threadCount).map { _ in FloatBuffer(count: scratch) }
  }

  /// What one head of one text is computed in.
  private struct HeadSpace: Sendable {
    let query: FloatBuffer  // [tokens, head size]
    let pages: [CachePage]
    let states: FloatBuffer

    init(_ config: EncoderConfig, tokens: Int) {
      let size = config.headSize
      query = FloatBuffer(count: tokens * size)
      let layout = CacheLayout(layers: 1, heads: 1, headSize: size, type: .f32)
      pages = (0..<(tokens + CacheLayout.pageTokens - 1) / CacheLayout.pageTokens).map { _ in
        CachePage(layout)
      }
      let segments = (pages.count + 3) / 4
      states = FloatBuffer(count: segments * tokens * (size + 2))
    }
  }

  /// The vectors of `texts`, of unit length. Their tokens together are at most `capacity`.
  func encode(_ texts: [[Int32]]) -> [[Float]] {
    var ranges: [Range<Int>] = []
    for text in texts {
      let start = ranges.last?.upperBound ?? 0
      ranges.append(start..<start + text.count)
    }
    let count = ranges.last?.upperBound ?? 0
    precondition(count <= capacity, "more tokens than the buffers hold")
    guard count > 0 else { return ranges.map { _ in [Float](repeating: 0, count: config.width) } }
    for (text, range) in zip(texts, ranges) { embed(text, at: range.lowerBound) }
    for layer in weights.layers { apply(layer, ranges, count) }
    return ranges.map(pooled)
  }

  /// `hidden = norm(token + position + type)`
  private func embed(_ text: [Int32], at start: Int) {
    let width = config.width
    for (position, token) in text.enumerated() {
      let range = hidden.range(start + position)
      operations.dequantize(weights.embedding, row: Int(token), out: hidden.values, at: range.lowerBound)
      operations.dequantize(weights.positions, row: position, out: query, at: 0)
      operations.add(query, 0..<width, to: hidden.values, at: range.lowerBound)
      operations.add(weights.type, 0..<width, to: hidden.values, at: range.lowerBound)
      operations.normalizeLayer(
        hidden.values, range, weights.embeddingNorm, out: hidden.values, at: range.lowerBound)
    }
  }

  private func apply(_ layer: EncoderWeights.Layer, _ ranges: [Range<Int>], _ count: Int) {
    multiply([(layer.query, query), (layer.key, key), (layer.value, value)], by: hidden, count)
    forEachToken(count) { token in
      for (linear, values) in [(layer.query, query), (layer.key, key), (layer.value, value)] {
        operations.add(linear.bias, 0..<config.width, to: values, at: token * config.width)
      }
    }
    attend(ranges)
    multiply([(layer.output, query)], by: attended, count)
    forEachToken(count) { addAndNormalize($0, layer.output.bias, layer.outputNorm) }
    multiply([(layer.up, inner.values)], by: hidden, count)
    forEachToken(count) { operations.gelu(inner.values, inner.range($0), bias: layer.up.bias) }
    multiply([(layer.down, query)], by: inner, count)
    forEachToken(count) { addAndNormalize($0, layer.down.bias, layer.resultNorm) }
  }

  /// `hidden = norm(hidden + result + bias)`, where the result lies in `query`.
  private func addAndNormalize(_ token: Int, _ bias: FloatBuffer, _ norm: LayerNorm) {
    let range = hidden.range(token)
    operations.add(bias, 0..<bias.count, to: query, at: range.lowerBound)
    operations.add(query, range, to: hidden.values, at: range.lowerBound)
    operations.normalizeLayer(hidden.values, range, norm, out: hidden.values, at: range.lowerBound)
  }

  private func forEachToken(_ count: Int, _ body: (Int) -> Void) {
    let size = 8
    pool.run((count + size - 1) / size) { chunk, _ in
      for token in chunk * size..<min(count, (chunk + 1) * size) { body(token) }
    }
  }

  /// `out[t, :] = weight * x[t, :]` for each pair, rows shared out among the threads.
  private func multiply(
    _ products: [(linear: EncoderWeights.Linear, out: FloatBuffer)], by x: Activations, _ count: Int
  ) {
    if products.contains(where: { $0.linear.weight.type.isQuantized }) {
      let size = Int(DUET_TILE_TOKENS)
      pool.run((count + size - 1) / size) { chunk, _ in
        x.quantize(chunk * size..<min(count, (chunk + 1) * size), forPanels: true, operations)
      }
    }
    let rows = 32, chunks = (products[0].linear.weight.rows + rows - 1) / rows
    pool.run(products.count * chunks) { chunk, worker in
      let (linear, out) = products[chunk / chunks], start = chunk % chunks * rows
      operations.multiplyPanels(
        linear.weight, rows: start..<min(start + rows, linear.weight.rows), x, tokens: count,
        scratch: panels[worker], out: Pixels(out, stride: linear.weight.rows, from: start))
    }
  }

  /// Each head of each text is one piece of work.
  private func attend(_ ranges: [Range<Int>]) {
    pool.run(ranges.count * config.headCount) { chunk, worker in
      attend(ranges[chunk / config.headCount], head: chunk % config.headCount, heads[worker])
    }
  }

  private func attend(_ range: Range<Int>, head: Int, _ space: HeadSpace) {
    let size = config.headSize, first = head * size
    for (index, token) in range.enumerated() {
      let place = token * config.width + first, part = place..<place + size
      operations.copy(query, part, to: space.query, at: index * size)
      space.pages[index / CacheLayout.pageTokens].store(
        key: key, value: value, at: part.lowerBound, slot: index % CacheLayout.pageTokens, layer: 0,
        operations)
    }
    operations.attendAll(
      space.query, count: range.count, space.pages, scale: 1 / Float(size).squareRoot(), states: space.states)
    let stride = range.count * (size + 2), segment = 4 * CacheLayout.pageTokens
    for (index, token) in range.enumerated() {
      let place = token * config.width + first
      operations.combine(
        space.states, index * (size + 2), stride: stride, count: (range.count + segment - 1) / segment,
        out: attended.values, place..<place + size)
    }
  }

  private func pooled(_ range: Range<Int>) -> [Float] {
    let width = config.width
    var sums = [Double](repeating: 0, count: width)
    for token in config.pooling == .mean ? range : range.prefix(1) {
      hidden.values.withSpan(hidden.range(token)) { values in
        for index in 0..<width { sums[index] += Double(values[index]) }
      }
    }
    let length = sums.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return sums.map { length > 0 ? Float($0 / length) : 0 }
  }
}
