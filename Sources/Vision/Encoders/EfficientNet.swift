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

  /// What the stem reads and makes, where its pixels are not made for a band of the first block at a time.
  private let whole: (patches: Activations, out: Activations)?
  private let features: FloatBuffer
  private static let stemKernel = 3
  private static let stemStep = 2
  private static let patchValues = 3 * stemKernel * stemKernel
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
    stem = try Pointwise(
      "v.stem", weights, rows: Self.rows(weights, "v.stem"), channels: Self.patchValues, precision: precision)
    try fields.checkRoom(size * size, stem.rows)
    var channels = stem.rows
    let stemSize = size
    var blocks: [Block] = []
    for index in 0..<count {
      let block = try Block(
        index, fields, weights, channels: channels, size: size, step: steps[index], precision: precision)
      blocks.append(block)
      (channels, size) = (block.channels, block.outSize)
    }
    self.blocks = blocks
    if case .floats = stem, blocks.first?.takesStem == true {
      whole = nil
    } else {
      whole = (
        Activations(capacity: stemSize * stemSize, channels: Self.patchValues, weights.operations),
        Activations(capacity: stemSize * stemSize, channels: stem.rows, weights.operations)
      )
    }
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
    var input = see(values)
    for block in blocks.dropFirst(whole == nil ? 1 : 0) {
      block.apply(input, run)
      input = block.out
    }
    head.apply(input, pixels: tokenCount, finish: .relu6, out: Pixels(features, stride: featureWidth), run)
    return (
      projector?.apply(features, run) ?? features.array(0..<features.count),
      classes?.likeliest(features, tokens: tokenCount, run) ?? []
    )
  }

  /// The stem's result, or that of the first block, which then makes the stem's pixels as it needs them.
  private func see(_ values: [Float]) -> Activations {
    let size = (side + 1) / 2
    guard let whole else {
      guard case .floats(let layer) = stem else { preconditionFailure("a stem in 8 bits is made whole") }
      blocks[0].apply(run, room: Self.patchValues) { [self] lines, patches, out in
        for (index, line) in lines.enumerated() { gather(values, line, patches.dropFirst(index * size)) }
        LayerRunner.apply(
          layer, rows: 0..<layer.rows, patches, count: lines.count * size, finish: .relu6, out: out,
          run.operations)
      }
      return blocks[0].out
    }
    run.forEach(size, size: 8) { [self] line in gather(values, line, whole.patches.pixels(from: line * size))
    }
    stem.apply(whole.patches, pixels: size * size, finish: .relu6, out: whole.out.pixels(), run)
    return whole.out
  }

  /// What the stem reads for a line of its results.
  private func gather(_ values: [Float], _ line: Int, _ out: Pixels) {
    let size = (side + 1) / 2, before = max(0, (size - 1) * Self.stemStep + Self.stemKernel - side) / 2
    out.gather(values, side: side, row: line, step: Self.stemStep, before: before, count: size)
  }
}

