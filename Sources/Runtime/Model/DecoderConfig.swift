/// The choices that tell one family of decoders from another. One decoder executes them all.
public struct DecoderConfig: Sendable, Equatable {
  /// The function of the gated feed-forward part.
  public enum Activation: Sendable { case silu, gelu }

  /// Rotary position embedding (arXiv 2104.09864).
  public struct Rotary: Sendable, Equatable {
    /// The base of the frequencies.
    public var base: Double
    /// How positions beyond those of the first training are reached.
    public var scaling = Scaling.none
    /// Rotated values are multiplied by this, queries and keys alike.
    public var magnitude: Float = 1
    /// Rotated values of each head; the rest is left as it is.
    public var dimensions: Int
    /// Pairs lie half a head apart, rather than side by side.
    public var split: Bool
  }

  /// As the file names it, such as `llama`.
  public var architecture: String
  /// Attention and feed-forward, one after the other, so many times.
  public var layerCount: Int
  /// The width of the hidden state.
  public var embeddingLength: Int
  /// The width inside of the feed-forward part.
  public var feedForwardLength: Int
  /// Heads of queries.
  public var headCount: Int
  /// Heads of keys and values, each shared by `headCount / keyValueHeadCount` query heads.
  public var keyValueHeadCount: Int
  /// Values of a head.
  public var headSize: Int
  /// Tokens that the model was trained to attend to.
  public var contextLength: Int
  /// Tokens that there are.
  public var vocabularySize: Int
  /// Added to the mean square before the root is taken.
  public var normEpsilon: Float
  /// Of the feed-forward part.
  public var activation: Activation
  /// How positions enter queries and keys.
  public var rotary: Rotary
  /// The rotary embedding of layers with a window; nil for the same as elsewhere.
  public var localRotary: Rotary?
  /// Tokens that a layer with a window attends to, its own included.
  public var slidingWindow: Int?
  /// With a window, every so-many-th layer attends to everything; 0 for none.
  public var slidingWindowPattern: Int = 1
  /// What scores are multiplied by.
  public var attentionScale: Float
  /// Embeddings are multiplied by this.
  public var embeddingScale: Float = 1
  /// Heads of queries and keys are normalised before they are rotated.
  public var normalizesHeads = false
  /// The results of attention and feed-forward are normalised before they are added.
  public var normalizesResults = false
  /// Scores become c * tanh(score / c); 0 for none.
  public var attentionSoftcap: Float = 0
  /// Logits likewise.
  public var finalSoftcap: Float = 0
  /// Queries, keys and values are one matrix, and so are gate and up.
  public var isFused = false

  /// Query heads that share one head of keys and values.
  public var headsPerGroup: Int { headCount / keyValueHeadCount }

  /// Whether `layer` attends to a window only.
  public func isLocal(_ layer: Int) -> Bool {
    slidingWindow != nil && (slidingWindowPattern == 0 || (layer + 1) % slidingWindowPattern != 0)
  }
}

extension DecoderConfig {
  /// The families that can be run, by the name that files give.
  public static let knownArchitectures = Family.all.map(\.architecture)

  /// Reads the configuration of the family that the file says it is.
  ///
  /// - Throws: `ModelError.unknownArchitecture`, or a `GGUFError` that names the field.
  public init(file: GGUFFile) throws(ModelError) {
    do {
      let key = "general.architecture"
      let name = try file.metadata.required(key, try file.metadata.string(key))
      guard let family = Family.all.first(where: { $0.architecture == name }) else {
        throw ModelError.unknownArchitecture(path: file.path, name: name)
      }
      self = try family.config(file)
    } catch let error as GGUFError {
      throw .file(error)
    } catch let error as ModelError {
      throw error
    } catch {
      throw .unknownArchitecture(path: file.path, name: "\(error)")
    }
  }
}

/// Why a model could not be loaded.
public enum ModelError: Error, CustomStringConvertible {
  case file(GGUFError)
  case checkpoint(CheckpointError)
  case unknownArchitecture(path: String, name: String)
  case unsupported(path: String, feature: String)
  /// Sentences were to be encoded by another model than a sentence encoder.
  case notEncoder(path: String, architecture: String)
  case kernels(KernelError)
  case tokenizer(TokenizerError)
  case template(path: String, TemplateError)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .checkpoint(let error): error.description
    case .unknownArchitecture(let path, let name):
      "\(path) holds a model of the architecture \(name), which is not supported; supported are "
        + DecoderConfig.knownArchitectures.joined(separator: ", ")
    case .unsupported(let path, let feature):
      "\(path) needs \(feature), which is not supported; use another model"
    case .notEncoder(let path, let architecture):
      "\(path) holds a model of the architecture \(architecture), which encodes no sentences; give a sentence "
        + "encoder, of the architecture \(EncoderConfig.architecture)"
    case .kernels(let error): error.description
    case .tokenizer(let error): error.description
    case .template(let path, let error): "\(path): the chat template cannot be used: \(error)"
    }
  }
}
