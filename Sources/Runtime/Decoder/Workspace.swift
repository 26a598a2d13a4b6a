/// The buffers of a decoder for batches of up to `capacity` tokens, kept from step to step.
struct Workspace {
  let capacity: Int
  let hidden: FloatBuffer  // [tokens, embedding]
  let normed: Activations  // [tokens, embedding]
  let query: FloatBuffer  // [tokens, heads * head size]
  let key: FloatBuffer  // [tokens, key-value heads * head size]
  let value: FloatBuffer  // likewise
  let attended: Activations  // [tokens, heads * head size]
  // Where a prompt's results stay with the thread that made them, nothing of these is touched but what `inner` holds
  // in bytes.
  let up: FloatBuffer  // [tokens, feed forward]
  let inner: Activations  // likewise: the gate, which becomes what is multiplied by the next matrix
  let result: FloatBuffer  // [tokens, embedding]
  let rotary: RotaryTable
  let localRotary: RotaryTable?
  /// One panel per thread.
  let panels: [FloatBuffer]

  /// Bytes that the buffers may take, but for those of a single token.
  private static let byteLimit = 1 << 30

  /// The most tokens of a batch whose buffers stay within the limit.
  static func maximumTokens(_ config: DecoderConfig) -> Int {
    let width = config.embeddingLength, hidden = config.feedForwardLength
    let queries = config.headCount * config.headSize, keys = config.keyValueHeadCount * config.headSize
    let floats = 3 * width + 2 * queries + 2 * keys + 2 * hidden
    // The int8 form takes a byte of each value and 20 of each run of 32, and two bytes of each in tiles.
    let quantized = (width + queries + hidden) * 4
    return max(1, byteLimit / (4 * floats + quantized))
  }

  init(_ config: DecoderConfig, capacity: Int, threads: Int, operations: Operations) {
    let width = config.embeddingLength, hiddenWidth = config.feedForwardLength
    let queries = config.headCount * config.headSize, keys = config.keyValueHeadCount * config.headSize
    self.capacity = capacity
    let panelled = capacity > Decoder.directTokens ? operations : nil
    hidden = FloatBuffer(count: capacity * width)
    normed = Activations(capacity: capacity, width: width, panels: panelled)
    query = FloatBuffer(count: capacity * queries)
    key = FloatBuffer(count: capacity * keys)
    value = FloatBuffer(count: capacity * keys)
    attended = Activations(capacity: capacity, width: queries, panels: panelled)
    up = FloatBuffer(count: capacity * hiddenWidth)
    inner = Activations(capacity: capacity, width: hiddenWidth, panels: panelled)
    result = FloatBuffer(count: capacity * width)
    rotary = RotaryTable(config.rotary, capacity: capacity)
    localRotary = config.localRotary.map { RotaryTable($0, capacity: capacity) }
    let longest = max(width, hiddenWidth, queries)
    let scratch = panelled?.panelScratch(columns: longest) ?? 0
    panels = (0..<threads).map { _ in FloatBuffer(count: scratch) }
  }
}
