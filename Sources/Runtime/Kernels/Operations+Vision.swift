import CKernels

/// What follows a layer's product and bias.
package enum LayerFinish: Sendable, Equatable {
  case none
  /// Kept within 0 to 6.
  case relu6
  /// Gaussian error linear unit (arXiv 1606.08415) in the tanh form.
  case geluTanh
  /// The same, exact.
  case gelu
  /// x * sigmoid(1.702 x)
  case quickGelu
  case silu

  fileprivate var number: duet_finish {
    switch self {
    case .none: DUET_FINISH_NONE
    case .relu6: DUET_FINISH_RELU6
    case .geluTanh: DUET_FINISH_GELU_TANH
    case .gelu: DUET_FINISH_GELU_ERF
    case .quickGelu: DUET_FINISH_GELU_QUICK
    case .silu: DUET_FINISH_SILU
    }
  }
}

/// A layer's weights and bias: in the mapped file, or floats of its own where the file's order is not
/// that of rows.
@safe package struct LinearLayer: Sendable {
  private enum Weights: Sendable {
    case file(Matrix)
    case own(FloatBuffer)
  }

  package let rows: Int
  package let columns: Int
  package let bias: FloatBuffer?
  private let weights: Weights

  /// [rows, columns] of a file.
  package init(_ matrix: Matrix, bias: FloatBuffer? = nil) {
    precondition(bias == nil || bias?.count == matrix.rows, "bias and rows differ")
    weights = .file(matrix)
    rows = matrix.rows
    columns = matrix.columns
    self.bias = bias
  }

  /// [rows, columns] floats.
  package init(_ values: FloatBuffer, rows: Int, columns: Int, bias: FloatBuffer? = nil) {
    precondition(values.count == rows * columns && (bias == nil || bias?.count == rows), "sizes differ")
    weights = .own(values)
    self.rows = rows
    self.columns = columns
    self.bias = bias
  }

  /// Whether activations are needed in their int8 form.
  package var isQuantized: Bool { type.isQuantized }

  fileprivate var type: TensorType {
    switch weights {
    case .file(let matrix): matrix.type
    case .own: .f32
    }
  }

  /// Valid while a copy of the layer lives.
  @unsafe fileprivate func pointer(_ range: Range<Int>) -> UnsafeRawPointer {
    switch weights {
    case .file(let matrix): unsafe matrix.pointer(rows: range)
    case .own(let values):
      unsafe UnsafeRawPointer(values.pointer(range.lowerBound * columns..<range.upperBound * columns))
    }
  }
}

/// A 1 x 1 convolution packed for floats: nothing of it is packed again when it is used.
package struct PointwiseLayer: Sendable {
  package let rows: Int
  /// Values of a pixel that count; pixels may be padded to more.
  package let columns: Int
  /// [rows / 16, columns, 16]
  fileprivate let panels: FloatBuffer
  /// Filled up with zeros to whole panels.
  fileprivate let bias: FloatBuffer

  /// Packs the first `columns` of [rows, stride] weights. O(rows * columns).
  package init(_ weights: FloatBuffer, rows: Int, columns: Int, stride: Int, bias: FloatBuffer?) {
    precondition(rows > 0 && columns <= stride && weights.count >= rows * stride, "sizes differ")
    let size = Int(DUET_POINTWISE_ROWS), count = (rows + size - 1) / size
    self.rows = rows
    self.columns = columns
    panels = FloatBuffer(count: count * columns * size)
    self.bias = FloatBuffer(count: count * size)
    for row in 0..<count * size { self.bias[row] = row < rows ? bias?[row] ?? 0 : 0 }
    unsafe duet_pack_pointwise(
      weights.pointer(0..<rows * stride), rows, columns, stride, panels.pointer(0..<panels.count))
  }
}

/// A depthwise convolution: sizes and weights.
package struct DepthwiseLayer: Sendable {
  package let channels: Int
  package let kernel: Int
  package let step: Int
  /// [kernel, kernel, channels]
  package let weights: FloatBuffer
  package let bias: FloatBuffer

  package init(channels: Int, kernel: Int, step: Int, weights: FloatBuffer, bias: FloatBuffer) {
    precondition(weights.count == kernel * kernel * channels && bias.count == channels, "sizes differ")
    self.channels = channels
    self.kernel = kernel
    self.step = step
    self.weights = weights
    self.bias = bias
  }
}

extension Operations {
  /// `out[t, r] = finish(row r . x[t] + bias[r]) + residual[t, r]` by packed panels, for some rows and
  /// tokens, which begin a tile; quantized weights are multiplied by what was quantized for panels. Rows of `out` and `residual` lie their stride apart.
  package func apply(
    _ layer: LinearLayer, rows: Range<Int>, _ x: Activations, tokens: Range<Int>, finish: LayerFinish = .none,
    residual: (values: FloatBuffer, stride: Int)? = nil, scratch: FloatBuffer, out: FloatBuffer, stride: Int
  ) {
    precondition(!tokens.isEmpty && rows.upperBound <= layer.rows && rows.upperBound <= stride, "outside")
    unsafe multiplyPanels(
      of: layer.type, columns: layer.columns, rows: rows, x, tokens: tokens, scratch: scratch, out: out,
      stride: stride
    ) { unsafe layer.pointer($0) }
    let target = unsafe out.pointer(Self.span(tokens, rows.lowerBound, rows.count, stride))
    let bias = unsafe layer.bias.map { unsafe UnsafePointer($0.pointer(rows)) }
    let added = unsafe residual.map {
      unsafe UnsafePointer($0.values.pointer(Self.span(tokens, rows.lowerBound, rows.count, $0.stride)))
    }
    unsafe table.pointee.finish(
      finish.number, target, rows.count, stride, tokens.count, bias, added, residual?.stride ?? 0)
  }

