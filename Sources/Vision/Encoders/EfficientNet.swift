import DuetRuntime

/// EfficientNet-Lite: convolutions of 1 x 1 that widen, depthwise ones, and 1 x 1 that narrow again
/// (arXiv 1905.11946 and 1801.04381), without squeeze-and-excitation, kept within 0 to 6.
///
/// Pixels lie one after the other with their channels side by side, so a 1 x 1 convolution is a product
/// of a matrix with every pixel. Columns are padded with zeros to whole runs of 32, in the file too,
/// which int8 blocks need.
final class EfficientNet: SquareEncoder {
  let tokenCount: Int
  let width: Int
  /// Values of a feature.
  private let featureWidth: Int
  private let projector: FeatureProjector?
  private let classes: PictureClasses?
  private let side: Int
  private let stem: Pointwise
  private let blocks: [Block]
  private let head: Pointwise
  private let run: LayerRunner

  private let patches: Activations
  private let stemOut: Activations
  private let features: FloatBuffer
  private static let stemKernel = 3
  private static let stemStep = 2
  private static let widths = 8...4_096

  init(
    _ fields: VisionFields, _ run: LayerRunner, precision: ActivationType, projects: Bool
  ) throws(VisionError) {
    self.run = run
    side = try fields.side()
    featureWidth = try fields.required("embedding_length", Self.widths)
    let weights = VisionWeights(file: fields.file, operations: run.operations)
    let count = try fields.required("block_count", 1...64)
    let steps = try Self.steps(fields, count)
    var size = (side + 1) / 2
    try fields.checkRoom(size * size, 32)
    let kernelValues = 3 * Self.stemKernel * Self.stemKernel
    stem = try Pointwise(
      "v.stem", weights, rows: Self.rows(weights, "v.stem"), channels: kernelValues, precision: precision)
    patches = Activations(capacity: size * size, channels: kernelValues, weights.operations)
    try fields.checkRoom(size * size, stem.rows)
    stemOut = Activations(capacity: size * size, channels: stem.rows, weights.operations)
    var channels = stem.rows
    var blocks: [Block] = []
    for index in 0..<count {
      let block = try Block(
        index, fields, weights, channels: channels, size: size, step: steps[index], precision: precision)
      blocks.append(block)
      (channels, size) = (block.channels, block.outSize)
    }
    self.blocks = blocks
    head = try Pointwise("v.head", weights, rows: featureWidth, channels: channels, precision: precision)
    try fields.checkRoom(size * size, featureWidth)
    tokenCount = size * size
    features = FloatBuffer(count: tokenCount * featureWidth)
    projector =
      projects
      ? try FeatureProjector(fields, weights, tokens: tokenCount, columns: featureWidth) : nil
    classes = try PictureClasses(weights, columns: featureWidth)
    width = projector?.width ?? featureWidth
  }

  private static func steps(_ fields: VisionFields, _ count: Int) throws(VisionError) -> [Int] {
    let key = "clip.vision.conv_steps"
    guard case .array(let values)? = fields.file.metadata[key], values.count == count,
      case let steps = values.integers(), steps.count == count, steps.allSatisfy({ (1...2).contains($0) })
    else {
      throw .file(
        .invalid(path: fields.file.path, field: key, problem: "is not \(count) whole numbers of 1 to 2"))
    }
    return steps
  }

  /// Rows of a layer, which the file decides.
  fileprivate static func rows(_ weights: VisionWeights, _ name: String) throws(VisionError) -> Int {
    guard let tensor = weights.file["\(name).weight"] else {
      throw .file(.missingTensor(path: weights.file.path, tensor: "\(name).weight"))
    }
    guard tensor.shape.count == 2, widths.contains(tensor.rows) else {
      throw .file(
        .invalid(path: weights.file.path, field: "tensor \(name).weight", problem: "has \(tensor.rows) rows"))
    }
    return tensor.rows
  }

  func encode(_ values: [Float]) -> (embeddings: [Float], things: [String]) {
    gatherPatches(values)
    stem.apply(
      patches, pixels: patches.capacity, finish: .relu6, out: stemOut.values, stride: stemOut.width, run)
    var input = stemOut
    for block in blocks {
      block.apply(input, run)
      input = block.out
    }
    head.apply(input, pixels: tokenCount, finish: .relu6, out: features, stride: featureWidth, run)
    return (
      projector?.apply(features, run) ?? features.array(0..<features.count),
      classes?.likeliest(features, tokens: tokenCount, run) ?? []
    )
  }

