import DuetRuntime

/// Measures what the errors of tensors cost: by how much the predictions of the model change when the
/// tensors of one kind in some neighbouring layers alone are quantized coarsely.
struct SensitivityProbe {
  private let file: GGUFFile
  private let quantizer: Quantizer
  private let options: QuantizationOptions
  private let groups: [[TensorInfo]]
  private let core: ModelWeights?
  private let tokens: [Int32]

  /// Coarse enough to be seen, and of blocks that fit most rows.
  private static let type = TensorType.q4_0
  /// Parts that the layers are cut into.
  private static let bands = 6
  private static let mostTokens = 192
  private static let logitBytes = 128 << 20

  init(_ file: GGUFFile, _ quantizer: Quantizer, text: [UInt8]?, options: QuantizationOptions) {
    self.file = file
    self.quantizer = quantizer
    self.options = options
    groups = Self.groups(file)
    // What is no decoder is planned by errors alone.
    let operations = try? Operations(tier: options.kernels)
    core = operations.flatMap { try? ModelWeights(file: file, operations: $0) }
    tokens = core.map { Self.tokens(file, text ?? Array(ProbeText.text.utf8), $0.config) } ?? []
  }

  private static func tokens(_ file: GGUFFile, _ text: [UInt8], _ config: DecoderConfig) -> [Int32] {
    guard let tokenizer = try? Tokenizer(metadata: file.metadata) else { return [] }
    let most = max(8, min(mostTokens, config.contextLength, logitBytes / (4 * config.vocabularySize)))
    let beginning = tokenizer.addsBeginning ? tokenizer.beginningOfText.map { [$0] } ?? [] : []
    // Any stretch of a long text is as good as its start.
    let ids = tokenizer.encode(Array(text.prefix(1 << 16)))
    return Array((beginning + ids).prefix(most))
  }

  private static func groups(_ file: GGUFFile) -> [[TensorInfo]] {
    let layers = file.tensors.reduce(1) { max($0, (layerIndex($1.name) ?? 0) + 1) }
    var order: [String] = []
    var groups: [String: [TensorInfo]] = [:]
    for tensor in file.tensors
    where QuantizationPlan.isQuantizable(tensor) && tensor.columns % type.blockLength == 0 {
      let key =
        layerIndex(tensor.name).map { "\(TensorRole(tensor.name)) \($0 * bands / layers)" } ?? tensor.name
      if groups[key] == nil { order.append(key) }
      groups[key, default: []].append(tensor)
    }
    return order.compactMap { groups[$0] }
  }

  var stepCount: Int { tokens.count < 8 ? 0 : groups.count + 1 }

  /// What a unit of relative squared error of each tensor costs, in nats per token.
  func sensitivities(_ names: [String], progress: (Int) -> Void) throws -> [Double] {
    guard stepCount > 0, let core else { return names.map { _ in 1 } }
    let pool = ThreadPool(threadCount: options.threads ?? processorCount())
    let reference = logits(core, pool)
    progress(1)
    var known: [String: Double] = [:]
    for (step, group) in groups.enumerated() {
      try Task.checkCancellation()
      let (changed, error) = try quantized(group)
      let weights = try ModelWeights(file: changed, operations: core.operations)
      let divergence = divergence(reference, logits(weights, pool), core, pool)
      for tensor in group { known[tensor.name] = divergence / max(error, 1e-12) }
      progress(step + 2)
    }
    let mean = known.values.sorted().reduce(0, +) / Double(max(1, known.count))
    return names.map { max(known[$0] ?? mean, 1e-9) }
  }

  /// The model with the tensors of one group coarse, and the sum of their relative squared errors.
  private func quantized(_ group: [TensorInfo]) throws -> (GGUFFile, error: Double) {
    var replaced: [String: TensorInfo] = [:]
    var total = 0.0
    for tensor in group {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(Self.type.rowBytes(tensor.columns) * tensor.rows)
      let error = try quantizer.quantize(tensor, to: Self.type, searches: true) {
        (part) throws(QuantizerError) in
        unsafe part.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
      }
      total += error.weightedEnergy > 0 ? error.weightedError / error.weightedEnergy : 0
      let memory = try MappedFile(path: file.path, bytes: bytes)
      replaced[tensor.name] = TensorInfo(
        name: tensor.name, shape: tensor.shape, type: Self.type, range: 0..<bytes.count, file: memory)
    }
    let tensors = file.tensors.map { replaced[$0.name] ?? $0 }
    return (
      try GGUFFile(path: file.path, metadata: file.metadata, tensors: tensors, parts: file.parts), total
    )
  }

  /// The logits of all tokens: [tokens, vocabulary].
  private func logits(_ weights: ModelWeights, _ pool: ThreadPool) -> FloatBuffer {
    let decoder = Decoder(weights, pool: pool, capacity: tokens.count)
    let sequence = CachedSequence(layout: weights.cacheLayout(.f32), salt: 0)
    _ = decoder.forward([DecoderStep(sequence, tokens[...], logits: .all)])
    return decoder.logits
  }

  private func divergence(
    _ a: FloatBuffer, _ b: FloatBuffer, _ core: ModelWeights, _ pool: ThreadPool
  ) -> Double {
    let width = core.config.vocabularySize
    let scores = TokenScore.all(tokens.count, pool) { row in
      let range = row * width..<(row + 1) * width
      return a.withSpan(range) { first in
        b.withSpan(range) { second in TokenScore(first, second, target: 0) }
      }
    }
    return scores.reduce(0) { $0 + $1.divergence } / Double(tokens.count)
  }
}

/// What models read where no text is given.
private enum ProbeText {
  static let text = """
    The river rises in the hills north of the town and runs for some sixty miles before it meets the sea. \
    In 1874 the company built a mill on its eastern bank, and within ten years more than two thousand \
    people lived in the streets around it.

    Question: Why do leaves change colour in autumn?
    Answer: Trees stop making chlorophyll, the green pigment with which they catch light. As it breaks \
    down, the yellow and orange pigments that were there all along can be seen, while some trees make red \
    ones from the sugar that is left in their leaves.

    def mean(values):
        if not values:
            raise ValueError("no values")
        return sum(values) / len(values)

    She closed the letter, put it back in the drawer and went to the window. "You could have told me," she \
    said at last. Nobody answered. Outside, the first snow of the year had begun to fall on the empty square.

    To make the dough, mix 500 g of flour with a teaspoon of salt, add 300 ml of warm water and two spoons \
    of olive oil, and knead it for ten minutes. Let it rest for an hour before you roll it out.
    """
}
