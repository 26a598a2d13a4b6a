import DuetDocuments
import DuetRuntime

/// A pair, opened: both tunings ready to answer, and what chooses between them.
///
/// Adapters share one engine and one mapped base, so that a change of tuning loads nothing; whole
/// models are two mapped files with an engine each.
public struct Pair: Sendable {
  /// A tuning as it is run.
  public struct Voice: Sendable {
    /// What runs it.
    public let engine: Engine
    /// The adapter over the engine's model; nil for a whole model.
    public let tuning: Tuning?

    /// - Parameters:
    ///   - engine: what runs it.
    ///   - tuning: an adapter over the engine's model; nil for the bare model.
    public init(engine: Engine, tuning: Tuning?) {
      self.engine = engine
      self.tuning = tuning
    }
  }

  /// What the pair is called.
  public let name: String
  /// The tuning that answers from context.
  public let grounded: Voice
  /// The tuning that answers without.
  public let free: Voice
  /// The tuning that answers about pictures; *grounded* where the pair has none of its own, or it was not opened.
  public let seeing: Voice
  /// Chooses; nil where the pair has none, and presence of context decides.
  public let router: Router?

  /// Opens the files of a manifest. Digests are not compared: that takes as long as reading the files.
  ///
  /// - Parameters:
  ///   - manifest: what the pair consists of.
  ///   - path: of the manifest, for messages and relative paths.
  ///   - options: how the engines run.
  ///   - kernels: a tier by name; nil for the fastest.
  ///   - seesPictures: opens the tuning for pictures too, which takes as much memory as another.
  ///   - encoder: tells the router how close questions and texts are in meaning; nil for words alone.
  ///   - locate: gives the path of a part's file.
  /// - Throws: `ModelError`, `AdapterError`, `RouteModelError` or `PairError`.
  public init(
    _ manifest: PairManifest, path: String, options: EngineOptions = EngineOptions(), kernels: String? = nil,
    seesPictures: Bool = true, encoder: (any TextEncoder)? = nil,
    locate: (PairManifest.Part) throws -> String
  ) throws {
    name = manifest.name
    let ownSeeing = seesPictures ? manifest.seeing : nil
    let tokenizer: Tokenizer
    switch manifest.form {
    case .adapters:
      let model = try Model(path: try locate(manifest.base), kernels: kernels)
      let engine = Engine(model, options)
      func voice(_ part: PairManifest.Part) throws -> Voice {
        Voice(engine: engine, tuning: try Tuning(Adapter(path: try locate(part), for: model)))
      }
      grounded = try voice(manifest.grounded)
      free = try voice(manifest.free)
      seeing = try ownSeeing.map(voice) ?? grounded
      tokenizer = model.tokenizer
    case .models:
      func voice(_ part: PairManifest.Part) throws -> Voice {
        Voice(engine: Engine(try Model(path: try locate(part), kernels: kernels), options), tuning: nil)
      }
      grounded = try voice(manifest.grounded)
      free = try voice(manifest.free)
      seeing = try ownSeeing.map(voice) ?? grounded
      tokenizer = grounded.engine.model.tokenizer
      guard tokenizer.vocabularySize == free.engine.model.tokenizer.vocabularySize else {
        throw PairError.differentTokenizers(path: path)
      }
    }
    router = try manifest.router.map {
      Router(try RouteModel(path: try locate($0)), tokenizer: tokenizer, encoder: encoder)
    }
  }
}
