import DuetRuntime

/// Turns squares of a picture into embeddings: the encoder and projector of an mmproj GGUF file.
///
/// One square is encoded at a time; the object keeps the buffers for it.
public final class VisionEncoder {
  /// What makes squares of a picture for this encoder.
  public let processor: ImageProcessor
  /// Embeddings that a square becomes.
  public var tokenCount: Int { encoder.tokenCount }
  /// Values of an embedding.
  public var width: Int { encoder.width }
  /// What the projector was trained to have asked about pictures (`duet.vision.question`); nil where the file
  /// does not say.
  public let question: String?
  private let encoder: any SquareEncoder

  /// Maps the file and finds its weights.
  ///
  /// - Parameters:
  ///   - path: A GGUF file of the architecture `clip`.
  ///   - threads: How many work, all cores unless given.
  ///   - tier: The kernels by name, the fastest unless given.
  ///   - precision: What the quantized 1 x 1 convolutions of EfficientNet are multiplied by. Floats are
  ///     nearer to the original and faster; int8 takes a third of the memory.
  ///   - projects: Whether features of EfficientNet go through the file's projector, where it has one.
  /// - Throws: `VisionError`, naming the field or tensor at fault.
  public init(
    path: String, threads: Int? = nil, tier: String? = nil, precision: ActivationType = .float32,
    projects: Bool = true
  ) throws(VisionError) {
    let file: GGUFFile, operations: Operations
    do { file = try GGUFFile(path: path) } catch { throw .file(error) }
    do { operations = try Operations(tier: tier) } catch { throw .kernels(error) }
    let pool = ThreadPool(threadCount: threads ?? processorCount())
    let fields = try VisionFields(file)
    processor = try fields.processor()
    question = (try? file.metadata.string(InputEmbeddings.questionKey)) ?? nil
    switch fields.projector {
    case .efficientNet:
      encoder = try EfficientNet(
        fields, LayerRunner(operations, pool), precision: precision, projects: projects)
    case .mlp, .idefics3, .gemma3: encoder = try VisionTransformer(fields, LayerRunner(operations, pool))
    }
  }

  /// The embeddings of a square of the processor's side, [tokens, width].
  public func encode(_ square: Bitmap) -> [Float] { encode(values: processor.normalized(square)) }

  /// What a model reads in place of a picture: the embeddings of its squares, one after the other, and what it may
  /// show in words where the file has a classifier.
  public func embeddings(of picture: Bitmap) -> InputEmbeddings {
    let squares = processor.frames(picture).squares.map { encoder.encode(processor.normalized($0)) }
    return InputEmbeddings(
      squares.flatMap(\.embeddings), width: width, things: squares.count == 1 ? squares[0].things : [])
  }

  /// The same from normalized values, [side, side, 3].
  package func encode(values: [Float]) -> [Float] {
    precondition(values.count == processor.side * processor.side * 3, "the square has another size")
    return encoder.encode(values).embeddings
  }
}

/// An encoder of one square.
protocol SquareEncoder {
  var tokenCount: Int { get }
  var width: Int { get }
  /// [side, side, 3] to [tokens, width], and what a classifier takes the square to show.
  func encode(_ values: [Float]) -> (embeddings: [Float], things: [String])
}
