/// The buffers of a decoder for batches of up to `capacity` tokens, kept from step to step.
struct Workspace {
  let capacity: Int
  let hidden: FloatBuffer  // [tokens, embedding]
  let normed: Activations  // [tokens, embedding]
  let query: FloatBuffer  // [tokens, heads * head size]
  let key: FloatBuffer  // [tokens, key-value heads * head size]
  let value: FloatBuffer  // likewise
  let attended: Activations  // [tokens, heads * head size]
  let gate: FloatBuffer  // [tokens, feed forward]
  let up: FloatBuffer  // likewise
  let inner: Activations  // likewise
  let result: FloatBuffer  // [tokens, embedding]
  let rotary: RotaryTable
  let localRotary: RotaryTable?
  /// One panel per thread.
  let panels: [FloatBuffer]

  init(_ config: DecoderConfig, capacity: Int, threads: Int, operations: Operations) {
    let width = config.embeddingLength, hiddenWidth = config.feedForwardLength
    let queries = config.headCount * config.headSize, keys = config.keyValueHeadCount * config.headSize
    self.capacity = capacity
    hidden = FloatBuffer(count: capacity * width)
    normed = Activations(capacity: capacity, width: width)
    query = FloatBuffer(count: capacity * queries)
    key = FloatBuffer(count: capacity * keys)
    value = FloatBuffer(count: capacity * keys)
    attended = Activations(capacity: capacity, width: queries)
    gate = FloatBuffer(count: capacity * hiddenWidth)
    up = FloatBuffer(count: capacity * hiddenWidth)
    inner = Activations(capacity: capacity, width: hiddenWidth)
    result = FloatBuffer(count: capacity * width)
    rotary = RotaryTable(config.rotary, capacity: capacity)
    localRotary = config.localRotary.map { RotaryTable($0, capacity: capacity) }
    let longest = max(width, hiddenWidth, queries)
    let scratch = capacity > Decoder.directTokens ? operations.panelScratch(columns: longest) : 0
    panels = (0..<threads).map { _ in FloatBuffer(count: scratch) }
  }
}
