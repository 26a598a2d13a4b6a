#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Reads the fields that families share from a file's metadata, each within its limits.
struct ConfigFields {
  let file: GGUFFile
  /// The architecture's name, with which its keys begin.
  let prefix: String

  /// Widths of vectors. Narrower ones than a block no model has, and a small file of them could ask
  /// for a hundred times its size in memory. The upper limit keeps every product of two within `Int`.
  static let widths = 32...1 << 20
  /// Rows of an embedding: some times what the largest vocabularies have. Tokens are `Int32`.
  private static let maximumVocabulary = 1 << 24

  func optional(_ name: String, _ range: ClosedRange<Int>) throws(GGUFError) -> Int? {
    try file.metadata.integer("\(prefix).\(name)", in: range)
  }

  func required(_ name: String, _ range: ClosedRange<Int>) throws(GGUFError) -> Int {
    try file.metadata.required("\(prefix).\(name)", try optional(name, range))
  }

  func number(_ name: String) throws(GGUFError) -> Double? {
    try file.metadata.number("\(prefix).\(name)")
  }

  func invalid(_ name: String, _ problem: String) -> GGUFError {
    .invalid(path: file.path, field: "\(prefix).\(name)", problem: problem)
  }

  /// What all families have, with scores scaled as in "Attention Is All You Need" (arXiv 1706.03762).
  func config(
    _ activation: DecoderConfig.Activation, rotaryBase: Double, split: Bool
  ) throws -> DecoderConfig {
    let shape = try attentionShape()
    return try DecoderConfig(
      architecture: prefix,
      layerCount: layerCount(),
      embeddingLength: shape.embeddingLength,
      feedForwardLength: required("feed_forward_length", Self.widths),
      headCount: shape.headCount,
      keyValueHeadCount: shape.keyValueHeadCount,
      headSize: shape.headSize,
      contextLength: contextLength(),
      vocabularySize: vocabularySize(embeddingLength: shape.embeddingLength),
      normEpsilon: normEpsilon(),
      activation: activation,
      rotary: rotary(headSize: shape.headSize, defaultBase: rotaryBase, split: split),
      attentionScale: 1 / Float(shape.headSize).squareRoot()
    )
  }

  /// A layer takes several tensors, so a file cannot have more layers than tensors.
  func layerCount() throws(GGUFError) -> Int {
    try required("block_count", 1...max(1, file.tensors.count))
  }

  func contextLength() throws(GGUFError) -> Int { try required("context_length", 1...1 << 28) }

  func normEpsilon() throws(GGUFError) -> Float {
    let name = "attention.layer_norm_rms_epsilon"
    let epsilon = try file.metadata.required("\(prefix).\(name)", try number(name))
    guard epsilon >= 0, epsilon < 1 else { throw invalid(name, "is \(epsilon), where 0 to 1 is allowed") }
    return Float(epsilon)
  }

  /// Rows of the embedding.
  func vocabularySize(embeddingLength: Int) throws(GGUFError) -> Int {
    let name = "token_embd.weight"
    guard let embedding = file[name] else { throw .missingTensor(path: file.path, tensor: name) }
    guard embedding.columns == embeddingLength, embedding.shape.count == 2 else {
      throw .wrongShape(
        path: file.path, tensor: name, shape: embedding.shape, expected: [embeddingLength, embedding.rows])
    }
    guard embedding.rows <= Self.maximumVocabulary else {
      throw .invalid(
        path: file.path, field: "tensor \(name)",
        problem: "has \(embedding.rows) rows, where at most \(Self.maximumVocabulary) are allowed")
    }
    return embedding.rows
  }

  struct AttentionShape {
    let embeddingLength: Int
    let headCount: Int
    let keyValueHeadCount: Int
    let headSize: Int
  }

  func attentionShape() throws(GGUFError) -> AttentionShape {
    let width = try required("embedding_length", Self.widths)
    let heads = try required("attention.head_count", 1...65_536)
    let keyValueHeads = try optional("attention.head_count_kv", 1...65_536) ?? heads
    guard heads % keyValueHeads == 0 else {
      throw invalid("attention.head_count_kv", "is \(keyValueHeads), which does not divide \(heads) heads")
    }
    let headSize = try optional("attention.key_length", 2...8_192) ?? width / heads
    guard headSize >= 2, headSize % 2 == 0 else {
      throw invalid(
        "attention.key_length", "makes heads of \(headSize) values, where an even number is needed")
    }
    guard try optional("attention.value_length", 2...8_192) ?? headSize == headSize else {
      throw invalid("attention.value_length", "differs from the length of keys, \(headSize)")
    }
    return AttentionShape(
      embeddingLength: width, headCount: heads, keyValueHeadCount: keyValueHeads, headSize: headSize)
  }

