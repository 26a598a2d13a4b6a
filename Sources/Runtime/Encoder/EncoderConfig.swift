/// The shape of a BERT encoder (arXiv 1810.04805) and how it makes one vector of a text's tokens.
///
/// The metadata keys are those of the GGUF specification for the architecture `bert`.
struct EncoderConfig: Sendable {
  /// How the vectors of tokens become that of a text.
  enum Pooling: Sendable {
    /// Their mean, as of MiniLM.
    case mean
    /// The first token's, as of BGE.
    case first
  }

  static let architecture = "bert"

  let layerCount: Int
  let width: Int
  let feedForwardLength: Int
  let headCount: Int
  /// Tokens that have positions.
  let contextLength: Int
  /// Tokens that are read of a text.
  let maximumTokens: Int
  let vocabularySize: Int
  let epsilon: Float
  let pooling: Pooling

  var headSize: Int { width / headCount }

  /// Values of a head: four times those of any known encoder.
  private static let largestHead = 512
  /// Values of one layer's activations: eight times those of a large encoder with 8,192 positions. A file
  /// of some megabytes may claim shapes that take a thousand times as much.
  private static let mostActivations = 1 << 28

  /// Reads and checks the keys.
  ///
  /// - Throws: `ModelError`, naming the field.
  init(file: GGUFFile) throws(ModelError) {
    let name: String?
    do { name = try file.metadata.string("general.architecture") } catch { throw .file(error) }
    guard name == Self.architecture else {
      throw .notEncoder(path: file.path, architecture: name ?? "unknown")
    }
    do { self = try Self(ConfigFields(file: file, prefix: Self.architecture)) } catch { throw .file(error) }
  }

  private init(_ fields: ConfigFields) throws(GGUFError) {
    layerCount = try fields.layerCount()
    width = try fields.required("embedding_length", ConfigFields.widths)
    feedForwardLength = try fields.required("feed_forward_length", ConfigFields.widths)
    headCount = try fields.required("attention.head_count", 1...65_536)
    contextLength = try fields.required("context_length", 8...8_192)
    maximumTokens = try fields.optional(Self.longestText, 3...contextLength) ?? contextLength
    vocabularySize = try fields.vocabularySize(embeddingLength: width)
    let name = "attention.layer_norm_epsilon"
    let epsilon = try fields.file.metadata.required("bert.\(name)", try fields.number(name))
    guard epsilon >= 0, epsilon < 1 else {
      throw fields.invalid(name, "is \(epsilon), where 0 to 1 is allowed")
    }
    self.epsilon = Float(epsilon)
    guard width % headCount == 0, width % 32 == 0, feedForwardLength % 32 == 0 else {
      throw fields.invalid("embedding_length", "is \(width), which is no multiple of 32 or of the heads")
    }
    guard width / headCount <= Self.largestHead else {
      throw fields.invalid(
        "attention.head_count", "makes heads of \(width / headCount) values, more than \(Self.largestHead)")
    }
    guard contextLength * max(width, feedForwardLength) <= Self.mostActivations else {
      throw fields.invalid(
        "feed_forward_length",
        "is \(feedForwardLength), which takes too much memory for \(contextLength) tokens")
    }
    switch try fields.optional("pooling_type", 0...4) ?? 1 {
    case 0, 1: pooling = .mean
    case 2: pooling = .first
    case let type: throw fields.invalid("pooling_type", "is \(type), where 1 (mean) or 2 (first) is allowed")
    }
  }
}
