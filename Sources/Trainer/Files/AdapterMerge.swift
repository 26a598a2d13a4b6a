import DuetRuntime

/// Adds an adapter to its base, as a model of its own.
public struct AdapterMerge {
  /// The base.
  public let model: Model
  /// The adapter's file.
  public let adapter: GGUFFile
  private let scale: Float
  private let alpha: Double

  /// Checks that the adapter fits the model.
  ///
  /// - Parameters:
  ///   - adapter: the path of a GGUF adapter.
  ///   - model: the base that it was trained on.
  ///   - scale: how much of it: 1 is as trained.
  /// - Throws: `TrainingError.adapter`.
  public init(_ adapter: String, into model: Model, scale: Float = 1) throws(TrainingError) {
    do {
      // Reads and checks every factor.
      alpha = Double(try Adapter(path: adapter, for: model, isExact: true).alpha)
      self.adapter = try GGUFFile(path: adapter)
    } catch { throw .adapter(path: adapter, problem: "\(error)") }
    self.model = model
    self.scale = scale
  }

  /// Writes the model: matrices that are changed in single precision, all others as they are.
  ///
  /// - Parameters:
  ///   - path: of the file, which appears when it is complete.
  ///   - replaces: whether a file that is there may be replaced.
  ///   - progress: called with the tensors done and in all.
  /// - Throws: `TrainingError`.
  /// - Complexity: O(parameters * rank).
  public func write(
    to path: String, replaces: Bool = false, progress: (Int, Int) -> Void = { _, _ in }
  ) throws(TrainingError) {
    let tensors = model.file.tensors
    let plans = tensors.map { tensor in
      TensorPlan(
        name: tensor.name, shape: tensor.shape, type: isChanged(tensor) ? .f32 : tensor.type)
    }
    let metadata = model.file.metadata.keys.compactMap { key in
      model.file.metadata[key].map {
        (key: key, value: key == "general.file_type" ? GGUFValue.integer(0, .uint32) : $0)
      }
    }
    do {
      let writer = try GGUFWriter(path: path, metadata: metadata, tensors: plans, replaces: replaces)
      for (index, tensor) in tensors.enumerated() {
        if isChanged(tensor) {
          try writeSum(tensor, writer)
        } else {
          try tensor.file.withBytes(tensor.range) { (bytes) throws(GGUFWriteError) in try writer.write(bytes)
          }
        }
        progress(index + 1, tensors.count)
      }
      try writer.finish()
    } catch let error as GGUFWriteError {
      throw .file(error)
    } catch {
      throw .adapter(path: adapter.path, problem: "\(error)")
    }
  }

  private func isChanged(_ tensor: TensorInfo) -> Bool { adapter["\(tensor.name).lora_a"] != nil }

  /// W + scale * alpha / rank * B A, row by row.
  private func writeSum(_ tensor: TensorInfo, _ writer: GGUFWriter) throws {
    guard let first = adapter["\(tensor.name).lora_a"], let second = adapter["\(tensor.name).lora_b"] else {
      return
    }
    let operations = model.core.operations, kernels = TrainingKernels(tier: model.kernels)
    let rank = first.rows, columns = tensor.columns
    let factor = scale * (alpha == 0 ? 1 : Float(alpha) / Float(rank))
    let base = try Matrix(tensor), a = try Matrix(first), b = try Matrix(second)
    let rowsOfA = FloatBuffer(count: rank * columns), row = FloatBuffer(count: columns)
    let weights = FloatBuffer(count: rank)
    for index in 0..<rank { operations.dequantize(a, row: index, out: rowsOfA, at: index * columns) }
    for index in 0..<tensor.rows {
      operations.dequantize(base, row: index, out: row, at: 0)
      operations.dequantize(b, row: index, out: weights, at: 0)
      for j in 0..<rank {
        kernels.add(rowsOfA, j * columns..<(j + 1) * columns, times: factor * weights[j], to: row, at: 0)
      }
      try row.withSpan(0..<columns) { try writer.write($0) }
    }
  }
}
