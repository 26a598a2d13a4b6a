import DuetRuntime

/// Reads calibration text with a model, and sums up the squares of what its weight matrices are
/// multiplied by.
public struct ImportanceCollector {
  /// Tokens that are read at once, each window by itself.
  public var window = 512
  /// The most windows that are read; nil for the whole text.
  public var windows: Int?
  /// What weights are multiplied by.
  public var activations = ActivationType.float32
  /// Threads that compute; nil for one per core.
  public var threads: Int?

  /// Windows of 512 tokens in single precision.
  public init() {}

  /// Collects the statistics of every matrix of the layers.
  ///
  /// - Parameters:
  ///   - model: the model, best the one that is going to be quantized.
  ///   - tokens: the text; what does not fill a window is left out, unless it is all.
  ///   - progress: called with the tokens read and in all.
  /// - Throws: `CancellationError` when the task is cancelled; `QuantizerError.importance` when the
  ///   model computes what is not finite.
  public func collect(
    _ model: Model, tokens: [Int32], progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> ImportanceMatrix {
    let pool = ThreadPool(threadCount: threads ?? processorCount())
    let decoder = Decoder(model.core, pool: pool, capacity: min(window, 256), precision: activations)
    let sums = SquareSums(tier: model.kernels)
    decoder.observer = { matrices, inputs, count in sums.add(matrices, inputs, tokens: count) }
    let pieces = Self.pieces(tokens, window: window, most: windows)
    let total = pieces.reduce(0) { $0 + $1.count }
    var done = 0
    for piece in pieces {
      var piece = Array(piece)
      // As llama.cpp does: the window keeps its length.
      if model.tokenizer.addsBeginning, let beginning = model.tokenizer.beginningOfText {
        piece[0] = beginning
      }
      let sequence = CachedSequence(layout: model.core.cacheLayout(.f32), salt: 0)
      for start in stride(from: 0, to: piece.count, by: decoder.capacity) {
        try Task.checkCancellation()
        let part = piece[start..<min(piece.count, start + decoder.capacity)]
        _ = decoder.forward([DecoderStep(sequence, part, logits: .none)])
        done += part.count
        progress(done, total)
      }
    }
    return try sums.matrix(path: model.file.path)
  }

  /// The windows that are read of a text of so many tokens.
  public func windowCount(_ tokens: Int) -> Int {
    let whole = max(1, tokens / window)
    return min(whole, windows ?? whole)
  }

  static func pieces(_ tokens: [Int32], window: Int, most: Int?) -> [ArraySlice<Int32>] {
    let whole = tokens.count / window
    guard whole > 0 else { return tokens.isEmpty ? [] : [tokens[...]] }
    return (0..<min(whole, most ?? whole)).map { tokens[$0 * window..<($0 + 1) * window] }
  }
}

/// Sums of squares by the name of the matrix.
private final class SquareSums {
  private var sums: [String: FloatBuffer] = [:]
  private var counts: [String: Int] = [:]
  private var names: [String] = []
  private let encoder: Encoder?

  init(tier: String) { encoder = try? Encoder(tier: tier) }

  func add(_ matrices: [Matrix], _ inputs: Activations, tokens: Int) {
    for matrix in matrices where matrix.name.hasPrefix("blk.") {
      let sum = buffer(matrix)
      for token in 0..<tokens { encoder?.addSquares(inputs.values, inputs.range(token), to: sum) }
      counts[matrix.name, default: 0] += tokens
    }
  }

  private func buffer(_ matrix: Matrix) -> FloatBuffer {
    if let known = sums[matrix.name] { return known }
    let made = FloatBuffer(Array(repeating: Float(0), count: matrix.columns))
    sums[matrix.name] = made
    names.append(matrix.name)
    return made
  }

  func matrix(path: String) throws(QuantizerError) -> ImportanceMatrix {
    var matrix = ImportanceMatrix(path: path)
    for name in names {
      guard let sum = sums[name], let count = counts[name] else { continue }
      let values = sum.array(0..<sum.count)
      guard values.allSatisfy(\.isFinite) else {
        throw .importance(path: path, tensor: name, problem: "has inputs that are infinite or NaN")
      }
      matrix.set(name, ImportanceMatrix.Entry(sums: values, counts: [Float(count)]))
    }
    return matrix
  }
}
