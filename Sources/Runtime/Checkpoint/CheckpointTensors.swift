/// Gives the tensors of a checkpoint the names that GGUF has for them, and makes those whose values
/// change.
struct CheckpointTensors {
  let folder: String
  let config: CheckpointConfig
  let family: CheckpointFamily
  private var tensors: [TensorInfo] = []
  private var names: Set<String> = []
  /// Vectors that no file holds as they are.
  private var made: [(name: String, values: [Float])] = []

  init(folder: String, config: CheckpointConfig, family: CheckpointFamily) {
    self.folder = folder
    self.config = config
    self.family = family
  }

  /// What names may begin with: the classes nest the decoder differently.
  private static let prefixes = [
    "model.language_model.", "model.text_model.", "language_model.model.", "language_model.", "model.",
    "bert.",
  ]
  /// The parts of models that read images, which are files of their own in GGUF, and tables that are
  /// computed.
  private static let ignored = [
    "vision_tower.", "multi_modal_projector.", "vision_model.", "connector.",
  ].flatMap { [$0, "model." + $0] }

  /// Adds a tensor of one of the files.
  mutating func add(_ tensor: TensorInfo) throws(CheckpointError) {
    guard !isIgnored(tensor.name) else { return }
    let name =
      Self.prefixes.first(where: tensor.name.hasPrefix).map { tensor.name.dropFirst($0.count) }
      ?? tensor.name[...]
    let (stem, suffix) = Self.split(name)
    guard let (target, change) = family.target(String(stem)) else {
      throw .tensor(
        path: folder, tensor: tensor.name, problem: "is not known in the architecture \(family.architecture)")
    }
    let full = target + suffix
    guard names.insert(full).inserted else {
      throw .tensor(path: folder, tensor: tensor.name, problem: "occurs twice")
    }
    if change == .addOne { return made.append((full, try Self.floats(tensor).map { $0 + 1 })) }
    tensors.append(
      TensorInfo(
        name: full, shape: tensor.shape, type: tensor.type, range: tensor.range, file: tensor.file,
        rowOrder: try rowOrder(change, tensor)))
  }

  private func isIgnored(_ name: String) -> Bool {
    name.hasSuffix(".rotary_emb.inv_freq") || Self.ignored.contains(where: name.hasPrefix)
      || family.ignored.contains(where: name.hasPrefix)
  }

  /// The name without and its end with `.weight` or `.bias`, which older files call otherwise.
  private static func split(_ name: Substring) -> (Substring, String) {
    let ends = [(".weight", ".weight"), (".bias", ".bias"), (".gamma", ".weight"), (".beta", ".bias")]
    for (end, suffix) in ends where name.hasSuffix(end) { return (name.dropLast(end.count), suffix) }
    return (name, "")
  }

  private func rowOrder(_ change: TensorChange, _ tensor: TensorInfo) throws(CheckpointError) -> RowOrder {
    let heads: Int
    switch change {
    case .none, .addOne: return .asNamed
    case .interleaveQueries: heads = try config.headCount
    case .interleaveKeys: heads = try config.keyValueHeadCount
    }
    let rows = tensor.shape.count == 1 ? tensor.columns : tensor.rows
    guard rows % (2 * heads) == 0 else {
      throw .tensor(
        path: folder, tensor: tensor.name,
        problem: "has \(rows) rows, which are no \(heads) heads of even size")
    }
    return .halves(heads: heads)
  }

  /// The values of a vector.
  static func floats(_ tensor: TensorInfo) throws(CheckpointError) -> [Float] {
    guard tensor.elementCount <= 1 << 20 else {
      throw .tensor(path: tensor.file.path, tensor: tensor.name, problem: "is too large for a norm")
    }
    return tensor.file.withBytes(tensor.range) { bytes in
      (0..<tensor.elementCount).map { index in
        switch tensor.type {
        case .f16: Float(Float16(bitPattern: bytes.littleEndian(UInt16.self, at: 2 * index)))
        case .bf16: Float(bitPattern: UInt32(bytes.littleEndian(UInt16.self, at: 2 * index)) << 16)
        default: Float(bitPattern: bytes.littleEndian(UInt32.self, at: 4 * index))
        }
      }
    }
  }

  /// All tensors, those of the files first, and the memory that holds the others.
  func finished() throws(CheckpointError) -> ([TensorInfo], MappedFile?) {
    try Self.joined(tensors, made + family.made(config).map { ($0.name, $0.values) }, folder: folder)
  }

  /// Tensors of files, then vectors, and the memory that holds these.
  static func joined(
    _ tensors: [TensorInfo], _ vectors: [(name: String, values: [Float])], folder: String
  ) throws(CheckpointError) -> ([TensorInfo], MappedFile?) {
    guard !vectors.isEmpty else { return (tensors, nil) }
    var bytes: [UInt8] = []
    for (_, values) in vectors {
      for value in values { bytes.append(littleEndian: value.bitPattern) }
    }
    let memory: MappedFile
    do { memory = try MappedFile(path: folder, bytes: bytes) } catch { throw .file(error) }
    var start = 0
    let infos = vectors.map { name, values in
      defer { start += 4 * values.count }
      return TensorInfo(
        name: name, shape: [values.count], type: .f32, range: start..<start + 4 * values.count, file: memory)
    }
    return (tensors + infos, memory)
  }
}

extension CheckpointFamily {
  /// GGUF's name of a weight or bias, without its end, and what becomes of its values.
  func target(_ stem: String) -> (String, TensorChange)? {
    if let rule = tensors.first(where: { $0.from == stem }) { return (rule.to, rule.change) }
    guard let layer = CheckpointLayer(stem), let rule = layers.first(where: { $0.from == layer.rest })
    else { return nil }
    return ("blk.\(layer.index).\(rule.to)", rule.change)
  }
}

/// `layers.N.rest`.
private struct CheckpointLayer {
  let index: Int
  let rest: String

  init?(_ stem: String) {
    for prefix in ["layers.", "encoder.layer."] where stem.hasPrefix(prefix) {
      let parts = stem.dropFirst(prefix.count).split(separator: ".", maxSplits: 1)
      guard parts.count == 2, let index = Int(parts[0]), (0..<65_536).contains(index) else { return nil }
      self.index = index
      rest = String(parts[1])
      return
    }
    return nil
  }
}

extension Operations {
  /// Rows of a tensor as floats, in GGUF's order: `out[i, :]` is row `rows[i]`. O(rows * columns).
  ///
  /// - Throws: `GGUFError.unknownTensorType` for types that are no weights.
  package func floats(
    of tensor: TensorInfo, rows: Range<Int>, out: FloatBuffer, at offset: Int = 0
  ) throws(GGUFError) {
    let matrix = try Matrix(tensor)
    guard case .halves = tensor.rowOrder, tensor.rows == 1 else {
      for (index, row) in rows.enumerated() {
        let stored = tensor.rowOrder.stored(row, of: tensor.rows)
        dequantize(matrix, row: stored, out: out, at: offset + index * tensor.columns)
      }
      return
    }
    let values = FloatBuffer(count: tensor.columns)
    dequantize(matrix, row: 0, out: values, at: 0)
    for index in 0..<tensor.columns {
      out[offset + index] = values[tensor.rowOrder.stored(index, of: tensor.columns)]
    }
  }
}
