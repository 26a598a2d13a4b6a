import DuetRuntime

/// A 1 x 1 convolution: packed once as floats, or int8 straight from the file's blocks.
enum Pointwise {
  case packed(PointwiseLayer)
  case mapped(LinearLayer)

  /// Finds `name` in the file, whose columns are padded from `channels` to whole runs.
  init(
    _ name: String, _ weights: VisionWeights, rows: Int, channels: Int, precision: ActivationType
  ) throws(VisionError) {
    let stride = (channels + 31) / 32 * 32
    let layer = try weights.layer(name, rows: rows, columns: stride)
    guard layer.isQuantized && precision == .int8 else {
      let matrix = try weights.matrix(weights.tensor("\(name).weight", [stride, rows]))
      self = .packed(
        PointwiseLayer(
          weights.floats(matrix), rows: rows, columns: channels, stride: stride, bias: layer.bias))
      return
    }
    self = .mapped(layer)
  }

  var rows: Int {
    switch self {
    case .packed(let layer): layer.rows
    case .mapped(let layer): layer.rows
    }
  }

  /// `out[pixel, :] = finish(layer * x[pixel, :] + bias) + residual[pixel, :]`
  func apply(
    _ x: Activations, pixels: Int, finish: LayerFinish, residual: Activations? = nil, out: FloatBuffer,
    stride: Int, _ run: LayerRunner
  ) {
    switch self {
    case .packed(let layer):
      run.apply(
        layer, x.pixels(), count: pixels, finish: finish, residual: residual?.pixels(),
        out: Pixels(out, stride: stride))
    case .mapped(let layer):
      run.apply(
        layer, x, tokens: pixels, finish: finish, residual: residual.map { ($0.values, $0.width) }, out: out,
        stride: stride)
    }
  }
}
