import DuetRuntime

/// How much the columns of each weight matrix matter: the mean squares of the inputs that they are
/// multiplied by, in a calibration text.
///
/// Files are GGUF in llama.cpp's layout (tools/imatrix, version of 2026): for each tensor the sums of
/// squares, `NAME.in_sum2` [columns, experts], and how many inputs went in, `NAME.counts` [1, experts].
public struct ImportanceMatrix: Sendable {
  /// Sums of squares of one tensor's inputs.
  struct Entry: Sendable {
    var sums: [Float]  // [experts, columns]
    var counts: [Float]  // [experts]
  }

  /// Where it was read from, for messages.
  public let path: String
  var entries: [String: Entry] = [:]
  /// The names of the tensors in the order in which they were collected.
  private(set) var names: [String] = []

  init(path: String) { self.path = path }

  /// Reads a file.
  ///
  /// - Throws: `QuantizerError`, naming the tensor at fault.
  public init(reading path: String) throws(QuantizerError) {
    self.path = path
    let file: GGUFFile
    do { file = try GGUFFile(path: path) } catch { throw .source(error) }
    for tensor in file.tensors where tensor.name.hasSuffix(Self.sumsSuffix) {
      let name = String(tensor.name.dropLast(Self.sumsSuffix.count))
      guard let counts = file[name + Self.countsSuffix], tensor.type == .f32, counts.type == .f32,
        counts.elementCount == tensor.rows
      else { throw .importance(path: path, tensor: name, problem: "has no counts that fit its sums") }
      let entry = Entry(sums: Self.floats(tensor), counts: Self.floats(counts))
      guard (entry.sums + entry.counts).allSatisfy({ $0.isFinite && $0 >= 0 }) else {
        throw .importance(path: path, tensor: name, problem: "has sums that are negative or not finite")
      }
      set(name, entry)
    }
    guard !names.isEmpty else {
      throw .importance(path: path, tensor: "the file", problem: "has no sums of squares")
    }
  }

  private static let sumsSuffix = ".in_sum2"
  private static let countsSuffix = ".counts"

  private static func floats(_ tensor: TensorInfo) -> [Float] {
    tensor.file.bytes(tensor.range).floats
  }

  mutating func set(_ name: String, _ entry: Entry) {
    if entries.updateValue(entry, forKey: name) == nil { names.append(name) }
  }

  /// Tensors that something is known of.
  public var tensorCount: Int { names.count }

  /// The mean squares of the inputs of each column, or nil where nothing is known of the tensor.
  public func meanSquares(_ name: String) -> [Float]? {
    guard let entry = entries[name], !entry.counts.isEmpty else { return nil }
    let columns = entry.sums.count / entry.counts.count
    return entry.sums.indices.map { index in
      let count = entry.counts[index / max(1, columns)]
      return count > 0 ? entry.sums[index] / count : 1
    }
  }

  /// What the square of each column's error counts: mean squares, their mean scaled to 1, and none so
  /// small that its column would not matter at all. Of a matrix that is used by other inputs than its
  /// columns (the embedding), nothing is known.
  func weights(_ tensor: TensorInfo) -> FloatBuffer? {
    guard let squares = meanSquares(tensor.name), squares.count % tensor.columns == 0 else { return nil }
    let mean = squares.reduce(0.0) { $0 + Double($1) } / Double(squares.count)
    guard mean > 0, mean.isFinite else { return nil }
    return FloatBuffer(squares.map { Float(Double($0) / mean) + 1e-4 })
  }

  /// Refuses a matrix of another model.
  func check(_ file: GGUFFile) throws(QuantizerError) {
    var known = 0
    for tensor in file.tensors where QuantizationPlan.isQuantizable(tensor) {
      guard let entry = entries[tensor.name] else { continue }
      known += 1
      let slices = tensor.shape.count > 2 ? tensor.shape[2] : 1
      guard entry.sums.count == tensor.columns || entry.sums.count == tensor.columns * slices else {
        throw .importance(
          path: path, tensor: tensor.name,
          problem: "has \(entry.sums.count) sums, where the tensor has \(tensor.columns) columns")
      }
    }
    guard known > 0 else {
      throw .importance(path: path, tensor: "the file", problem: "knows none of the model's tensors")
    }
  }

  /// Writes a file that this and GGUF's other tools read.
  ///
  /// - Parameters:
  ///   - path: of the file.
  ///   - datasets: the names of the calibration texts.
  ///   - chunks: the windows that were read, and the tokens of each.
  ///   - replaces: whether a file that is there already may be replaced.
  /// - Throws: `QuantizerError.output`.
  public func write(
    to path: String, datasets: [String], chunks: (count: Int, tokens: Int), replaces: Bool
  ) throws(QuantizerError) {
    let pairs: [(key: String, value: GGUFValue)] = [
      ("general.type", .string("imatrix")),
      ("imatrix.datasets", .array(GGUFArray(strings: datasets))),
      ("imatrix.chunk_count", .integer(chunks.count, .uint32)),
      ("imatrix.chunk_size", .integer(chunks.tokens, .uint32)),
    ]
    let sorted = names.sorted()
    var plans: [TensorPlan] = []
    for name in sorted {
      guard let entry = entries[name] else { continue }
      let experts = entry.counts.count
      plans.append(
        TensorPlan(name: name + Self.sumsSuffix, shape: [entry.sums.count / experts, experts], type: .f32))
      plans.append(TensorPlan(name: name + Self.countsSuffix, shape: [1, experts], type: .f32))
    }
    do {
      let writer = try GGUFWriter(path: path, metadata: pairs, tensors: plans, replaces: replaces)
      for name in sorted {
        guard let entry = entries[name] else { continue }
        try writer.write(entry.sums.span)
        try writer.write(entry.counts.span)
      }
      try writer.finish()
    } catch { throw .output(error) }
  }
}

extension [UInt8] {
  /// The bytes as little-endian single-precision numbers.
  var floats: [Float] {
    var values: [Float] = []
    values.reserveCapacity(count / 4)
    for start in stride(from: 0, to: count - 3, by: 4) {
      let bits = UInt32(self[start]) | UInt32(self[start + 1]) << 8 | UInt32(self[start + 2]) << 16
      values.append(Float(bitPattern: bits | UInt32(self[start + 3]) << 24))
    }
    return values
  }
}