extension EfficientNet {
  /// One inverted bottleneck: `out = project(depthwise(expand(x)))`, plus x where both are alike.
  fileprivate struct Block {
    /// How a block is computed.
    private enum Way {
      /// Some channels at a time, up to the depthwise convolution's results, [outSize, outSize, hidden]: nothing is
      /// handed over between threads before these, and expanded pixels stay in a core's cache.
      case inChannels(expand: Pointwise?, project: Pointwise, convolved: Activations)
      /// Some lines of results at a time, whose expanded pixels stay in a core's cache.
      case inBands(expand: PointwiseLayer?, project: PointwiseLayer)
    }

    private let way: Way
    private let depthwise: DepthwiseLayer
    private let size: Int
    let outSize: Int
    let channels: Int
    private let isResidual: Bool
    /// [outSize, outSize, channels]
    let out: Activations

    /// Floats of expanded pixels that stay near a core.
    private static let nearFloats = 98_304
    /// Channels that are expanded and convolved at a time: whole runs of what is quantized, and two panels.
    private static let channelsTogether = 32

    init(
      _ index: Int, _ fields: VisionFields, _ weights: VisionWeights, channels: Int, size: Int, step: Int,
      precision: ActivationType
    ) throws(VisionError) {
      let name = "v.blk.\(index)."
      self.size = size
      outSize = (size + step - 1) / step
      var hidden = channels
      var expand: Pointwise?
      if weights.has("\(name)expand.weight") {
        hidden = try EfficientNet.rows(weights, "\(name)expand")
        try fields.checkRoom(size * size, hidden)
        expand = try Pointwise(
          "\(name)expand", weights, rows: hidden, channels: channels, precision: precision)
      }
      depthwise = try Self.depthwise(weights, "\(name)depthwise", channels: hidden, step: step)
      let rows = try EfficientNet.rows(weights, "\(name)project")
      let project = try Pointwise(
        "\(name)project", weights, rows: rows, channels: hidden, precision: precision)
      try fields.checkRoom(outSize * outSize, rows)
      self.channels = rows
      out = Activations(capacity: outSize * outSize, channels: rows, weights.operations)
      isResidual = step == 1 && rows == channels
      way = Self.way(expand, project, size: size, outSize: outSize, hidden: hidden, weights.operations)
    }

    private static func way(
      _ expand: Pointwise?, _ project: Pointwise, size: Int, outSize: Int, hidden: Int,
      _ operations: Operations
    ) -> Way {
      if case .floats(let project) = project, size * size * hidden > nearFloats {
        switch expand {
        case nil: return .inBands(expand: nil, project: project)
        case .floats(let expand): return .inBands(expand: expand, project: project)
        case .int8: break
        }
      }
      return .inChannels(
        expand: expand, project: project,
        convolved: Activations(capacity: outSize * outSize, channels: hidden, operations))
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

    /// Whether the block can be given its pixels a band at a time.
    var takesStem: Bool { if case .inBands(expand: nil, _) = way { true } else { false } }

    func apply(_ x: Activations, _ run: LayerRunner) {
      switch way {
      case .inChannels(let expand, let project, let convolved):
        inChannels(expand, x, convolved, quantized: project.isQuantized, run)
        project.apply(
          convolved, quantized: true, pixels: outSize * outSize, finish: .none,
          residual: isResidual ? x : nil, out: out.pixels(), run)
      case .inBands(let expand?, let project):
        inBands(project, residual: isResidual ? x : nil, run) { lines, scratch in
          let pixels = Pixels(scratch, stride: depthwise.channels)
          LayerRunner.apply(
            expand, rows: 0..<expand.rows, x.pixels(from: lines.lowerBound * size), count: lines.count * size,
            finish: .relu6,
            out: pixels,
            run.operations)
          return pixels
        }
      case .inBands(nil, let project):
        inBands(project, residual: isResidual ? x : nil, run) { lines, _ in
          x.pixels(from: lines.lowerBound * size)
        }
      }
    }

    /// A block that expands nothing, whose input is made as it is needed: `make` fills lines of it, and has room for
    /// pixels of `room` values on the way.
    func apply(
      _ run: LayerRunner, room: Int, make: (_ lines: Range<Int>, _ room: Pixels, _ out: Pixels) -> Void
    ) {
      guard case .inBands(_, let project) = way else { return }
      inBands(project, residual: nil, room: room, run) { lines, scratch in
        let pixels = Pixels(scratch, stride: depthwise.channels)
        make(
          lines, Pixels(scratch, stride: room, from: bandFloats(bandLines(run.pool.threadCount)).all), pixels)
        return pixels
      }
    }

    /// Expands and convolves the pixels of `x`; `quantized`: for a layer that wants them so.
    private func inChannels(
      _ expand: Pointwise?, _ x: Activations, _ convolved: Activations, quantized: Bool, _ run: LayerRunner
    ) {
      let width = Self.channelsTogether, pixels = size * size, results = outSize * outSize
      if let expand, expand.isQuantized { run.quantize(x, tokens: pixels) }
      run.reserve(pixels * width)
      run.forEachWithScratch((depthwise.channels + width - 1) / width) {
        [operations = run.operations] part, scratch in
        let channels = part * width..<min(depthwise.channels, (part + 1) * width)
        var source = x.pixels().channels(from: channels.lowerBound)
        if let expand {
          source = Pixels(scratch, stride: width)
          expand.apply(rows: channels, x, pixels: pixels, finish: .relu6, out: source, operations)
        }
        operations.convolve(
          depthwise, channels: channels, source, width: size, height: size, lines: 0..<size,
          rows: 0..<outSize,
          out: convolved.pixels().channels(from: channels.lowerBound))
        guard quantized else { return }
        let runs = channels.lowerBound..<min(convolved.width, channels.lowerBound + width)
        convolved.makeTiles(0..<results, within: runs, operations)
      }
    }

    /// Lines of results that are made at a time, as many of them for each thread.
    private func bandLines(_ threads: Int) -> Int {
      let lines = Self.nearFloats / (size * depthwise.channels)
      let most = max(1, (lines - depthwise.kernel) / depthwise.step + 1)
      let bands = (outSize + most * threads - 1) / (most * threads) * threads
      return (outSize + bands - 1) / bands
    }

    /// Floats of the expanded pixels of a band, and of them and the convolved ones.
    private func bandFloats(_ height: Int) -> (expanded: Int, all: Int) {
      let lines = (height - 1) * depthwise.step + depthwise.kernel,
        expanded = lines * size * depthwise.channels
      return (expanded, expanded + height * outSize * depthwise.channels)
    }

    private func inBands(
      _ project: PointwiseLayer, residual: Activations?, room: Int = 0, _ run: LayerRunner,
      _ source: (_ lines: Range<Int>, _ scratch: FloatBuffer) -> Pixels
    ) {
      let height = bandLines(run.pool.threadCount), floats = bandFloats(height)
      run.reserve(floats.all + floats.expanded / depthwise.channels * room)
      run.forEachWithScratch((outSize + height - 1) / height) { [operations = run.operations] band, scratch in
        let rows = band * height..<min(outSize, (band + 1) * height)
        let lines = depthwise.lines(for: rows, of: size), x = source(lines, scratch)
        let convolved = Pixels(scratch, stride: depthwise.channels, from: floats.expanded)
        operations.convolve(
          depthwise, channels: 0..<depthwise.channels, x, width: size, height: size, lines: lines, rows: rows,
          out: convolved)
        let first = rows.lowerBound * outSize
        LayerRunner.apply(
          project, rows: 0..<project.rows, convolved, count: rows.count * outSize, finish: .none,
          residual: residual?.pixels(from: first),
          out: out.pixels(from: first), operations)
      }
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
