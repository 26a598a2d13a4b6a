import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Tokens of one sequence to be decoded in a step, after those already in its cache.
package struct DecoderStep {
  /// Which of the tokens' logits are wanted.
  package enum Logits { case none, last, all }

  package let sequence: CachedSequence
  package let tokens: ArraySlice<Int32>
  package let logits: Logits

  package init(_ sequence: CachedSequence, _ tokens: ArraySlice<Int32>, logits: Logits = .last) {
    self.sequence = sequence
    self.tokens = tokens
    self.logits = logits
  }
}

/// Executes any family of decoders: embeds tokens, runs the layers, makes logits.
///
/// One step takes tokens of one or several sequences. Three regimes of arithmetic: up to
/// `directTokens` tokens are multiplied one by one straight from the file's blocks, so that their
/// results are bit for bit those of one token at a time; more go through packed panels. Work is
/// split over rows, tokens and heads, never over the terms of a sum: the number of threads changes
/// no result. Not for use by two tasks at once.
package final class Decoder {
  /// The most tokens that are multiplied one by one.
  package static let directTokens = 16

  let config: DecoderConfig
  let weights: DecoderWeights
  let operations: Operations
  let pool: ThreadPool
  let precision: ActivationType
  /// The most tokens of one step.
  package let capacity: Int
  /// Logits of the last step, [rows, vocabulary], in the order of its tokens.
  package private(set) var logits = FloatBuffer(count: 0)
  /// What the last step attended to of the positions that its sequences watch; nil where none does.
  private(set) var attentionRecord: AttentionRecord?
  /// Of each row of the last step the shares of what its sequence watches; nil for rows of which nothing was
  /// recorded.
  package var attentionShares: [AttentionShares?] { attentionRecord?.shares ?? [] }
  /// Called before each product with the matrices, what they are multiplied by, and how many tokens
  /// of it; nil for nobody.
  package var observer: ((_ matrices: [Matrix], _ inputs: Activations, _ tokens: Int) -> Void)?
  var space: Workspace
  var attention: AttentionScratch
  var adapters = AdapterScratch()
  /// Of each thread what it uses up itself, once a prompt has needed it: results of a chunk of rows, or normed hidden
  /// states of some tokens.
  private var nearby: [FloatBuffer] = []
  let rowProducts: RowProducts
  /// What first halves of adapters are made of: the same vectors, in the order of another format.
  let firstVectors: LaidVectors
  /// The tokens of the present step that adapters change.
  var tuned: [TunedRun] = []
  /// What they change, [layers][hand-offs].
  var tunedLayers: [[Changes?]] = []

  /// A decoder for steps of up to `capacity` tokens, and for contexts of up to `contextLength`. Buffers
  /// grow to what is needed.
  package init(
    _ model: ModelWeights, pool: ThreadPool, capacity: Int = 256, precision: ActivationType = .int8,
    contextLength: Int? = nil
  ) {
    var config = model.config
    config.rotary = config.rotary.chosen(contextLength: contextLength ?? config.contextLength)
    self.config = config
    weights = model.weights
    operations = model.operations
    rowProducts = RowProducts(model.operations, threads: pool.threadCount)
    firstVectors = LaidVectors(model.operations, threads: pool.threadCount)
    self.pool = pool
    self.precision = precision
    self.capacity = max(1, capacity)
    space = Workspace(config, capacity: 1, threads: pool.threadCount, operations: operations)
    attention = AttentionScratch(config, operations)
  }

  /// A token of the step and where it stands.
  struct Row {
    let sequence: CachedSequence
    let token: Int32
    let position: Int
  }

  /// Decodes the tokens of all steps, at most `capacity`, writes their keys and values to the caches
  /// and the wanted logits to `logits`.
  ///
  /// - Parameter store: where pages go that became full.
  /// - Returns: rows of logits.
  package func forward(_ steps: [DecoderStep], store: PageStore? = nil) -> Int {
    let rows = layOut(steps)
    guard !rows.isEmpty else { return 0 }
    precondition(rows.count <= capacity, "more tokens than the decoder has room for")
    grow(rows.count)
    tune(rows)
    prepareRecord(steps, rows)
    embed(rows)
    for layer in weights.layers.indices {
      attend(rows, layer)
      feedForward(rows.count, layer)
    }
    for step in steps { step.sequence.commit(step.tokens, to: store) }
    return computeLogits(wanted(steps))
  }

  private func prepareRecord(_ steps: [DecoderStep], _ rows: [Row]) {
    guard steps.contains(where: { $0.sequence.watched != nil }) else { return attentionRecord = nil }
    if attentionRecord == nil { attentionRecord = AttentionRecord(config, operations) }
    attentionRecord?.begin(rows: rows.count)
  }

  private func layOut(_ steps: [DecoderStep]) -> [Row] {
    var rows: [Row] = []
    for step in steps {
      step.sequence.reserve(step.tokens.count)
      for (index, token) in step.tokens.enumerated() {
        rows.append(Row(sequence: step.sequence, token: token, position: step.sequence.count + index))
      }
    }
    return rows
  }

  /// Room is made for one token, for as many as are multiplied directly, for half a batch or a whole one.
  private func grow(_ tokens: Int) {
    guard tokens > space.capacity else { return }
    let room = [Self.directTokens, capacity / 2].first { tokens <= $0 && $0 < capacity } ?? capacity
    space = Workspace(config, capacity: room, threads: pool.threadCount, operations: operations)
  }

  private func embed(_ rows: [Row]) {
    forEachRun(rows.count) { [self] run, _ in
      for token in run { embed(rows[token], token) }
    }
  }

  private func embed(_ row: Row, _ token: Int) {
    let width = config.embeddingLength, start = token * width
    space.rotary.fill(token, position: row.position)
    space.localRotary?.fill(token, position: row.position)
    if row.token < 0, let vector = row.sequence.vector(of: row.token) {
      for index in 0..<width { space.hidden[start + index] = vector.values[vector.start + index] }
      return
    }
    let place = min(max(0, Int(row.token)), config.vocabularySize - 1)
    operations.dequantize(weights.embedding, row: place, out: space.hidden, at: start)
    if config.embeddingScale != 1 { scale(space.hidden, start..<start + width, config.embeddingScale) }
  }

  private func scale(_ buffer: FloatBuffer, _ range: Range<Int>, _ factor: Float) {
    for index in range { buffer[index] *= factor }
  }

  /// Normalises the hidden states into `normed`, ready to be multiplied.
  ///
  /// - Parameter inBytes: whether nobody reads floats of it.
  func normalize(_ tokens: Int, _ weight: FloatBuffer, inBytes: Bool) {
    let width = config.embeddingLength, epsilon = config.normEpsilon, quantizes = precision == .int8
    let hidden = space.hidden, normed = space.normed, values = normed.values
    let inPanels = tokens > Self.directTokens
    if inBytes { return normalizeNearby(tokens, weight) }
    forEachRun(tokens) { [operations] run, _ in
      for token in run {
        operations.normalize(
          hidden, token * width..<(token + 1) * width, weight: weight, epsilon: epsilon, out: values,
          at: token * width)
      }
      if quantizes { normed.quantize(run, forPanels: inPanels, operations) }
    }
  }

  /// The same by way of a few tokens' floats that stay near.
  private func normalizeNearby(_ tokens: Int, _ weight: FloatBuffer) {
    let width = config.embeddingLength, epsilon = config.normEpsilon, size = Int(DUET_TILE_TOKENS)
    let hidden = space.hidden, normed = space.normed, nearby = nearby(floats: size * width)
    forEachRun(tokens) { [operations] run, worker in
      let own = nearby[worker]
      for first in stride(from: run.lowerBound, to: run.upperBound, by: size) {
        let some = first..<min(first + size, run.upperBound)
        for token in some {
          operations.normalize(
            hidden, token * width..<(token + 1) * width, weight: weight, epsilon: epsilon, out: own,
            at: (token - first) * width)
        }
        normed.quantize(some, from: Pixels(own, stride: width), forPanels: true, operations)
      }
    }
  }

  /// Adds a bias, where there is one, to a token's row of a product.
  func add(_ bias: FloatBuffer?, to product: FloatBuffer, _ token: Int) {
    guard let bias else { return }
    operations.add(bias, 0..<bias.count, to: product, at: token * bias.count)
  }

  /// hidden += matrix * x + bias, normalised first where the family does so.
  func addProduct(
    of matrix: Matrix, _ x: Activations, tokens: Int, changes: Changes?, before next: Matrix,
    bias: FloatBuffer?, norm: FloatBuffer?
  ) {
    guard norm == nil, tokens > Self.directTokens else {
      multiply([(matrix, space.result)], by: x, tokens: tokens, changes: changes, before: next)
      return addResult(tokens, bias: bias, norm: norm)
    }
    let sums = Sums(
      hidden: space.hidden, bias: bias, nearby: nearby(floats: space.capacity * panelChunkRows(matrix)))
    multiply(
      [(matrix, space.result)], by: x, tokens: tokens, changes: changes, before: next, nearby: sums.nearby
    ) { [self, sums] part, worker in add(part, tokens, sums, worker) }
  }

  /// What one hand-off needs whose results are added to the hidden states, held once for all threads.
  private final class Sums: Sendable {
    let hidden: FloatBuffer
    let bias: FloatBuffer?
    let nearby: [FloatBuffer]

    init(hidden: FloatBuffer, bias: FloatBuffer?, nearby: [FloatBuffer]) {
      (self.hidden, self.bias, self.nearby) = (hidden, bias, nearby)
    }
  }

  /// Adds a part of every token's result, which lies near, to its hidden state.
  private func add(_ part: Range<Int>, _ tokens: Int, _ sums: Sums, _ worker: Int) {
    let width = config.embeddingLength, own = sums.nearby[worker]
    for token in 0..<tokens {
      let result = token * part.count..<(token + 1) * part.count
      if let bias = sums.bias { operations.add(bias, part, to: own, at: result.lowerBound) }
      operations.add(own, result, to: sums.hidden, at: token * width + part.lowerBound)
    }
  }

  /// Adds `result` to the hidden states, normalised first where the family does so.
  private func addResult(_ tokens: Int, bias: FloatBuffer?, norm: FloatBuffer?) {
    let width = config.embeddingLength, epsilon = config.normEpsilon
    let hidden = space.hidden, result = space.result
    forEachRun(tokens) { [self, operations] run, _ in
      for token in run {
        let range = token * width..<(token + 1) * width
        add(bias, to: result, token)
        if let norm {
          operations.normalize(
            result, range, weight: norm, epsilon: epsilon, out: result, at: range.lowerBound)
        }
        operations.add(result, range, to: hidden, at: range.lowerBound)
      }
    }
  }

  /// hidden += down(activation(gate) * up), of the normalised hidden states.
  private func feedForward(_ tokens: Int, _ index: Int) {
    let layer = weights.layers[index]
    normalize(
      tokens, layer.feedForwardNorm,
      inBytes: layer.gate.type.isQuantized && layer.up.type.isQuantized
        && readsBytes(tokens, changes(index, .gates)))
    let gating = Gating(
      up: space.up, inner: space.inner, biases: layer.biases,
      nearby: layer.down.type.isQuantized && readsBytes(tokens, changes(index, .down))
        ? nearby(floats: 2 * space.capacity * panelChunkRows(layer.gate)) : nil)
    multiply(
      [(layer.gate, space.inner.values), (layer.up, space.up)], by: space.normed, tokens: tokens,
      changes: changes(index, .gates), before: layer.down, nearby: gating.nearby
    ) { [self, gating] rows, worker in activate(rows, tokens, gating, worker) }
    let next = index + 1 < weights.layers.count ? weights.layers[index + 1].query : weights.output
    addProduct(
      of: layer.down, space.inner, tokens: tokens, changes: changes(index, .down), before: next,
      bias: layer.biases.down, norm: layer.feedForwardResultNorm)
  }

  /// Whether nobody reads the floats of what quantized matrices and these changes multiply, once it was rounded to
  /// bytes: so it is with prompts.
  func readsBytes(_ tokens: Int, _ changes: Changes?) -> Bool {
    tokens > Self.directTokens && precision == .int8 && observer == nil && changes?.readsBytes ?? true
  }

  /// Memory of each thread for so many floats.
  private func nearby(floats: Int) -> [FloatBuffer] {
    if nearby.first.map({ $0.count < floats }) ?? true {
      nearby = (0..<pool.threadCount).map { _ in FloatBuffer(count: floats) }
    }
    return nearby
  }

  /// What one hand-off of a feed-forward layer needs, held once for all threads.
  private final class Gating: Sendable {
    let up: FloatBuffer
    let inner: Activations
    let gateBias: FloatBuffer?
    let upBias: FloatBuffer?
    /// Of each thread where gates and ups lie, if not in `inner` and `up`.
    let nearby: [FloatBuffer]?

    init(up: FloatBuffer, inner: Activations, biases: DecoderWeights.Biases, nearby: [FloatBuffer]?) {
      (self.up, self.inner, self.nearby) = (up, inner, nearby)
      (gateBias, upBias) = (biases.gate, biases.up)
    }

    /// A part of the gates of all tokens, and of the ups.
    func results(_ part: Range<Int>, tokens: Int, worker: Int) -> (gate: Pixels, up: Pixels) {
      guard let own = nearby?[worker] else {
        let width = inner.width
        return (
          Pixels(inner.values, stride: width, from: part.lowerBound),
          Pixels(up, stride: width, from: part.lowerBound)
        )
      }
      return (
        Pixels(own, stride: part.count), Pixels(own, stride: part.count, from: tokens * part.count)
      )
    }
  }

  /// inner = activation(gate) * up, in a part of every token: the result is written where the gate was, which lies near.
  private func activate(_ part: Range<Int>, _ tokens: Int, _ space: Gating, _ worker: Int) {
    let size = Int(DUET_TILE_TOKENS), inPanels = tokens > Self.directTokens
    let (gates, ups) = space.results(part, tokens: tokens, worker: worker)
    for first in stride(from: 0, to: tokens, by: size) {
      let run = first..<min(first + size, tokens)
      for token in run {
        let gate = gates.range(token, count: part.count), up = ups.range(token, count: part.count)
        if let bias = space.gateBias { operations.add(bias, part, to: gates.values, at: gate.lowerBound) }
        if let bias = space.upBias { operations.add(bias, part, to: ups.values, at: up.lowerBound) }
        operations.gate(
          config.activation, gates.values, gate, up: ups.values, up, out: gates.values, at: gate.lowerBound)
      }
      if precision == .int8 {
        space.inner.quantize(
          run, within: part, from: gates.dropFirst(first), forPanels: inPanels, operations)
      }
    }
  }

  private func wanted(_ steps: [DecoderStep]) -> [Int] {
    var wanted: [Int] = []
    var start = 0
    for step in steps {
      let end = start + step.tokens.count
      switch step.logits {
      case .none: break
      case .last: if end > start { wanted.append(end - 1) }
      case .all: wanted += start..<end
      }
      start = end
    }
    return wanted
  }

  /// The final norm and the product with the vocabulary, for the rows in `wanted` alone.
  private func computeLogits(_ wanted: [Int]) -> Int {
    let width = config.embeddingLength, vocabulary = config.vocabularySize
    guard !wanted.isEmpty else { return 0 }
    if logits.count < wanted.count * vocabulary { logits = FloatBuffer(count: wanted.count * vocabulary) }
    for (index, row) in wanted.enumerated() {
      operations.normalize(
        space.hidden, row * width..<(row + 1) * width, weight: weights.outputNorm,
        epsilon: config.normEpsilon, out: space.normed.values, at: index * width)
    }
    if precision == .int8 {
      space.normed.quantize(0..<wanted.count, forPanels: wanted.count > Self.directTokens, operations)
    }
    multiply(
      [(weights.output, logits)], by: space.normed, tokens: wanted.count, before: weights.layers.first?.query)
    if config.finalSoftcap > 0 { capLogits(wanted.count) }
    return wanted.count
  }

  private func capLogits(_ rows: Int) {
    let cap = config.finalSoftcap
    for index in 0..<rows * config.vocabularySize { logits[index] = cap * tanh(logits[index] / cap) }
  }
}
