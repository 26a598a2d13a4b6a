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
  /// All rows as the kernels multiply them; nil where they are packed for each use.
  fileprivate private(set) var panels: FloatBuffer?

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

  /// The same with its rows packed once, for layers that are small and used often: one and a half bytes a weight with
  /// AVX-512, whatever the file's type. O(rows * columns).
  package func packed(by operations: Operations) -> LinearLayer {
    var layer = self
    layer.panels = unsafe operations.packed(type, columns: columns, rows: rows) { unsafe pointer($0) }
    return layer
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

/// Pixels one after the other, each with its channels side by side; or tokens with the results of rows.
package struct Pixels: Sendable {
  package let values: FloatBuffer
  /// Floats from one pixel to the next.
  package let stride: Int
  /// Where the first one lies.
  package let start: Int

  package init(_ values: FloatBuffer, stride: Int, from start: Int = 0) {
    (self.values, self.stride, self.start) = (values, stride, start)
  }

  /// All that follow the first `count`.
  package func dropFirst(_ count: Int) -> Pixels {
    Pixels(values, stride: stride, from: start + count * stride)
  }

  /// The channels from `first` on.
  package func channels(from first: Int) -> Pixels {
    Pixels(values, stride: stride, from: start + first)
  }

  /// Where the first `count` channels of a pixel lie.
  func range(_ pixel: Int, count: Int) -> Range<Int> {
    start + pixel * stride..<start + pixel * stride + count
  }

  @unsafe func pointer(_ pixels: Range<Int>, _ channels: Range<Int>) -> UnsafeMutablePointer<Float> {
    let first = start + pixels.lowerBound * stride + channels.lowerBound
    return unsafe values.pointer(first..<first + (pixels.count - 1) * stride + channels.count)
  }
}

extension Activations {
  /// The floats, from pixel `first` on.
  package func pixels(from first: Int = 0) -> Pixels { Pixels(values, stride: width, from: first * width) }
}

extension Pixels {
  /// Writes what a row of a convolution of 3 x 3 pixels reads, [count, 27] in the order of rows, columns, values.
  ///
  /// - Parameters:
  ///   - picture: [side, side, 3]
  ///   - before: zeros left of and above the picture.
  package func gather(_ picture: [Float], side: Int, row: Int, step: Int, before: Int, count: Int) {
    precondition(picture.count == side * side * 3 && row >= 0 && before >= 0, "sizes differ")
    precondition(stride >= 3 * Int(DUET_PATCH_SIDE * DUET_PATCH_SIDE), "too narrow")
    unsafe duet_gather_patches(
      picture, side, row, step, before, count, pointer(0..<count, 0..<stride), stride)
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
    precondition(kernel > 0 && step > 0, "sizes")
    self.channels = channels
    self.kernel = kernel
    self.step = step
    self.weights = weights
    self.bias = bias
  }

  /// Results of `size` pixels in a row or column.
  package func size(of size: Int) -> Int { (size + step - 1) / step }

  /// Pixels that are added before as many.
  fileprivate func margin(of size: Int) -> Int {
    max(0, (self.size(of: size) - 1) * step + kernel - size) / 2
  }

  /// Lines of a picture, `height` of them, that some rows of results follow from.
  package func lines(for rows: Range<Int>, of height: Int) -> Range<Int> {
    let first = rows.lowerBound * step - margin(of: height)
    return max(0, first)..<max(max(0, first), min(height, first + (rows.count - 1) * step + kernel))
  }
}

extension Operations {
  /// `out[t, r] = finish(row r . x[t] + bias[r]) + residual[t, r]` by packed panels, for some rows and
  /// tokens, which begin a tile; quantized weights are multiplied by what was quantized for panels. `out` and
  /// `residual` begin with the first token's first of these rows. Layers that are not packed need `scratch`.
  package func apply(
    _ layer: LinearLayer, rows: Range<Int>, _ x: Activations, tokens: Range<Int>, finish: LayerFinish = .none,
    residual: Pixels? = nil, scratch: FloatBuffer?, out: Pixels
  ) {
    precondition(!tokens.isEmpty && rows.upperBound <= layer.rows && rows.count <= out.stride, "outside")
    if let panels = layer.panels {
      multiply(packed: panels, of: layer.type, rows: rows, x, tokens: tokens, out: out)
    } else {
      guard let scratch else { preconditionFailure("no room to pack rows") }
      unsafe multiplyPanels(
        of: layer.type, columns: layer.columns, rows: rows, x, tokens: tokens, scratch: scratch, out: out
      ) { unsafe layer.pointer($0) }
    }
    let target = unsafe out.pointer(0..<tokens.count, 0..<rows.count)
    let bias = unsafe layer.bias.map { unsafe UnsafePointer($0.pointer(rows)) }
    let added = unsafe residual.map { unsafe UnsafePointer($0.pointer(0..<tokens.count, 0..<rows.count)) }
    unsafe table.pointee.finish(
      finish.number, target, rows.count, out.stride, tokens.count, bias, added, residual?.stride ?? 0)
  }

  /// From the first to the last value of some rows of some tokens.
  private static func span(_ tokens: Range<Int>, _ row: Int, _ count: Int, _ stride: Int) -> Range<Int> {
    tokens.lowerBound * stride + row..<(tokens.upperBound - 1) * stride + row + count
  }

  /// Floats of scratch that `apply` needs.
  package func scratch(_ layer: LinearLayer) -> Int { groupFloats(layer.type, columns: layer.columns) }

  /// `out[t, r] = finish(row r . x[t] + bias[r]) + residual[t, r]` for `count` pixels and some rows, which begin at
  /// a whole panel. `out` and `residual` begin with the first of these rows.
  package func apply(
    _ layer: PointwiseLayer, rows: Range<Int>, _ x: Pixels, count: Int, finish: LayerFinish,
    residual: Pixels?, out: Pixels
  ) {
    let size = Int(DUET_POINTWISE_ROWS)
    precondition(
      rows.lowerBound % size == 0 && rows.upperBound <= layer.rows && rows.count <= out.stride, "rows")
    precondition(count > 0 && x.stride >= layer.columns, "pixels")
    let panels = rows.lowerBound / size..<(rows.upperBound + size - 1) / size, floats = size * layer.columns
    let added = unsafe residual.map { unsafe UnsafePointer($0.pointer(0..<count, 0..<rows.count)) }
    unsafe table.pointee.pointwise(
      layer.panels.pointer(panels.lowerBound * floats..<panels.upperBound * floats), rows.count,
      layer.columns,
      layer.bias.pointer(panels.lowerBound * size..<panels.upperBound * size), finish.number,
      x.pointer(0..<count, 0..<layer.columns), x.stride, count, added, residual?.stride ?? 0,
      out.pointer(0..<count, 0..<rows.count), out.stride)
  }

  /// Rows of a depthwise convolution whose results are as many as its input divided by the step, rounded up; pixels
  /// are added evenly around the input, the odd one at its end.
  ///
  /// - Parameters:
  ///   - channels: those of the layer that are computed, whose values `x` and `out` begin with.
  ///   - x: rows of `width` pixels.
  ///   - height: rows of the whole picture.
  ///   - lines: those that `x` holds, of which the results need no others.
  ///   - rows: of the results.
  ///   - out: the first pixel of the first of them; they lie one after the other.
  package func convolve(
    _ layer: DepthwiseLayer, channels: Range<Int>, _ x: Pixels, width: Int, height: Int, lines: Range<Int>,
    rows: Range<Int>, out: Pixels
  ) {
    let outWidth = layer.size(of: width), left = layer.margin(of: width)
    let needed = layer.lines(for: rows, of: height)
    precondition(
      !rows.isEmpty && rows.lowerBound >= 0 && rows.upperBound <= layer.size(of: height), "rows outside")
    precondition(
      needed.lowerBound >= lines.lowerBound && needed.upperBound <= lines.upperBound, "lines are missing")
    precondition(
      channels.upperBound <= layer.channels && min(x.stride, out.stride) >= channels.count, "too few channels"
    )
    // As if the lines were a picture of their own, of which these are the first rows.
    let start = rows.lowerBound * layer.step - layer.margin(of: height)
    let source = unsafe x.pointer(
      (needed.lowerBound - lines.lowerBound) * width..<(needed.upperBound - lines.lowerBound) * width,
      0..<channels.count)
    var about = unsafe duet_depthwise(
      width: width, height: needed.count, channels: channels.count, stride: x.stride, kernel: layer.kernel,
      step: layer.step, left: left, top: needed.lowerBound - start,
      weights: UnsafePointer(layer.weights.pointer(channels.lowerBound..<layer.weights.count)),
      tap_stride: layer.channels, bias: UnsafePointer(layer.bias.pointer(channels)))
    unsafe table.pointee.depthwise(
      &about, source, 0, rows.count, out.pointer(0..<rows.count * outWidth, 0..<channels.count), outWidth,
      out.stride)
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
