/// A LoRA adapter (arXiv 2106.09685): what a training changed in a model, as a pair of small
/// matrices for each large one that it touched.
///
/// Read from GGUF files in the layout that llama.cpp's `convert_lora_to_gguf` writes: the metadata
/// `general.type` "adapter", `adapter.type` "lora" and `adapter.lora.alpha`, and for a matrix
/// `NAME.weight` the tensors `NAME.weight.lora_a` of [columns, rank] and `NAME.weight.lora_b` of
/// [rank, rows]. Immutable and safe to share: sessions of one engine may use several at once, and
/// each is freed when nobody uses it any more.
public final class Adapter: Sendable {
  /// The matrices of a layer that an adapter may touch.
  enum Site: Int, CaseIterable {
    case query, key, value, output, gate, up, down

    func matrix(_ layer: DecoderWeights.Layer) -> Matrix {
      switch self {
      case .query: layer.query
      case .key: layer.key
      case .value: layer.value
      case .output: layer.output
      case .gate: layer.gate
      case .up: layer.up
      case .down: layer.down
      }
    }
  }

  /// The path that was opened.
  public let path: String
  /// The model that is adapted.
  public let model: Model
  /// The largest rank of its pairs.
  public let rank: Int
  /// The alpha that it was trained with; changes are multiplied by alpha / rank. 0 for 1.
  public let alpha: Float
  /// A digest of names, shapes and values.
  package let digest: UInt64
  private let pairs: [[LowRank?]]  // [layers][sites]

  /// The name in the metadata, or else the file's.
  public let name: String
  /// Matrices that are changed.
  public var matrixCount: Int { pairs.reduce(0) { $0 + $1.count { $0 != nil } } }
  /// Bytes that the adapter takes in memory, what stays mapped aside.
  public var byteCount: Int { pairs.joined().reduce(0) { $0 + ($1?.byteCount ?? 0) } }

  /// Opens an adapter of `model` and copies its factors into memory, but for those that kernels can read in the file.
  ///
  /// - Parameters:
  ///   - path: a GGUF file.
  ///   - model: the model that it was trained on.
  ///   - isExact: keeps single precision, for comparisons; otherwise factors are stored in 8 bits.
  /// - Throws: `AdapterError`, which says what does not fit, and where.
  public convenience init(
    path: String, for model: Model, isExact: Bool = false
  ) throws(AdapterError) {
    let file: GGUFFile
    do { file = try GGUFFile(path: path) } catch { throw .file(error) }
    try self.init(file: file, for: model, isExact: isExact)
  }

  package init(file: GGUFFile, for model: Model, isExact: Bool) throws(AdapterError) {
    let reader = AdapterReader(file: file, model: model, isExact: isExact)
    alpha = try reader.checkMetadata()
    pairs = try reader.pairs()
    digest = reader.digest(alpha: alpha)
    rank = pairs.joined().reduce(0) { max($0, $1?.rank ?? 0) }
    path = file.path
    self.model = model
    name =
      (try? file.metadata.string("general.name")) ?? String(file.path.split(separator: "/").last ?? "adapter")
  }

  func pair(_ layer: Int, _ site: Site) -> LowRank? { pairs[layer][site.rawValue] }

  /// What the products of a pair are multiplied by.
  func factor(_ pair: LowRank, scale: Float) -> Float {
    alpha == 0 ? scale : scale * alpha / Float(pair.rank)
  }
}

/// Checks an adapter's file against the model, and reads it.
private struct AdapterReader {
  let file: GGUFFile
  let model: Model
  let isExact: Bool

  /// Ranks beyond those of any adapter are refused: buffers grow with them.
  private static let maximumRank = 4_096

  /// - Returns: alpha.
  func checkMetadata() throws(AdapterError) -> Float {
    do {
      let metadata = file.metadata
      guard try metadata.string("general.type") == "adapter" else {
        throw problem("its general.type is not \"adapter\"")
      }
      guard try metadata.string("adapter.type") == "lora" else {
        throw problem("its adapter.type is not \"lora\"")
      }
      guard metadata["adapter.alora.invocation_tokens"] == nil else {
        throw problem("it is to be active after certain tokens only, which is not supported")
      }
      let architecture = try metadata.required(
        "general.architecture", try metadata.string("general.architecture"))
      guard architecture == model.config.architecture else {
        throw AdapterError.otherArchitecture(
          path: file.path, adapter: architecture, model: model.config.architecture)
      }
      let alpha = try metadata.number("adapter.lora.alpha") ?? 0
      guard abs(alpha) <= 1e6 else { throw problem("its adapter.lora.alpha is \(alpha)") }
      return Float(alpha)
    } catch let error as GGUFError {
      throw .file(error)
    } catch let error as AdapterError {
      throw error
    } catch {
      throw .notAnAdapter(path: file.path, problem: "\(error)")
    }
  }

