/// The weights of a BERT encoder as views into the mapped file; norms and biases are copied.
struct EncoderWeights: Sendable {
  /// A matrix with its bias.
  struct Linear: Sendable {
    let weight: Matrix
    let bias: FloatBuffer
  }

  /// One layer. The names in the file are `blk.N.` and those in parentheses.
  struct Layer: Sendable {
    let query, key, value: Linear  // (attn_q, attn_k, attn_v) [width, width]
    let output: Linear  // (attn_output) [width, width]
    let outputNorm: LayerNorm  // (attn_output_norm) [width]
    let up: Linear  // (ffn_up) [feed forward, width]
    let down: Linear  // (ffn_down) [width, feed forward]
    let resultNorm: LayerNorm  // (layer_output_norm) [width]
  }

  let embedding: Matrix  // (token_embd) [vocabulary, width]
  let positions: Matrix  // (position_embd) [context, width]
  /// The vector of the first type of tokens, the only one used. (token_types)
  let type: FloatBuffer
  let embeddingNorm: LayerNorm  // (token_embd_norm)
  let layers: [Layer]

  /// Finds every weight.
  ///
  /// - Throws: `GGUFError.missingTensor` or `.wrongShape`.
  init(file: GGUFFile, config: EncoderConfig, operations: Operations) throws(GGUFError) {
    let find = Finder(file: file, config: config, operations: operations)
    let width = config.width
    embedding = try find.matrix("token_embd", rows: config.vocabularySize, columns: width)
    positions = try find.matrix("position_embd", rows: config.contextLength, columns: width)
    type = try find.types()
    embeddingNorm = try find.norm("token_embd_norm")
    var layers: [Layer] = []
    for index in 0..<config.layerCount { layers.append(try Layer(find, "blk.\(index).")) }
    self.layers = layers
  }

  struct Finder {
    let file: GGUFFile
    let config: EncoderConfig
    let operations: Operations

    func matrix(_ name: String, rows: Int, columns: Int) throws(GGUFError) -> Matrix {
      try Matrix(file.tensor("\(name).weight", shape: [columns, rows]))
    }

    func vector(_ name: String, _ count: Int) throws(GGUFError) -> FloatBuffer {
      let matrix = try Matrix(file.tensor(name, shape: [count]))
      let values = FloatBuffer(count: count)
      operations.dequantize(matrix, row: 0, out: values, at: 0)
      return values
    }

    func linear(_ name: String, rows: Int, columns: Int) throws(GGUFError) -> Linear {
      Linear(
        weight: try matrix(name, rows: rows, columns: columns), bias: try vector("\(name).bias", rows))
    }

    func norm(_ name: String) throws(GGUFError) -> LayerNorm {
      LayerNorm(
        weight: try vector("\(name).weight", config.width), bias: try vector("\(name).bias", config.width),
        epsilon: config.epsilon)
    }

    /// Files with one type of tokens may hold it as a vector.
    func types() throws(GGUFError) -> FloatBuffer {
      let name = "token_types.weight", values = FloatBuffer(count: config.width)
      guard let info = file[name] else { throw .missingTensor(path: file.path, tensor: name) }
      guard info.columns == config.width, info.rows >= 1 else {
        throw .wrongShape(path: file.path, tensor: name, shape: info.shape, expected: [config.width, 2])
      }
      operations.dequantize(try Matrix(info), row: 0, out: values, at: 0)
      return values
    }
  }
}

extension EncoderWeights.Layer {
  init(_ find: EncoderWeights.Finder, _ prefix: String) throws(GGUFError) {
    let width = find.config.width, hidden = find.config.feedForwardLength
    query = try find.linear(prefix + "attn_q", rows: width, columns: width)
    key = try find.linear(prefix + "attn_k", rows: width, columns: width)
    value = try find.linear(prefix + "attn_v", rows: width, columns: width)
    output = try find.linear(prefix + "attn_output", rows: width, columns: width)
    outputNorm = try find.norm(prefix + "attn_output_norm")
    up = try find.linear(prefix + "ffn_up", rows: hidden, columns: width)
    down = try find.linear(prefix + "ffn_down", rows: width, columns: hidden)
    resultNorm = try find.norm(prefix + "layer_output_norm")
  }
}
