/// A model file, opened: its weights mapped, its vocabulary and chat template at hand.
///
/// Immutable and safe to share. Opening reads the header only; the vocabulary's tables are built
/// when the first text is encoded.
///
///     let model = try Model(path: "SmolLM2-135M-Instruct.Q4_1.gguf")
///     let session = Session(Engine(model))
///     for try await text in session.reply(to: "What is the capital of France?") {
///       print(text, terminator: "")
///     }
public final class Model: Sendable {
  /// The file, with its metadata and tensors; a checkpoint folder is seen as one.
  public let file: GGUFFile
  /// How text becomes tokens.
  public let tokenizer: Tokenizer
  /// How the model wants conversations written; nil for a base model, which only continues text.
  public let template: ChatTemplate?
  package let core: ModelWeights

  /// The choices that make the decoder this model's.
  public var config: DecoderConfig { core.config }
  /// The name in the metadata, or else the file's.
  public var name: String {
    (try? file.metadata.string("general.name")) ?? String(file.path.split(separator: "/").last ?? "model")
  }
  /// Bytes of all weights.
  public var weightBytes: Int { file.tensors.reduce(0) { $0 + $1.range.count } }
  /// Values of all weights.
  public var parameterCount: Int { file.tensors.reduce(0) { $0 + $1.elementCount } }
  /// The tier of kernels chosen for this CPU.
  public var kernels: String { core.operations.name }

  /// Opens a GGUF file, or a checkpoint folder.
  ///
  /// - Parameters:
  ///   - path: of the file, of the first part of a split model, or of a folder as `Checkpoint` reads.
  ///   - kernels: a tier by name; nil for the fastest that runs here.
  /// - Throws: `ModelError`, which says what is wrong with the file, where, and what to do.
  public init(path: String, kernels: String? = nil) throws(ModelError) {
    let operations: Operations
    do { operations = try Operations(tier: kernels) } catch { throw .kernels(error) }
    file = try Self.file(path: path)
    core = try ModelWeights(file: file, operations: operations)
    do { tokenizer = try Tokenizer(metadata: file.metadata) } catch { throw .tokenizer(error) }
    template = try Self.template(file)
  }

  /// The GGUF file at `path`, or the checkpoint folder there in the form of one.
  ///
  /// - Throws: `ModelError.file` or `.checkpoint`.
  public static func file(path: String) throws(ModelError) -> GGUFFile {
    guard MappedFile.isFolder(path) else {
      do { return try GGUFFile(path: path) } catch { throw .file(error) }
    }
    do { return try Checkpoint(path: path).file } catch { throw .checkpoint(error) }
  }

  private static func template(_ file: GGUFFile) throws(ModelError) -> ChatTemplate? {
    let source: String?
    do { source = try file.metadata.string("tokenizer.chat_template") } catch { throw .file(error) }
    guard let source else { return nil }
    do { return try ChatTemplate(source: source) } catch { throw .template(path: file.path, error) }
  }
}