  private func problem(_ text: String) -> AdapterError { .notAnAdapter(path: file.path, problem: text) }

  func pairs() throws(AdapterError) -> [[LowRank?]] {
    var pairs: [[LowRank?]] = []
    var known: Set<String> = []
    for layer in model.core.weights.layers {
      var row: [LowRank?] = []
      for site in Adapter.Site.allCases {
        let matrix = site.matrix(layer)
        row.append(try pair(matrix))
        known.formUnion(["\(matrix.name).lora_a", "\(matrix.name).lora_b"])
      }
      pairs.append(row)
    }
    if let other = file.tensors.first(where: { !known.contains($0.name) }) {
      throw .unknownTensor(path: file.path, tensor: other.name)
    }
    guard !file.tensors.isEmpty else { throw problem("it changes nothing") }
    return pairs
  }

  /// Of matrices that a file holds as one (phi3's queries, keys and values), each gets the whole of `a`
  /// and rows of its own of `b`.
  private func pair(_ matrix: Matrix) throws(AdapterError) -> LowRank? {
    let name = matrix.name
    let a = file["\(name).lora_a"], b = file["\(name).lora_b"]
    if a == nil, b == nil { return nil }
    guard let a else { throw .missingHalf(path: file.path, tensor: "\(name).lora_a") }
    guard let b else { throw .missingHalf(path: file.path, tensor: "\(name).lora_b") }
    try checkShape(a, a.shape.first == matrix.columns, name, matrix)
    try checkShape(b, b.shape.last == matrix.tensorRows, name, matrix)
    guard a.shape[1] == b.shape[0], a.shape[1] <= Self.maximumRank else {
      throw .rankMismatch(path: file.path, tensor: name, a: a.shape, b: b.shape)
    }
    let rank = a.shape[1], whole = try values(b, in: matrix.rowOrder)
    let rows = Array(whole[matrix.firstRow * rank..<(matrix.firstRow + matrix.rows) * rank])
    let first = try values(a)
    if !isExact, a.type == .q8_0, a.rowOrder == .asNamed, let mapped = try? Matrix(a) {
      return LowRank(mapped: mapped, b: rows)
    }
    return LowRank(a: first, b: rows, rank: rank, isExact: isExact, model.core.operations)
  }

  private func checkShape(
    _ tensor: TensorInfo, _ fits: Bool, _ name: String, _ matrix: Matrix
  ) throws(AdapterError) {
    guard tensor.shape.count == 2, fits else {
      throw .wrongShape(
        path: file.path, tensor: tensor.name, shape: tensor.shape, base: name,
        baseShape: [matrix.columns, matrix.tensorRows])
    }
  }

  private func values(_ tensor: TensorInfo, in order: RowOrder = .asNamed) throws(AdapterError) -> [Float] {
    let matrix: Matrix
    do { matrix = try Matrix(tensor) } catch { throw .file(error) }
    let buffer = FloatBuffer(count: matrix.rows * matrix.columns)
    for row in 0..<matrix.rows {
      model.core.operations.dequantize(
        matrix, row: row, out: buffer, at: order.stored(row, of: matrix.rows) * matrix.columns)
    }
    let values = buffer.array(0..<buffer.count)
    // A half-precision scale of 127 steps holds what is below.
    guard values.allSatisfy({ abs($0) < 8e6 }) else {
      throw .notFinite(path: file.path, tensor: tensor.name)
    }
    return values
  }

  func digest(alpha: Float) -> UInt64 {
    var digest = Digest(seed: isExact ? 1 : 0)
    digest.add(UInt64(alpha.bitPattern))
    for tensor in file.tensors {
      digest.add(tensor.name)
      digest.add(UInt64(tensor.type.rawValue))
      for size in tensor.shape { digest.add(UInt64(size)) }
      tensor.file.withBytes(tensor.range) { digest.update($0) }
    }
    return digest.value
  }
}
