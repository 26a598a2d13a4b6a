import DuetRuntime

extension TrainableModel {
  /// Writes the low-rank changes as a GGUF adapter, in the layout that llama.cpp reads.
  ///
  /// - Parameters:
  ///   - path: of the file, which appears when it is complete.
  ///   - name: what the adapter is called.
  ///   - replaces: whether a file that is there may be replaced.
  ///   - isReproducible: whether the file can be made again at any time.
  /// - Throws: `TrainingError`.
  package func writeAdapter(
    _ path: String, name: String, replaces: Bool = true, isReproducible: Bool = false
  ) throws(TrainingError) {
    guard let options = method.lora else {
      throw .adapter(path: path, problem: "only a training by LoRA makes an adapter")
    }
    let metadata: [(key: String, value: GGUFValue)] = [
      ("general.type", .string("adapter")), ("general.architecture", .string(config.architecture)),
      ("general.name", .string(name)), ("adapter.type", .string("lora")),
      ("adapter.lora.alpha", .float(Double(options.alpha), .float32)),
    ]
    try write(
      decoderParameters.map { ($0.name, $0.shape, $0.value) }, metadata, path, replaces: replaces,
      isReproducible: isReproducible)
  }

  private func write(
    _ tensors: [(name: String, shape: [Int], values: FloatBuffer)],
    _ metadata: [(key: String, value: GGUFValue)], _ path: String, replaces: Bool,
    isReproducible: Bool
  ) throws(TrainingError) {
    do {
      let writer = try GGUFWriter(
        path: path, metadata: metadata,
        tensors: tensors.map { TensorPlan(name: $0.name, shape: $0.shape, type: .f32) }, replaces: replaces)
      for tensor in tensors {
        try tensor.values.withSpan(0..<tensor.values.count) { try writer.write($0) }
      }
      try writer.finish(isReproducible: isReproducible)
    } catch let error as GGUFWriteError {
      throw .file(error)
    } catch {
      throw .adapter(path: path, problem: "\(error)")
    }
  }

  /// Takes the first factors from an adapter of the same shape, instead of drawing them.
  ///
  /// - Throws: `TrainingError.adapter` where it does not fit.
  package func readAdapter(_ path: String) throws(TrainingError) {
    let file: GGUFFile
    do { file = try GGUFFile(path: path) } catch { throw .adapter(path: path, problem: "\(error)") }
    guard let options = method.lora else {
      throw .adapter(path: path, problem: "only a training by LoRA starts from an adapter")
    }
    if let alpha = (try? file.metadata.number("adapter.lora.alpha")) ?? nil, Float(alpha) != options.alpha {
      throw .adapter(path: path, problem: "its alpha is \(alpha), where --alpha is \(options.alpha)")
    }
    for parameter in decoderParameters {
      try read(parameter.name, from: file, into: parameter.value, parameter.shape)
    }
    invalidate()
  }

  func read(
    _ name: String, from file: GGUFFile, into buffer: FloatBuffer, _ shape: [Int]
  ) throws(TrainingError) {
    do {
      let matrix = try Matrix(file.tensor(name, shape: shape))
      for row in 0..<matrix.rows {
        operations.dequantize(matrix, row: row, out: buffer, at: row * matrix.columns)
      }
    } catch {
      throw .adapter(path: file.path, problem: "\(error)")
    }
  }
}

extension Trainer {
  /// Writes a checkpoint: everything that the run needs to go on, in one file that is replaced at
  /// once.
  ///
  /// - Throws: `TrainingError.file`.
  public func writeCheckpoint(_ path: String, identity: [(name: String, value: String)]) throws(TrainingError)
  {
    let all = fullIdentity(identity)
    var metadata: [(key: String, value: GGUFValue)] = [
      ("general.type", .string("training checkpoint")),
      ("training.step", .integer(step, .uint64)), ("training.tokens", .integer(tokens, .uint64)),
      ("training.identity", .array(GGUFArray(strings: all.flatMap { [$0.name, $0.value] }))),
    ]
    if let best {
      metadata.append(("training.best_loss", .float(best.loss, .float64)))
      metadata.append(("training.best_step", .integer(best.step, .uint64)))
    }
    do {
      let plans = trained.parameters.indices.flatMap { index in
        ["value", "mean", "square"].map {
          TensorPlan(name: "\(index).\($0)", shape: trained.parameters[index].shape, type: .f32)
        }
      }
      let writer = try GGUFWriter(path: path, metadata: metadata, tensors: plans)
      for parameter in trained.parameters {
        for buffer in [parameter.value, parameter.mean, parameter.square] {
          try buffer.withSpan(0..<buffer.count) { try writer.write($0) }
        }
      }
      try writer.finish()
    } catch let error as GGUFWriteError {
      throw .file(error)
    } catch {
      throw .checkpoint(path: path, problem: "\(error)")
    }
  }

  private func fullIdentity(_ more: [(name: String, value: String)]) -> [(name: String, value: String)] {
    options.identity
      + [
        ("the steps", "\(steps)"), ("the data", "\(data.digest)"),
        ("the held-out data", "\(heldOut?.digest ?? 0)"), ("the base", trained.model.identity),
      ] + more
  }

