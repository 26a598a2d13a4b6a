/// The weights of a decoder as views into the mapped file. Norms, a few kilobytes, are copied as
/// floats.
package struct DecoderWeights: Sendable {
  /// One layer, which every step passes on as one reference. The names in the file are `blk.N.` and those in parentheses.
  package final class Layer: Sendable {
    let attentionNorm: FloatBuffer  // (attn_norm) [embedding]
    let query: Matrix  // (attn_q) [heads * head size, embedding]
    let key: Matrix  // (attn_k) [key-value heads * head size, embedding]
    let value: Matrix  // (attn_v)
    let output: Matrix  // (attn_output) [embedding, heads * head size]
    let queryNorm: FloatBuffer?  // (attn_q_norm) [head size]
    let keyNorm: FloatBuffer?  // (attn_k_norm)
    let attentionResultNorm: FloatBuffer?  // (post_attention_norm) [embedding]
    let feedForwardNorm: FloatBuffer  // (ffn_norm) [embedding]
    let gate: Matrix  // (ffn_gate) [feed forward, embedding]
    let up: Matrix  // (ffn_up)
    let down: Matrix  // (ffn_down) [embedding, feed forward]
    let feedForwardResultNorm: FloatBuffer?  // (post_ffw_norm) [embedding]
    let biases: Biases

    /// All that vectors are multiplied by.
    var matrices: [Matrix] { [query, key, value, output, gate, up, down] }

    init(_ index: Int, _ find: Finder, _ config: DecoderConfig) throws(GGUFError) {
      let width = config.embeddingLength, hidden = config.feedForwardLength
      let queries = config.headCount * config.headSize, keys = config.keyValueHeadCount * config.headSize
      func name(_ part: String) -> String { "blk.\(index).\(part)" }
      func result(_ part: String) throws(GGUFError) -> FloatBuffer? {
        config.normalizesResults ? try find.vector(name(part), width) : nil
      }
      func head(_ part: String) throws(GGUFError) -> FloatBuffer? {
        config.normalizesHeads ? try find.vector(name(part), config.headSize) : nil
      }
      attentionNorm = try find.vector(name("attn_norm"), width)
      if config.isFused {
        let fused = try find.matrix(name("attn_qkv"), rows: queries + 2 * keys, columns: width)
        query = fused.rows(0..<queries)
        key = fused.rows(queries..<queries + keys)
        value = fused.rows(queries + keys..<queries + 2 * keys)
      } else {
        query = try find.matrix(name("attn_q"), rows: queries, columns: width)
        key = try find.matrix(name("attn_k"), rows: keys, columns: width)
        value = try find.matrix(name("attn_v"), rows: keys, columns: width)
      }
      output = try find.matrix(name("attn_output"), rows: width, columns: queries)
      queryNorm = try head("attn_q_norm")
      keyNorm = try head("attn_k_norm")
      attentionResultNorm = try result("post_attention_norm")
      feedForwardNorm = try find.vector(name("ffn_norm"), width)
      if config.isFused {
        let fused = try find.matrix(name("ffn_up"), rows: 2 * hidden, columns: width)
        gate = fused.rows(0..<hidden)
        up = fused.rows(hidden..<2 * hidden)
      } else {
        gate = try find.matrix(name("ffn_gate"), rows: hidden, columns: width)
        up = try find.matrix(name("ffn_up"), rows: hidden, columns: width)
      }
      down = try find.matrix(name("ffn_down"), rows: width, columns: hidden)
      feedForwardResultNorm = try result("post_ffw_norm")
      biases = try Self.biases(index, find, config)
    }

    private static func biases(
      _ index: Int, _ find: Finder, _ config: DecoderConfig
    ) throws(GGUFError) -> Biases {
      let width = config.embeddingLength, hidden = config.feedForwardLength
      let queries = config.headCount * config.headSize, keys = config.keyValueHeadCount * config.headSize
      func bias(_ part: String, _ count: Int) throws(GGUFError) -> FloatBuffer? {
        try find.bias("blk.\(index).\(part)", count)
      }
      return Biases(
        query: try bias("attn_q", queries), key: try bias("attn_k", keys), value: try bias("attn_v", keys),
        output: try bias("attn_output", width), gate: try bias("ffn_gate", hidden),
        up: try bias("ffn_up", hidden),
        down: try bias("ffn_down", width))
    }
  }

  /// What is added to the products of a layer's matrices; nil where the file has none.
  package struct Biases: Sendable {
    let query, key, value, output, gate, up, down: FloatBuffer?
  }

  let embedding: Matrix  // [vocabulary, embedding]
  let layers: [Layer]
  let outputNorm: FloatBuffer  // [embedding]
  /// [vocabulary, embedding]; the embedding itself where the file has no other.
  let output: Matrix

  /// Finds every weight that `config` asks for.
  ///
  /// - Throws: `GGUFError.missingTensor` or `.wrongShape`.
  init(file: GGUFFile, config: DecoderConfig, operations: Operations) throws(GGUFError) {
    let find = Finder(file: file, operations: operations)
    let width = config.embeddingLength
    embedding = try find.matrix("token_embd", rows: config.vocabularySize, columns: width)
    outputNorm = try find.vector("output_norm", width)
    output =
      file["output.weight"] == nil
      ? embedding : try find.matrix("output", rows: config.vocabularySize, columns: width)
    try find.refuseUnknownBiases()
    var layers: [Layer] = []
    for index in 0..<config.layerCount { layers.append(try Layer(index, find, config)) }
    self.layers = layers
  }

  struct Finder {
    let file: GGUFFile
    let operations: Operations

    func matrix(_ name: String, rows: Int, columns: Int) throws(GGUFError) -> Matrix {
      try Matrix(file.tensor("\(name).weight", shape: [columns, rows]))
    }

    func vector(_ name: String, _ count: Int, _ suffix: String = "weight") throws(GGUFError) -> FloatBuffer {
      let matrix = try Matrix(file.tensor("\(name).\(suffix)", shape: [count]))
      let values = FloatBuffer(count: count)
      operations.dequantize(matrix, row: 0, out: values, at: 0)
      return values
    }

    func bias(_ name: String, _ count: Int) throws(GGUFError) -> FloatBuffer? {
      file["\(name).bias"] == nil ? nil : try vector(name, count, "bias")
    }

    /// Biases that the decoder does not add: leaving them out would make a model that only seems to
    /// work.
    func refuseUnknownBiases() throws(GGUFError) {
      let known: Set = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
      for tensor in file.tensors where tensor.name.hasSuffix(".bias") {
        let parts = tensor.name.split(separator: ".")
        guard parts.count == 4, parts[0] == "blk", known.contains(String(parts[2])) else {
          throw .invalid(
            path: file.path, field: "tensor \(tensor.name)",
            problem: "is a bias that this architecture has not")
        }
      }
    }
  }
}
