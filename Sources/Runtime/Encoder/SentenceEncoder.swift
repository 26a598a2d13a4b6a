import Synchronization

/// Turns texts into vectors whose cosines say how close their meanings are.
///
/// A model of the BERT family, such as all-MiniLM-L6-v2 or BGE, from a GGUF file or a checkpoint folder.
/// Vectors have unit length, so that their dot product is their cosine.
///
///     let encoder = try SentenceEncoder(path: "all-MiniLM-L6-v2.gguf")
///     let vectors = encoder.vectors(of: ["A cat sat.", "A dog stood."])
public final class SentenceEncoder: Sendable {
  /// Values of a vector.
  public let dimensions: Int
  /// The most tokens that are read of a text, its marks included; what comes after is left out.
  public let maximumTokens: Int
  /// A name for the model, from its metadata or its path.
  public let name: String
  /// How text becomes tokens.
  public let tokenizer: Tokenizer
  private let pass: Mutex<EncoderPass>

  /// Tokens of a batch: enough to make up for packing weights, few enough to stay in the cache.
  private static let batchTokens = 256

  /// Opens a model.
  ///
  /// - Parameters:
  ///   - path: of a GGUF file, or of a folder as `Checkpoint` reads.
  ///   - threads: that compute; nil for one per core.
  ///   - kernels: a tier by name; nil for the fastest that runs here.
  /// - Throws: `ModelError`, which says what is wrong with the file, where, and what to do.
  public convenience init(path: String, threads: Int? = nil, kernels: String? = nil) throws(ModelError) {
    try self.init(file: Model.file(path: path), threads: threads, kernels: kernels)
  }

  /// Takes a file that is open; see `init(path:threads:kernels:)`.
  public init(file: GGUFFile, threads: Int? = nil, kernels: String? = nil) throws(ModelError) {
    let operations: Operations, weights: EncoderWeights
    let config = try EncoderConfig(file: file)
    do { operations = try Operations(tier: kernels) } catch { throw .kernels(error) }
    do {
      weights = try EncoderWeights(file: file, config: config, operations: operations)
      name = try file.metadata.string("general.name") ?? file.path
    } catch { throw .file(error) }
    do { tokenizer = try Tokenizer(metadata: file.metadata) } catch { throw .tokenizer(error) }
    guard tokenizer.vocabularySize <= config.vocabularySize else {
      throw .unsupported(
        path: file.path, feature: "a vector for each of its \(tokenizer.vocabularySize) tokens")
    }
    dimensions = config.width
    maximumTokens = config.maximumTokens
    let capacity = max(Self.batchTokens, config.maximumTokens)
    pass = Mutex(
      EncoderPass(config, weights, operations, threads: threads ?? processorCount(), capacity: capacity))
  }

  /// The vector of each text, in order. Calls from several threads wait for one another.
  ///
  /// - Complexity: O(tokens) for texts of some length.
  public func vectors(of texts: [String]) -> [[Float]] {
    var result: [[Float]] = []
    result.reserveCapacity(texts.count)
    var batch: [[Int32]] = []
    var count = 0
    for text in texts {
      let tokens = tokens(of: text)
      if count + tokens.count > Self.batchTokens, !batch.isEmpty {
        result += encode(batch)
        (batch, count) = ([], 0)
      }
      batch.append(tokens)
      count += tokens.count
    }
    return result + encode(batch)
  }

  private func encode(_ batch: [[Int32]]) -> [[Float]] {
    pass.withLock { $0.encode(batch) }
  }

  /// The text's tokens between those of its start and end, cut to what the model reads.
  private func tokens(of text: String) -> [Int32] {
    let ends = [tokenizer.beginningOfText, tokenizer.endOfText].compactMap { $0 }.count
    var tokens = Array(tokenizer.encode(text).prefix(maximumTokens - ends))
    if let first = tokenizer.beginningOfText { tokens.insert(first, at: 0) }
    if let last = tokenizer.endOfText { tokens.append(last) }
    return tokens
  }
}