  func rotary(headSize: Int, defaultBase: Double, split: Bool) throws -> DecoderConfig.Rotary {
    let base = try rotaryBase("rope.freq_base", default: defaultBase)
    let dimensions = try optional("rope.dimension_count", 2...headSize) ?? headSize
    guard dimensions % 2 == 0 else {
      throw invalid("rope.dimension_count", "is \(dimensions), where an even number is needed")
    }
    var rotary = DecoderConfig.Rotary(base: base, dimensions: dimensions, split: split)
    try setScaling(&rotary)
    return rotary
  }

  func rotaryBase(_ name: String, default value: Double) throws(GGUFError) -> Double {
    let base = try number(name) ?? value
    guard base > 0, base <= 1e12 else { throw invalid(name, "is \(base), where 0 to 1e12 is allowed") }
    return base
  }

  /// Tokens that layers with a window attend to; nil where the file states none, or 0.
  func slidingWindow() throws(GGUFError) -> Int? {
    let window = try optional("attention.sliding_window", 0...1 << 24) ?? 0
    return window > 0 ? window : nil
  }

  /// What scores are multiplied by, in families whose larger models scale by their width per head.
  func attentionScale(widthPerHead: Bool, _ config: DecoderConfig) throws(GGUFError) -> Float {
    let size = widthPerHead ? config.embeddingLength / config.headCount : config.headSize
    let scale = try number("attention.scale") ?? 1 / Double(size).squareRoot()
    guard scale > 0, scale <= 1e3 else { throw invalid("attention.scale", "is \(scale)") }
    return Float(scale)
  }

  /// The bound of scores or logits; 0 for none.
  func softcap(_ name: String, default value: Double) throws(GGUFError) -> Float {
    let cap = try number(name) ?? value
    guard cap >= 0, cap <= 1e6 else { throw invalid(name, "is \(cap), where 0 to 1e6 is allowed") }
    return Float(cap)
  }
}

/// The scaling of the rotary embedding.
extension ConfigFields {
  private func setScaling(_ rotary: inout DecoderConfig.Rotary) throws {
    let pairs = rotary.dimensions / 2
    rotary.magnitude = Float(try positive("rope.scaling.attn_factor") ?? 1)
    if let factors = try factors("rope_freqs", pairs) {
      rotary.scaling = .factors(factors)
    } else if let long = try factors("rope_factors_long", pairs) {
      guard let short = try factors("rope_factors_short", pairs) else {
        throw GGUFError.missingTensor(path: file.path, tensor: "rope_factors_short.weight")
      }
      let original = try required("rope.scaling.original_context_length", 1...1 << 28)
      rotary.scaling = .byContext(short: short, long: long, original: original)
    } else {
      try setStatedScaling(&rotary)
    }
  }

  private func setStatedScaling(_ rotary: inout DecoderConfig.Rotary) throws {
    switch try file.metadata.string("\(prefix).rope.scaling.type") ?? "none" {
    case "none": break
    case "linear": rotary.scaling = .linear(try positive("rope.scaling.factor") ?? 1)
    case "yarn":
      let factor = try positive("rope.scaling.factor") ?? 1
      let original = try optional("rope.scaling.original_context_length", 1...1 << 28) ?? contextLength()
      var yarn = DecoderConfig.Rotary.YaRN(factor: factor, original: original)
      yarn.fast = try positive("rope.scaling.yarn_beta_fast") ?? yarn.fast
      yarn.slow = try positive("rope.scaling.yarn_beta_slow") ?? yarn.slow
      yarn.extrapolation = try number("rope.scaling.yarn_ext_factor") ?? yarn.extrapolation
      rotary.scaling = .yarn(yarn)
      rotary.magnitude *= Float(
        try positive("rope.scaling.yarn_attn_factor") ?? (factor > 1 ? 0.1 * log(factor) + 1 : 1))
    case let type:
      throw ModelError.unsupported(path: file.path, feature: "rotary scaling of the type \(type)")
    }
  }

  private func positive(_ name: String) throws(GGUFError) -> Double? {
    guard let value = try number(name) else { return nil }
    guard value > 0, value <= 1e6 else { throw invalid(name, "is \(value), where 0 to 1e6 is allowed") }
    return value
  }

  /// A vector of factors, one for each rotated pair.
  private func factors(_ name: String, _ pairs: Int) throws(GGUFError) -> [Float]? {
    guard file["\(name).weight"] != nil else { return nil }
    let tensor = try file.tensor("\(name).weight", shape: [pairs])
    guard tensor.type == .f32 else {
      throw .invalid(
        path: file.path, field: "tensor \(tensor.name)",
        problem: "is \(tensor.type.name), where F32 is needed")
    }
    let factors = tensor.file.withBytes(tensor.range) { bytes in
      (0..<pairs).map { Float(bitPattern: bytes.littleEndian(UInt32.self, at: 4 * $0)) }
    }
    guard factors.allSatisfy({ $0 > 0 && $0.isFinite }) else {
      throw .invalid(
        path: file.path, field: "tensor \(tensor.name)", problem: "has factors that are not above 0")
    }
    return factors
  }
}
