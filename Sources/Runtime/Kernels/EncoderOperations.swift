import CKernels

/// The kernels that encoders have beside those of decoders.
extension Operations {
  /// Writes `x` with its mean taken out, scaled to unit variance, times `weight` plus `bias`, to the
  /// part of `out` that starts at `offset` (which may be `x`).
  func normalizeLayer(
    _ x: FloatBuffer, _ range: Range<Int>, _ norm: LayerNorm, out: FloatBuffer, at offset: Int
  ) {
    layerNorm(x, range, weight: norm.weight, bias: norm.bias, epsilon: norm.epsilon, out: out, at: offset)
  }

  /// `x = gelu(x + bias)` within `range`.
  func gelu(_ x: FloatBuffer, _ range: Range<Int>, bias: FloatBuffer) {
    precondition(bias.count == range.count, "bias and vector differ in length")
    unsafe table.pointee.gelu_bias(bias.pointer(0..<range.count), range.count, x.pointer(range))
  }

  /// Writes the values of `range` to the part of `out` that starts at `offset`, in another buffer.
  func copy(_ x: FloatBuffer, _ range: Range<Int>, to out: FloatBuffer, at offset: Int) {
    unsafe out.pointer(offset..<offset + range.count).update(from: x.pointer(range), count: range.count)
  }

  /// Attention of `queries`, [count, head size], over the first `count` tokens of `pages`, whose only
  /// layer and head is meant: every token sees every other. `states` holds for each segment of pages
  /// and each query the weighted values, the largest score and the sum of exponentials.
  func attendAll(_ queries: FloatBuffer, count: Int, _ pages: [CachePage], scale: Float, states: FloatBuffer)
  {
    let size = CacheLayout.pageTokens, segment = Int(DUET_SEGMENT_PAGES) * size
    let headSize = pages[0].layout.headSize, width = headSize + 2
    precondition(pages.count * size >= count, "more tokens than pages hold")
    for (index, start) in stride(from: 0, to: count, by: segment).enumerated() {
      let end = min(count, start + segment)
      let views = unsafe (start / size...(end - 1) / size).map {
        unsafe pages[$0].place.view(layer: 0, head: 0)
      }
      let out = unsafe states.pointer(index * count * width..<(index + 1) * count * width)
      // The queries are as heads of one token: all see the same.
      var span = duet_span(first: 0, last: UInt32(end - start))
      unsafe withUnsafePointer(to: &span) { span in
        var about = unsafe duet_query(
          query: UnsafePointer(queries.pointer(0..<count * headSize)), tokens: 1, stride: 0, spans: span,
          heads: count, head_size: headSize, scale: scale, softcap: 0, type: pages[0].layout.type.typeNumber,
          following: nil)
        unsafe table.pointee.attend(&about, views, out)
      }
    }
  }
}

/// The weights of a layer norm (arXiv 1607.06450).
struct LayerNorm: Sendable {
  let weight: FloatBuffer
  let bias: FloatBuffer
  let epsilon: Float
}
