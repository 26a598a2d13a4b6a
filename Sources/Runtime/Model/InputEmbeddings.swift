/// Vectors that a model reads in the place of words: those of a picture.
///
/// In a sequence each is stood for by a negative number that follows from all of them, so that the cache
/// never takes one picture for another.
public final class InputEmbeddings: Sendable, Equatable {
  /// What an mmproj file of Duet's own calls the question that its projector was trained to have asked.
  package static let questionKey = "duet.vision.question"

  /// Values of a vector: the model's embedding length.
  public let width: Int
  /// What stands for each vector.
  package let tokens: [Int32]
  /// [count, width]
  package let values: FloatBuffer
  private let places: [Int32: Int]

  /// What a classifier takes the picture to show, the likeliest first: stands in words beside the vectors.
  public let things: [String]

  /// Vectors in the order in which they are read.
  ///
  /// - Parameters:
  ///   - values: [count, width], row after row.
  ///   - width: values of a vector.
  ///   - things: what the picture may show, in words.
  public init(_ values: [Float], width: Int, things: [String] = []) {
    precondition(width > 0 && values.count % width == 0, "the values are no whole vectors")
    self.width = width
    self.things = things
    self.values = FloatBuffer(values)
    var digest = Digest(seed: UInt64(width))
    for value in values { digest.add(UInt64(value.bitPattern)) }
    tokens = (0..<values.count / width).map { index in
      var own = digest
      own.add(UInt64(index))
      return -1 - Int32(truncatingIfNeeded: own.value & 0x3fff_ffff)
    }
    places = Dictionary(zip(tokens, tokens.indices), uniquingKeysWith: { first, _ in first })
  }

  /// The line that names the things; nil where none are known.
  package var hint: String? { things.isEmpty ? nil : "It may show: \(things.joined(separator: ", "))." }

  /// How many vectors there are.
  public var count: Int { tokens.count }

  /// Where in `values` the vector lies that `token` stands for; nil for another picture's.
  package func start(of token: Int32) -> Int? { places[token].map { $0 * width } }

  /// Whether both are the same object, which has been read once.
  public static func == (left: InputEmbeddings, right: InputEmbeddings) -> Bool { left === right }
}
