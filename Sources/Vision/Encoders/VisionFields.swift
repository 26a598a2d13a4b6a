import DuetRuntime

/// Reads the metadata of an mmproj file, named as llama.cpp does, each value within its limits.
struct VisionFields {
  /// What turns the encoder's results into embeddings of the language model.
  enum Projector: String {
    /// LLaVA 1.5: two layers (arXiv 2310.03744).
    case mlp
    /// Idefics 3 and SmolVLM: neighbouring patches side by side, then one layer.
    case idefics3
    /// Gemma 3: means of neighbouring patches, a norm, one layer.
    case gemma3
    /// EfficientNet-Lite features, through two layers where the file has them.
    case efficientNet = "efficientnet"
  }

  let file: GGUFFile
  let projector: Projector
  private static let prefix = "clip.vision."

  init(_ file: GGUFFile) throws(VisionError) {
    self.file = file
    let architecture: String?, name: String?
    do throws(GGUFError) {
      architecture = try file.metadata.string("general.architecture")
      let own = try file.metadata.string("clip.vision.projector_type")
      let shared = try file.metadata.string("clip.projector_type")
      name = own ?? shared
    } catch { throw .file(error) }
    guard architecture == "clip" else {
      throw .unsupported(
        path: file.path, feature: "the architecture \(architecture ?? "none") in place of clip")
    }
    // Files from before the key was introduced are LLaVA's.
    guard let projector = Projector(rawValue: name ?? "mlp") else {
      throw .unsupported(path: file.path, feature: "the projector \(name ?? "")")
    }
    self.projector = projector
  }

  func required(_ name: String, _ range: ClosedRange<Int>) throws(VisionError) -> Int {
    do {
      return try file.metadata.required(
        Self.prefix + name, file.metadata.integer(Self.prefix + name, in: range))
    } catch { throw .file(error) }
  }

  func optional(_ name: String, _ range: ClosedRange<Int>) throws(VisionError) -> Int? {
    do { return try file.metadata.integer(Self.prefix + name, in: range) } catch { throw .file(error) }
  }

  func flag(_ key: String) -> Bool {
    if case .bool(true)? = file.metadata[key] { true } else { false }
  }

  /// A pixel side that a square may have.
  func side() throws(VisionError) -> Int { try required("image_size", 16...4_096) }

  /// The most values of one kind that encoding a square may hold at a time: a small file could ask for
  /// more memory than there is. Gemma 3 needs 18 million.
  private static let maximumValues = 1 << 25

  /// Refuses to hold `vectors` of `width` values where they are too many.
  func checkRoom(_ vectors: Int, _ width: Int) throws(VisionError) {
    guard width <= Self.maximumValues / max(1, vectors) else {
      throw .file(
        .invalid(
          path: file.path, field: "clip.vision.image_size",
          problem:
            "makes \(vectors) vectors of \(width) values, where \(Self.maximumValues) in all are allowed"))
    }
  }

  func epsilon() throws(VisionError) -> Float {
    do throws(GGUFError) {
      let key = Self.prefix + "attention.layer_norm_epsilon"
      let epsilon = try file.metadata.required(key, file.metadata.number(key))
      guard epsilon >= 0, epsilon < 1 else {
        throw GGUFError.invalid(
          path: file.path, field: key, problem: "is \(epsilon), where 0 to 1 is allowed")
      }
      return Float(epsilon)
    } catch { throw .file(error) }
  }

  private func channels(_ name: String) throws(VisionError) -> [Float] {
    guard case .array(let values)? = file.metadata[Self.prefix + name], values.count == 3,
      case let floats = values.floats(), floats.count == 3,
      floats.allSatisfy({ $0.isFinite && $0 >= 0 && $0 <= 1 })
    else {
      throw .file(
        .invalid(path: file.path, field: Self.prefix + name, problem: "is not three numbers of 0 to 1"))
    }
    return floats
  }

  /// The pixels' way to the encoder: the sizes and means of the file, the rest as its kind is trained.
  func processor() throws(VisionError) -> ImageProcessor {
    let side = try side(), mean = try channels("image_mean"), deviation = try channels("image_std")
    guard deviation.allSatisfy({ $0 > 0 }) else {
      throw .file(.invalid(path: file.path, field: "clip.vision.image_std", problem: "holds a zero"))
    }
    let geometry: ImageProcessor.Geometry, filter: ResamplingFilter
    switch projector {
    case .mlp: (geometry, filter) = (.centreCropped, .bicubic)
    case .idefics3:
      let longest = try optional("preproc_image_size", side...4_096) ?? min(4_096, 4 * side)
      (geometry, filter) = (.split(longestSide: longest), .lanczos)
    case .gemma3: (geometry, filter) = (.stretched, .bilinear)
    case .efficientNet: (geometry, filter) = (.stretched, .bicubic)
    }
    return ImageProcessor(side: side, geometry: geometry, filter: filter, mean: mean, deviation: deviation)
  }
}

/// Finds the weights of a vision file, checked by their shapes.
struct VisionWeights {
  let file: GGUFFile
  let operations: Operations

  func has(_ name: String) -> Bool { file[name] != nil }

  func tensor(_ name: String, _ shape: [Int]) throws(VisionError) -> TensorInfo {
    do { return try file.tensor(name, shape: shape) } catch { throw .file(error) }
  }

  /// [rows, columns]; a bias where `bias` asks for one or the file has one.
  func layer(_ name: String, rows: Int, columns: Int) throws(VisionError) -> LinearLayer {
    let matrix = try matrix(tensor("\(name).weight", [columns, rows]))
    return LinearLayer(matrix, bias: has("\(name).bias") ? try vector("\(name).bias", rows) : nil)
  }

  func matrix(_ tensor: TensorInfo) throws(VisionError) -> Matrix {
    do { return try Matrix(tensor) } catch { throw .file(error) }
  }

  func vector(_ name: String, _ count: Int) throws(VisionError) -> FloatBuffer {
    let tensor = try tensor(name, [count])
    return floats(try matrix(tensor))
  }

  /// A copy of the values of a matrix as floats, row after row.
  func floats(_ matrix: Matrix) -> FloatBuffer {
    let values = FloatBuffer(count: matrix.rows * matrix.columns)
    for row in 0..<matrix.rows {
      operations.dequantize(matrix, row: row, out: values, at: row * matrix.columns)
    }
    return values
  }
}
