import DuetRuntime

extension Trainer {
  /// Writes what was trained together with its encoder: an mmproj GGUF file.
  ///
  /// - Parameters:
  ///   - path: of the file, which appears when it is complete.
  ///   - encoder: whose features the projector was trained on; its tensors are copied.
  ///   - name: what the file is called.
  ///   - question: what the model was asked about each picture.
  /// - Throws: `TrainingError`.
  public func writeProjector(
    _ path: String, encoder: GGUFFile, name: String, question: String
  ) throws(TrainingError) {
    guard let projector = trained.projector else {
      throw .adapter(path: path, problem: "only a training with pictures makes a projector")
    }
    let width = trained.config.embeddingLength
    let own: [String: GGUFValue] = [
      "general.name": .string(name), "clip.vision.projection_dim": .integer(width, .uint32),
      InputEmbeddings.questionKey: .string(question),
    ]
    let kept = encoder.metadata.keys.filter { own[$0] == nil }.compactMap { key in
      encoder.metadata[key].map { (key: key, value: $0) }
    }
    let copied = encoder.tensors.filter { !$0.name.hasPrefix("mm.") }
    let plans =
      copied.map { TensorPlan(name: $0.name, shape: $0.shape, type: $0.type) }
      + projector.parameters.map {
        TensorPlan(name: $0.name, shape: $0.shape, type: $0.shape.count > 1 ? .f16 : .f32)
      }
    do {
      let writer = try GGUFWriter(
        path: path, metadata: kept + own.sorted { $0.key < $1.key }.map { (key: $0.key, value: $0.value) },
        tensors: plans)
      for tensor in copied {
        try tensor.file.withBytes(tensor.range) { (bytes) throws(GGUFWriteError) in try writer.write(bytes) }
      }
      for parameter in projector.parameters {
        let values = parameter.value
        if parameter.shape.count > 1 {
          try writer.write(values.array(0..<values.count).flatMap(Self.half))
        } else {
          try values.withSpan(0..<values.count) { try writer.write($0) }
        }
      }
      try writer.finish()
    } catch let error as GGUFWriteError {
      throw .file(error)
    } catch {
      throw .adapter(path: path, problem: "\(error)")
    }
  }

  /// The values between the layers of the projector that a file has; nil where it has none.
  public static func projectorWidth(_ file: GGUFFile) -> Int? { file["mm.0.weight"]?.rows }

  /// Takes the first values of the projector from a file, instead of drawing them.
  ///
  /// - Throws: `TrainingError.adapter` where they do not fit.
  public func start(projectorFrom file: GGUFFile) throws(TrainingError) {
    for parameter in trained.projector?.parameters ?? [] {
      try trained.read(parameter.name, from: file, into: parameter.value, parameter.shape)
    }
  }

  private static func half(_ value: Float) -> [UInt8] {
    let bits = Float16(value).bitPattern
    return [UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)]
  }
}
