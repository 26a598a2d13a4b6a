import DuetRuntime

extension TrainingPass {
  /// x' = x + attention(norm(x)); result = x' + feedForward(norm(x')).
  ///
  /// The last layer's feed-forward is computed only where predictions are made: its result has a row for
  /// each of `batch.places`.
  func forward(_ index: Int, _ batch: PackedBatch) {
    trained.prepare(layer: index)
    let layer = trained.layers[index], saved = saved[index], tokens = batch.tokens.count
    let normed = Block.rows(tokens, of: scratch.normed, shape.width)
    normalize(saved.input, layer.attentionNorm, tokens)
    project(layer.inputs, normed, into: saved.inputs.rows(0..<tokens), site: index * 4)
    place(index, batch)
    attend(index, batch)
    let attentionResult = saved.attentionResult ?? scratch.result
    project(
      [layer.output], saved.attended.rows(0..<tokens), into: .rows(tokens, of: attentionResult, shape.width),
      site: index * 4 + 1)
    add(attentionResult, layer.attentionResultNorm, to: saved.input, into: saved.middle, tokens)
    feedForward(index, isLast(index) ? keepPlaces(saved.middle, batch) : tokens)
  }

  private func isLast(_ index: Int) -> Bool { index == trained.layers.count - 1 }

  /// Moves the rows of `x` where predictions are made together. Returns how many there are.
  private func keepPlaces(_ x: FloatBuffer, _ batch: PackedBatch) -> Int {
    for (place, token) in batch.places.enumerated() where place != token {
      kernels.copy(x, range(token), to: x, at: range(place).lowerBound)
    }
    return batch.places.count
  }

  /// The opposite, with zeros for the other tokens.
  private func spreadPlaces(_ x: FloatBuffer, _ batch: PackedBatch) {
    var end = batch.tokens.count
    for (place, token) in batch.places.enumerated().reversed() {
      kernels.clear(x, range(token).upperBound..<end * shape.width)
      if place != token { kernels.copy(x, range(place), to: x, at: range(token).lowerBound) }
      end = token
    }
    kernels.clear(x, 0..<end * shape.width)
  }

  private func feedForward(_ index: Int, _ tokens: Int) {
    let layer = trained.layers[index], saved = saved[index]
    normalize(saved.middle, layer.feedForwardNorm, tokens)
    project(
      layer.gateUp, .rows(tokens, of: scratch.normed, shape.width), into: saved.gateUp.rows(0..<tokens),
      site: index * 4 + 2)
    forEachToken(tokens) { [self] token in
      let both = saved.gateUp.range(token), hidden = shape.hidden
      operations.gate(
        config.activation, saved.gateUp.buffer, both.lowerBound..<both.lowerBound + hidden,
        up: saved.gateUp.buffer, both.lowerBound + hidden..<both.upperBound, out: scratch.inner,
        at: token * hidden)
    }
    let feedForwardResult = saved.feedForwardResult ?? scratch.result
    project(
      [layer.down], .rows(tokens, of: scratch.inner, shape.hidden),
      into: .rows(tokens, of: feedForwardResult, shape.width), site: index * 4 + 3)
    let next = index + 1 < self.saved.count ? self.saved[index + 1].input : scratch.hidden
    add(feedForwardResult, layer.feedForwardResultNorm, to: saved.middle, into: next, tokens)
  }

  /// Writes the norm of each token's `x` to `scratch.normed`.
  private func normalize(_ x: FloatBuffer, _ norm: WeightVector, _ tokens: Int) {
    forEachToken(tokens) { [self] token in
      operations.normalize(
        x, range(token), weight: norm.values, epsilon: config.normEpsilon, out: scratch.normed,
        at: range(token).lowerBound)
    }
  }

  /// out = x + result, normalised first where the family does so.
  private func add(
    _ result: FloatBuffer, _ norm: WeightVector?, to x: FloatBuffer, into out: FloatBuffer, _ tokens: Int
  ) {
    forEachToken(tokens) { [self] token in
      let range = range(token)
      if let norm {
        operations.normalize(
          result, range, weight: norm.values, epsilon: config.normEpsilon, out: out, at: range.lowerBound)
      } else {
        kernels.copy(result, range, to: out, at: range.lowerBound)
      }
      operations.add(x, range, to: out, at: range.lowerBound)
    }
  }

  /// Turns the gradient of the layer's result, in `scratch.hidden`, into that of its input. The last
  /// layer's result has a row for each of `batch.places`.
  func backward(_ index: Int, _ batch: PackedBatch) {
    trained.prepare(layer: index)
    feedForwardBackward(index, isLast(index) ? batch.places.count : batch.tokens.count)
    if isLast(index) { spreadPlaces(scratch.hidden, batch) }
    attentionBackward(index, batch)
  }

