import DuetRuntime

/// A 1 x 1 convolution by floats or int8, packed once.
enum Pointwise {
  case floats(PointwiseLayer)
  case int8(LinearLayer)

  /// Finds `name` in the file, whose columns are padded from `channels` to whole runs.
  init(
    _ name: String, _ weights: VisionWeights, rows: Int, channels: Int, precision: ActivationType
  ) throws(VisionError) {
    let stride = (channels + 31) / 32 * 32
    let layer = try weights.layer(name, rows: rows, columns: stride)
    guard layer.isQuantized && precision == .int8 else {
      let matrix = try weights.matrix(weights.tensor("\(name).weight", [stride, rows]))
      self = .floats(
        PointwiseLayer(
          weights.floats(matrix), rows: rows, columns: channels, stride: stride, bias: layer.bias))
      return
    }
    self = .int8(layer.packed(by: weights.operations))
  }

  var rows: Int {
    switch self {
    case .floats(let layer): layer.rows
    case .int8(let layer): layer.rows
    }
  }

  /// Whether the layer wants pixels quantized for panels.
  var isQuantized: Bool { if case .int8 = self { true } else { false } }

  /// `out[pixel, :] = finish(layer * x[pixel, :] + bias) + residual[pixel, :]`
  ///
  /// - Parameter quantized: whether `x` has been quantized for panels, where the layer wants it.
  func apply(
    _ x: Activations, quantized: Bool = false, pixels: Int, finish: LayerFinish, residual: Activations? = nil,
    out: Pixels, _ run: LayerRunner
  ) {
    switch self {
    case .floats(let layer):
      run.apply(layer, x.pixels(), count: pixels, finish: finish, residual: residual?.pixels(), out: out)
    case .int8(let layer):
      run.apply(
        layer, x, quantized: quantized, tokens: pixels, finish: finish, residual: residual?.pixels(), out: out
      )
    }
  }

  /// The same for some rows, whose first `out` begins with, by the calling thread; `x` has been quantized for panels
  /// where the layer wants it.
  func apply(
    rows: Range<Int>, _ x: Activations, pixels: Int, finish: LayerFinish, out: Pixels,
    _ operations: Operations
  ) {
    switch self {
    case .floats(let layer):
      LayerRunner.apply(layer, rows: rows, x.pixels(), count: pixels, finish: finish, out: out, operations)
    case .int8(let layer):
      operations.apply(layer, rows: rows, x, tokens: 0..<pixels, finish: finish, scratch: nil, out: out)
    }
  }
}