  /// Each output pixel's 3 x 3 pixels of three channels, in the order of rows, columns, channels.
  private func gatherPatches(_ values: [Float]) {
    let size = (side + 1) / 2, kernel = Self.stemKernel
    let before = max(0, (size - 1) * Self.stemStep + kernel - side) / 2
    run.forEach(size, size: 8) { [patches, side] y in
      for x in 0..<size {
        let start = (y * size + x) * patches.width
        for row in 0..<kernel {
          let sourceY = y * Self.stemStep + row - before
          for column in 0..<kernel {
            let sourceX = x * Self.stemStep + column - before
            let inside = sourceY >= 0 && sourceY < side && sourceX >= 0 && sourceX < side
            for channel in 0..<3 {
              patches.values[start + (row * kernel + column) * 3 + channel] =
                inside ? values[(sourceY * side + sourceX) * 3 + channel] : 0
            }
          }
        }
      }
    }
  }
}

extension EfficientNet {
  /// One inverted bottleneck: `out = project(depthwise(expand(x)))`, plus x where both are alike.
  fileprivate struct Block {
    let expand: Pointwise?
    let depthwise: DepthwiseLayer
    let project: Pointwise
    let size: Int
    let outSize: Int
    let channels: Int
    let isResidual: Bool
    /// [size, size, hidden], nil where nothing is expanded.
    let expanded: Activations?
    /// [outSize, outSize, hidden]
    let convolved: Activations
    /// [outSize, outSize, channels]
    let out: Activations

    init(
      _ index: Int, _ fields: VisionFields, _ weights: VisionWeights, channels: Int, size: Int, step: Int,
      precision: ActivationType
    ) throws(VisionError) {
      let name = "v.blk.\(index)."
      self.size = size
      outSize = (size + step - 1) / step
      var hidden = channels
      if weights.has("\(name)expand.weight") {
        hidden = try EfficientNet.rows(weights, "\(name)expand")
        try fields.checkRoom(size * size, hidden)
        expand = try Pointwise(
          "\(name)expand", weights, rows: hidden, channels: channels, precision: precision)
        expanded = Activations(capacity: size * size, channels: hidden, weights.operations)
      } else {
        expand = nil
        expanded = nil
      }
      depthwise = try Self.depthwise(weights, "\(name)depthwise", channels: hidden, step: step)
      convolved = Activations(capacity: outSize * outSize, channels: hidden, weights.operations)
      let rows = try EfficientNet.rows(weights, "\(name)project")
      project = try Pointwise(
        "\(name)project", weights, rows: rows, channels: hidden, precision: precision)
      try fields.checkRoom(outSize * outSize, rows)
      self.channels = rows
      out = Activations(capacity: outSize * outSize, channels: rows, weights.operations)
      isResidual = step == 1 && rows == channels
    }

    private static func depthwise(
      _ weights: VisionWeights, _ name: String, channels: Int, step: Int
    ) throws(VisionError) -> DepthwiseLayer {
      let kernel = weights.file["\(name).weight"]?.rows == 25 ? 5 : 3
      let tensor = try weights.tensor("\(name).weight", [channels, kernel * kernel])
      return DepthwiseLayer(
        channels: channels, kernel: kernel, step: step, weights: weights.floats(try weights.matrix(tensor)),
        bias: try weights.vector("\(name).bias", channels))
    }

    func apply(_ x: Activations, _ run: LayerRunner) {
      if let expand, let expanded {
        expand.apply(
          x, pixels: size * size, finish: .relu6, out: expanded.values, stride: expanded.width, run)
      }
      let source = expanded ?? x
      run.forEach(outSize, size: 1) { [operations = run.operations] row in
        operations.convolve(depthwise, source, width: size, height: size, row: row, out: convolved)
      }
      project.apply(
        convolved, pixels: outSize * outSize, finish: .none, residual: isResidual ? x : nil, out: out.values,
        stride: out.width, run)
    }
  }
}

extension Activations {
  /// Room for pixels of `channels` values, padded with zeros to whole runs of 32.
  convenience init(capacity: Int, channels: Int, _ operations: Operations) {
    let width = (channels + 31) / 32 * 32
    self.init(capacity: capacity, width: width, panels: operations)
    guard width > channels else { return }
    for pixel in 0..<capacity {
      for channel in channels..<width { values[pixel * width + channel] = 0 }
    }
  }
}
