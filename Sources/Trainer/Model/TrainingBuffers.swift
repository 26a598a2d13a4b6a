import DuetRuntime

/// What a layer's backward pass needs of its forward pass, for `tokens` tokens. Norms and the
/// product of gate and up are computed again instead.
struct SavedLayer {
  let input: FloatBuffer  // [tokens, embedding]
  let inputs: Block  // queries, keys, values: [tokens, (heads + 2 * key-value heads) * head size]
  let raw: Block?  // queries and keys before their norms
  let attended: Block  // [tokens, heads * head size]
  let logSums: FloatBuffer  // [tokens, heads]
  let attentionResult: FloatBuffer?  // [tokens, embedding], before its norm
  let middle: FloatBuffer  // [tokens, embedding]
  let gateUp: Block  // [tokens, 2 * feed forward]
  let feedForwardResult: FloatBuffer?  // [tokens, embedding], before its norm

  init(_ config: DecoderConfig, tokens: Int) {
    let shape = LayerShape(config)
    input = FloatBuffer(count: tokens * shape.width)
    inputs = .matrix(tokens, shape.inputs)
    raw = config.normalizesHeads ? .matrix(tokens, shape.queries + shape.keys) : nil
    attended = .matrix(tokens, shape.queries)
    logSums = FloatBuffer(count: tokens * config.headCount)
    middle = FloatBuffer(count: tokens * shape.width)
    gateUp = .matrix(tokens, 2 * shape.hidden)
    attentionResult = config.normalizesResults ? FloatBuffer(count: tokens * shape.width) : nil
    feedForwardResult = config.normalizesResults ? FloatBuffer(count: tokens * shape.width) : nil
  }
}

/// Widths within a layer.
struct LayerShape {
  let width: Int
  let hidden: Int
  let queries: Int
  let keys: Int
  var inputs: Int { queries + 2 * keys }

  init(_ config: DecoderConfig) {
    width = config.embeddingLength
    hidden = config.feedForwardLength
    queries = config.headCount * config.headSize
    keys = config.keyValueHeadCount * config.headSize
  }
}

extension Block {
  /// A matrix with memory of its own.
  static func matrix(_ rows: Int, _ columns: Int) -> Block {
    Block(FloatBuffer(count: rows * columns), rows: rows, columns: columns)
  }

  /// The first rows of a buffer of rows that follow each other.
  static func rows(_ count: Int, of buffer: FloatBuffer, _ columns: Int) -> Block {
    Block(buffer, rows: count, columns: columns)
  }
}

/// Buffers that layers use in turn.
struct TrainingScratch {
  let normed: FloatBuffer  // [tokens, embedding]
  let result: FloatBuffer  // [tokens, embedding]
  let inner: FloatBuffer  // [tokens, feed forward]
  /// The last layer's result where predictions are made, then gradients: [tokens, embedding].
  let hidden: FloatBuffer
  let dNormed: FloatBuffer  // [tokens, embedding]
  let dInner: FloatBuffer  // [tokens, feed forward]
  let dAttended: FloatBuffer  // [tokens, heads * head size]
  let dInputs: FloatBuffer  // [tokens, queries, keys and values]
  let low: FloatBuffer  // [tokens, rank]
  let dLow: FloatBuffer  // [tokens, rank]
  let dropped: FloatBuffer  // [tokens, the widest input], where there is dropout
  let scores: [FloatBuffer]  // by thread: [query block, longest row]
  let dScores: [FloatBuffer]
  /// What each segment adds to the gradients of the beginning's keys and values:
  /// [segments, beginning, keys and values]. Threads write parts of their own.
  var shared = FloatBuffer(count: 0)

  init(_ config: DecoderConfig, tokens: Int, longestRow: Int, rank: Int, drops: Bool, threads: Int) {
    let shape = LayerShape(config)
    func buffer(_ columns: Int) -> FloatBuffer { FloatBuffer(count: tokens * columns) }
    normed = buffer(shape.width)
    result = buffer(shape.width)
    inner = buffer(shape.hidden)
    hidden = buffer(shape.width)
    dNormed = buffer(shape.width)
    dInner = buffer(shape.hidden)
    dAttended = buffer(shape.queries)
    dInputs = buffer(shape.inputs)
    low = buffer(rank)
    dLow = buffer(rank)
    dropped = drops ? buffer(max(shape.width, shape.hidden, shape.queries)) : FloatBuffer(count: 0)
    let block = TrainingPass.queryBlock * longestRow
    scores = (0..<threads).map { _ in FloatBuffer(count: block) }
    dScores = (0..<threads).map { _ in FloatBuffer(count: block) }
  }
}

/// Angles of the rotary embedding by position, and those that turn back.
struct RotaryAngles {
  let forward: RotaryTable
  let backward: FloatBuffer
  let rotary: DecoderConfig.Rotary

  init(_ rotary: DecoderConfig.Rotary, positions: Int) {
    self.rotary = rotary
    forward = RotaryTable(rotary, capacity: positions)
    for position in 0..<positions { forward.fill(position, position: position) }
    backward = FloatBuffer(count: forward.angles.count)
    let pairs = rotary.dimensions / 2
    for index in 0..<backward.count {
      let isSine = index % rotary.dimensions >= pairs
      backward[index] = isSine ? -forward.angles[index] : forward.angles[index]
    }
  }
}