  /// From the first to the last value of some rows of some tokens.
  private static func span(_ tokens: Range<Int>, _ row: Int, _ count: Int, _ stride: Int) -> Range<Int> {
    tokens.lowerBound * stride + row..<(tokens.upperBound - 1) * stride + row + count
  }

  /// Floats of scratch that `apply` needs.
  package func scratch(_ layer: LinearLayer) -> Int { groupFloats(layer.type, columns: layer.columns) }

  /// `out[t, r] = finish(row r . x[t] + bias[r]) + residual[t, r]` for some rows, which begin at a whole
  /// panel, and some tokens. The results are written to `out`, whose pixels may be padded.
  package func apply(
    _ layer: PointwiseLayer, rows: Range<Int>, _ x: Activations, tokens: Range<Int>, finish: LayerFinish,
    residual: Activations?, out: FloatBuffer, stride: Int
  ) {
    let size = Int(DUET_POINTWISE_ROWS)
    precondition(
      rows.lowerBound % size == 0 && rows.upperBound <= layer.rows && rows.upperBound <= stride, "rows")
    precondition(!tokens.isEmpty && x.width >= layer.columns && tokens.upperBound <= x.capacity, "tokens")
    let source = unsafe x.values.pointer(Self.span(tokens, 0, layer.columns, x.width))
    for row in Swift.stride(from: rows.lowerBound, to: rows.upperBound, by: size) {
      let count = min(size, rows.upperBound - row), panel = row * layer.columns
      let added = unsafe residual.map {
        unsafe UnsafePointer($0.values.pointer(Self.span(tokens, row, count, $0.width)))
      }
      unsafe table.pointee.pointwise(
        layer.panels.pointer(panel..<panel + size * layer.columns), count, layer.columns,
        layer.bias.pointer(row..<row + size), finish.number, source, x.width, tokens.count, added,
        residual?.width ?? 0, out.pointer(Self.span(tokens, row, count, stride)), stride)
    }
  }

  /// Row `row` of a depthwise convolution whose results are as many as its input divided by the step,
  /// rounded up; pixels are added evenly around the input, the odd one at its end.
  package func convolve(
    _ layer: DepthwiseLayer, _ x: Activations, width: Int, height: Int, row: Int, out: Activations
  ) {
    let outWidth = (width + layer.step - 1) / layer.step, outHeight = (height + layer.step - 1) / layer.step
    precondition(x.capacity >= width * height && out.capacity >= outWidth * outHeight, "too few pixels")
    precondition(x.width >= layer.channels && out.width >= layer.channels, "too few channels")
    precondition(row >= 0 && row < outHeight, "row outside")
    let left = max(0, (outWidth - 1) * layer.step + layer.kernel - width) / 2
    let top = max(0, (outHeight - 1) * layer.step + layer.kernel - height) / 2
    let source = unsafe x.values.pointer(0..<width * height * x.width)
    let start = row * outWidth * out.width
    let target = unsafe out.values.pointer(start..<start + outWidth * out.width)
    var about = unsafe duet_depthwise(
      width: width, height: height, channels: layer.channels, stride: x.width, kernel: layer.kernel,
      step: layer.step, left: left, top: top,
      weights: UnsafePointer(layer.weights.pointer(0..<layer.weights.count)),
      bias: UnsafePointer(layer.bias.pointer(0..<layer.channels)))
    unsafe table.pointee.depthwise_row(&about, source, row, target, outWidth, out.width)
  }

  /// Writes `x`, less its mean, scaled to unit variance, then by `weight`, plus `bias`, to `out`.
  package func layerNorm(
    _ x: FloatBuffer, _ range: Range<Int>, weight: FloatBuffer, bias: FloatBuffer, epsilon: Float,
    out: FloatBuffer, at offset: Int
  ) {
    precondition(weight.count == range.count && bias.count == range.count, "norm and vector differ in length")
    unsafe table.pointee.layer_norm(
      x.pointer(range), weight.pointer(0..<range.count), bias.pointer(0..<range.count), range.count, epsilon,
      out.pointer(offset..<offset + range.count))
  }

  /// Queries that one call of `attendFully` takes at most.
  package static var attentionQueries: Int { Int(DUET_FULL_ATTENTION_QUERIES) }

  /// Floats of scratch that `attendFully` needs.
  package func attentionScratch(tokens: Int, headSize: Int) -> Int {
    unsafe duet_full_attention_scratch(table, Self.attentionQueries, tokens, headSize)
  }

  /// Attention of some queries of a head to all tokens; `query`, `key` and `out` are
  /// [tokens, heads * head size], `value` is [heads * head size, tokens].
  package func attendFully(
    query: FloatBuffer, key: FloatBuffer, value: FloatBuffer, tokens: Int, queries: Range<Int>, head: Int,
    headSize: Int, heads: Int, scale: Float, scratch: FloatBuffer, out: FloatBuffer
  ) {
    precondition(queries.count <= Self.attentionQueries && queries.upperBound <= tokens, "too many queries")
    precondition(head >= 0 && head < heads, "head outside")
    let stride = heads * headSize, first = head * headSize
    let range = Self.span(queries, first, headSize, stride)
    var about = unsafe duet_full_attention(
      query: UnsafePointer(query.pointer(range)),
      key: UnsafePointer(key.pointer(Self.span(0..<tokens, first, headSize, stride))),
      value: UnsafePointer(value.pointer(first * tokens..<(first + headSize) * tokens)),
      queries: queries.count, tokens: tokens, head_size: headSize, stride: stride, scale: scale)
    let room = unsafe scratch.pointer(0..<attentionScratch(tokens: tokens, headSize: headSize))
    unsafe duet_attend_fully(table, &about, room, out.pointer(range), stride)
  }
}