  /// Goes on from a checkpoint.
  ///
  /// - Throws: `TrainingError.checkpoint` where it belongs to another run, which it says how.
  public func resume(_ path: String, identity: [(name: String, value: String)]) throws(TrainingError) {
    let file: GGUFFile
    do { file = try GGUFFile(path: path) } catch { throw .checkpoint(path: path, problem: "\(error)") }
    try compare(file, fullIdentity(identity))
    do {
      let metadata = file.metadata
      let step = try metadata.required(
        "training.step", try metadata.integer("training.step", in: 0...Int.max))
      let tokens = try metadata.required("training.tokens", try metadata.integer("training.tokens"))
      var best: (loss: Double, step: Int)?
      if let loss = try metadata.number("training.best_loss") {
        best = (loss, try metadata.integer("training.best_step") ?? 0)
      }
      for (index, parameter) in trained.parameters.enumerated() {
        let parts = [("value", parameter.value), ("mean", parameter.mean), ("square", parameter.square)]
        for (part, buffer) in parts {
          try trained.read("\(index).\(part)", from: file, into: buffer, parameter.shape)
        }
      }
      restore(step: step, tokens: tokens, best: best)
    } catch let error as TrainingError {
      throw error
    } catch {
      throw .checkpoint(path: path, problem: "\(error)")
    }
  }

  private func compare(
    _ file: GGUFFile, _ expected: [(name: String, value: String)]
  ) throws(TrainingError) {
    let stored = (try? file.metadata.array("training.identity", of: [.string]))??.strings() ?? []
    guard stored.count == 2 * expected.count else {
      throw .checkpoint(path: file.path, problem: "it is no checkpoint of such a run; give another --out")
    }
    for (index, pair) in expected.enumerated() where stored[2 * index + 1] != pair.value {
      throw .checkpoint(
        path: file.path,
        problem:
          "\(pair.name) was \(stored[2 * index + 1]) and is \(pair.value) now; use the same, or start anew"
      )
    }
  }
}

extension TrainingData {
  /// Of all tokens and weights: FNV-1a of 64 bits. O(tokens).
  var digest: UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for example in examples {
      for (token, weight) in zip(example.tokens, example.weights) {
        hash = (hash ^ UInt64(UInt32(bitPattern: token))) &* 0x100_0000_01b3
        hash = (hash ^ UInt64(weight.bitPattern)) &* 0x100_0000_01b3
      }
    }
    return hash
  }
}

extension Model {
  /// What tells a base from others: names, types and sizes, and some of the bytes of each tensor.
  var identity: String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for tensor in file.tensors {
      for byte in tensor.name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
      hash = (hash ^ UInt64(tensor.type.rawValue)) &* 0x100_0000_01b3
      hash = (hash ^ UInt64(tensor.range.count)) &* 0x100_0000_01b3
      let start = tensor.range.lowerBound
      for byte in tensor.file.bytes(start..<min(tensor.range.upperBound, start + 64)) {
        hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
      }
    }
    return "\(name) (\(String(hash, radix: 16)))"
  }
}

extension Trainer {
  /// Numbers that are trained.
  public var trainedCount: Int { trained.trainedCount }

  /// Writes what is trained: an adapter, or the whole model.
  ///
  /// - Throws: `TrainingError`.
  public func writeTuning(_ path: String, name: String) throws(TrainingError) {
    switch trained.method {
    case .full: try trained.writeModel(path)
    case .lora: try trained.writeAdapter(path, name: name)
    case .projector(let options):
      if options.lora == nil {
        throw .adapter(path: path, problem: "a projector is written beside its encoder")
      }
      try trained.writeAdapter(path, name: name)
    }
  }

  /// Takes the first low-rank factors from an adapter.
  ///
  /// - Throws: `TrainingError.adapter` where it does not fit.
  public func start(from path: String) throws(TrainingError) { try trained.readAdapter(path) }
}

extension TrainableModel {
  /// Writes the model with its trained weights, all in single precision.
  ///
  /// - Throws: `TrainingError`.
  package func writeModel(_ path: String) throws(TrainingError) {
    let file = model.file
    let names = Dictionary(parameters.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let metadata = file.metadata.keys.compactMap { key in
      file.metadata[key].map { (key: key, value: key == "general.file_type" ? .integer(0, .uint32) : $0) }
    }
    let plans = file.tensors.map { tensor in
      TensorPlan(name: tensor.name, shape: tensor.shape, type: names[tensor.name] == nil ? tensor.type : .f32)
    }
    do {
      let writer = try GGUFWriter(path: path, metadata: metadata, tensors: plans)
      for tensor in file.tensors {
        if let parameter = names[tensor.name] {
          try parameter.value.withSpan(0..<parameter.count) { try writer.write($0) }
        } else {
          try tensor.file.withBytes(tensor.range) { (bytes) throws(GGUFWriteError) in try writer.write(bytes)
          }
        }
      }
      try writer.finish()
    } catch let error as GGUFWriteError {
      throw .file(error)
    } catch {
      throw .adapter(path: path, problem: "\(error)")
    }
  }
}