  private func feedForwardBackward(_ index: Int, _ tokens: Int) {
    let layer = trained.layers[index], saved = saved[index], hidden = shape.hidden
    let d = resultBackward(saved.feedForwardResult, layer.feedForwardResultNorm, tokens)
    let dInner = Block.rows(tokens, of: scratch.dInner, hidden)
    projectBackward([layer.down], d, into: dInner, site: index * 4 + 3)
    forEachToken(tokens) { [self] token in
      let both = saved.gateUp.range(token)
      kernels.gateBackward(
        config.activation, gate: saved.gateUp.buffer, both.lowerBound..<both.lowerBound + hidden,
        up: saved.gateUp.buffer, both.lowerBound + hidden..<both.upperBound, d: scratch.dInner,
        dInner.range(token), inner: scratch.inner, at: token * hidden)
    }
    accumulate([layer.down], .rows(tokens, of: scratch.inner, hidden), d, site: index * 4 + 3)
    let dGateUp = saved.gateUp.rows(0..<tokens)
    normalize(saved.middle, layer.feedForwardNorm, tokens)
    accumulate(layer.gateUp, .rows(tokens, of: scratch.normed, shape.width), dGateUp, site: index * 4 + 2)
    projectBackward(
      layer.gateUp, dGateUp, into: .rows(tokens, of: scratch.dNormed, shape.width), site: index * 4 + 2)
    normBackward(saved.middle, layer.feedForwardNorm, dy: scratch.dNormed, into: scratch.hidden, tokens)
  }

  private func attentionBackward(_ index: Int, _ batch: PackedBatch) {
    let layer = trained.layers[index], saved = saved[index], tokens = batch.tokens.count
    let d = resultBackward(saved.attentionResult, layer.attentionResultNorm, tokens)
    projectBackward(
      [layer.output], d, into: .rows(tokens, of: scratch.dAttended, shape.queries), site: index * 4 + 1)
    accumulate([layer.output], saved.attended.rows(0..<tokens), d, site: index * 4 + 1)
    attendBackward(index, batch)
    placeBackward(index, batch)
    let dInputs = Block.rows(tokens, of: scratch.dInputs, shape.inputs)
    normalize(saved.input, layer.attentionNorm, tokens)
    accumulate(layer.inputs, .rows(tokens, of: scratch.normed, shape.width), dInputs, site: index * 4)
    // Nothing that is trained lies before the first layer, unless everything or a projector is.
    guard index > 0 || trained.method.isFull || trained.projector != nil else { return }
    projectBackward(
      layer.inputs, dInputs, into: .rows(tokens, of: scratch.dNormed, shape.width), site: index * 4)
    normBackward(saved.input, layer.attentionNorm, dy: scratch.dNormed, into: scratch.hidden, tokens)
  }

  /// The gradient of what was added to the hidden states, through its norm where there is one.
  private func resultBackward(_ result: FloatBuffer?, _ norm: WeightVector?, _ tokens: Int) -> Block {
    guard let result, let norm else { return .rows(tokens, of: scratch.hidden, shape.width) }
    forEachToken(tokens) { [self] token in kernels.clear(scratch.result, range(token)) }
    normBackward(result, norm, dy: scratch.hidden, into: scratch.result, tokens)
    return .rows(tokens, of: scratch.result, shape.width)
  }

  /// Adds the gradient of a norm's input to `dx`, and that of its weights where they are trained.
  func normBackward(
    _ x: FloatBuffer, _ norm: WeightVector, dy: FloatBuffer, into dx: FloatBuffer, _ tokens: Int
  ) {
    let gradients = PartialGradients(norm.parameter, parts: tokens, size: Self.tokenPart, kernels)
    pool.forEachPart(tokens, size: Self.tokenPart) { [self] part, tokens in
      for token in tokens {
        kernels.normalizeBackward(
          x, range(token), weight: norm.values, dy: dy, range(token), epsilon: config.normEpsilon, dx: dx,
          at: range(token).lowerBound, dweight: gradients.place(part))
      }
    }
    gradients.add(kernels)
  }
}

/// Gradients of a vector that several threads add to: one sum for each part of the work, added up in
/// order, so that the result does not depend on the threads.
struct PartialGradients {
  private let parameter: Parameter?
  private let sums: FloatBuffer

  init(_ parameter: Parameter?, parts tokens: Int, size: Int, _ kernels: TrainingKernels) {
    self.parameter = parameter
    let parts = (tokens + size - 1) / size
    sums = FloatBuffer(count: parts * (parameter?.count ?? 0))
    kernels.clear(sums)
  }

  func place(_ part: Int) -> (buffer: FloatBuffer, offset: Int)? {
    parameter.map { (sums, part * $0.count) }
  }

  func add(_ kernels: TrainingKernels) {
    guard let parameter else { return }
    for start in stride(from: 0, to: sums.count, by: parameter.count) {
      kernels.add(sums, start..<start + parameter.count, to: parameter.gradient, at: 0)
    }
  }
}
