import CKernels

/// The C kernels of one tier, behind calls that check every length.
@safe package struct Operations: Sendable {
  nonisolated(unsafe) let table: UnsafePointer<duet_operations>

  /// The tier called `name`, or the fastest tested one that this CPU runs.
  ///
  /// - Throws: `KernelError.noSuchTier` when this CPU or this build lacks it.
  package init(tier name: String? = nil) throws(KernelError) {
    guard let table = unsafe duet_select(name ?? "") else {
      throw .noSuchTier(name: name ?? "", features: unsafe String(cString: duet_cpu_features()))
    }
    unsafe self.table = unsafe table
  }

  /// The tier's name, such as `avx2`.
  package var name: String { unsafe String(cString: table.pointee.name) }

  /// CPU features that tiers ask for.
  package static var cpuFeatures: String { unsafe String(cString: duet_cpu_features()) }

  /// Rows in a panel.
  package var panelRows: Int { unsafe table.pointee.panel_rows }

  /// Makes products of bytes, or of floats, that registers hold, as fast as this CPU can; returns how many that
  /// were, and nil where the tier does not say. O(rounds).
  package func makePeakProducts(inFloat: Bool, rounds: Int) -> Int? {
    guard let peak = unsafe table.pointee.peak else { return nil }
    return Int(clamping: peak(inFloat, max(0, rounds)))
  }

  // MARK: Vectors

  /// Writes `x`, scaled to unit root mean square and then by `weight`, to `out` (which may be `x`).
  package func normalize(
    _ x: FloatBuffer, _ range: Range<Int>, weight: FloatBuffer, epsilon: Float, out: FloatBuffer,
    at offset: Int
  ) {
    precondition(weight.count == range.count, "norm and vector differ in length")
    unsafe table.pointee.rms_norm(
      x.pointer(range), weight.pointer(0..<range.count), range.count, epsilon,
      out.pointer(offset..<offset + range.count))
  }

  /// Adds `x` to the part of `out` that starts at `offset`.
  package func add(_ x: FloatBuffer, _ range: Range<Int>, to out: FloatBuffer, at offset: Int) {
    unsafe table.pointee.add(x.pointer(range), range.count, out.pointer(offset..<offset + range.count))
  }

  /// Rotates one head's pairs; `angles` holds the cosines, then the sines, from `angleOffset`.
  package func rotate(
    _ x: FloatBuffer, _ range: Range<Int>, angles: FloatBuffer, at angleOffset: Int, split: Bool
  ) {
    let half = range.count / 2
    unsafe table.pointee.rotate(
      x.pointer(range), range.count, angles.pointer(angleOffset..<angleOffset + half),
      angles.pointer(angleOffset + half..<angleOffset + 2 * half), split)
  }

  /// `out = activation(gate) * up`, over the same range of all three.
  package func gate(
    _ activation: DecoderConfig.Activation, _ gate: FloatBuffer, up: FloatBuffer, out: FloatBuffer,
    _ range: Range<Int>
  ) {
    self.gate(activation, gate, range, up: up, range, out: out, at: range.lowerBound)
  }

  /// The same, where gate, up and result lie at different places.
  package func gate(
    _ activation: DecoderConfig.Activation, _ gate: FloatBuffer, _ gateRange: Range<Int>, up: FloatBuffer,
    _ upRange: Range<Int>, out: FloatBuffer, at offset: Int
  ) {
    let count = gateRange.count
    precondition(upRange.count == count, "gate and up differ in length")
    let target = unsafe out.pointer(offset..<offset + count)
    switch activation {
    case .silu:
      unsafe table.pointee.silu_multiply(gate.pointer(gateRange), up.pointer(upRange), count, target)
    case .gelu:
      unsafe table.pointee.gelu_multiply(gate.pointer(gateRange), up.pointer(upRange), count, target)
    }
  }

  // MARK: Attention

  /// Attention of the query heads that share the key-value head `head`, of neighbouring tokens, over positions
  /// of a sequence: at most `DUET_SEGMENT_PAGES` pages.
  ///
  /// - Parameters:
  ///   - contexts: the positions that each token sees; none for what sees nothing of these pages.
  ///   - query: the first token's queries start at `start`, each further one's `stride` floats on.
  ///   - state: [tokens, heads][head size + 2] from `offset` on: weighted values, the largest score and the
  ///     sum of exponentials.
  package func attend(
    _ sequence: CachedSequence, _ contexts: some RandomAccessCollection<Range<Int>>, layer: Int, head: Int,
    _ config: DecoderConfig, query: FloatBuffer, at start: Int, stride: Int, state: FloatBuffer,
    at offset: Int
  ) {
    let size = CacheLayout.pageTokens, tokens = contexts.count, heads = config.headsPerGroup
    var all = 0..<0
    for context in contexts where !context.isEmpty {
      all =
        all.isEmpty
        ? context
        : min(all.lowerBound, context.lowerBound)..<max(all.upperBound, context.upperBound)
    }
    let pages = all.lowerBound / size..<(all.upperBound + size - 1) / size
    precondition(pages.count <= Int(DUET_SEGMENT_PAGES), "more pages than a segment has")
    let queries = start..<start + (tokens - 1) * stride + heads * config.headSize
    let states = offset..<offset + tokens * heads * (config.headSize + 2)
    unsafe withUnsafeTemporaryAllocation(of: duet_page.self, capacity: max(1, pages.count)) { views in
      unsafe withUnsafeTemporaryAllocation(of: duet_span.self, capacity: max(1, tokens)) { spans in
        for page in pages {
          unsafe views[page - pages.lowerBound] = sequence.page(page * size).view(layer: layer, head: head)
        }
        for (index, context) in contexts.enumerated() {
          let from = context.isEmpty ? 0..<0 : context
          let origin = context.isEmpty ? 0 : pages.lowerBound * size
          unsafe spans[index] = duet_span(
            first: UInt32(from.lowerBound - origin), last: UInt32(from.upperBound - origin))
        }
        var about = unsafe duet_query(
          query: UnsafePointer(query.pointer(queries)), tokens: tokens, stride: stride,
          spans: spans.baseAddress, heads: heads, head_size: config.headSize, scale: config.attentionScale,
          softcap: config.attentionSoftcap, type: sequence.layout.type.typeNumber)
        unsafe table.pointee.attend(&about, views.baseAddress, state.pointer(states))
      }
    }
  }

  /// Joins the segments of one head; their states lie `stride` floats apart from `offset` on.
  package func combine(
    _ states: FloatBuffer, _ offset: Int, stride: Int, count: Int, out: FloatBuffer, _ range: Range<Int>
  ) {
    let end = offset + (count - 1) * stride + range.count + 2
    unsafe table.pointee.combine(
      states.pointer(offset..<end), stride, count, range.count, out.pointer(range))
  }

  /// The place of the largest value within `range`, counted from its start.
  package func argmax(_ x: FloatBuffer, _ range: Range<Int>) -> Int {
    unsafe table.pointee.argmax(x.pointer(range), range.count)
  }

  // MARK: Weights

  /// Row `row` of `matrix` as floats.
  package func dequantize(_ matrix: Matrix, row: Int, out: FloatBuffer, at offset: Int) {
    unsafe duet_run_dequantize(
      table, matrix.typeNumber, matrix.pointer(rows: row..<row + 1),
      out.pointer(offset..<offset + matrix.columns), matrix.columns)
  }

  /// `out[t, r] = row r . x[t]` in single precision by packed panels, each row being dequantized once for all
  /// tokens.
  package func multiplyDequantized(
    _ matrix: Matrix, rows: Range<Int>, _ x: Activations, tokens: Int, scratch: FloatBuffer,
    out: FloatBuffer, stride: Int
  ) {
    precondition(x.width == matrix.columns, "matrix and vector differ in length")
    let columns = matrix.columns, type = Int32(DUET_F32), floats = dequantizedFloats(columns: columns)
    let values = unsafe scratch.pointer(0..<floats)
    let panel = unsafe UnsafeMutableRawPointer(scratch.pointer(floats..<scratch.count))
    let view = unsafe x.view(0..<tokens)
    for first in Swift.stride(from: rows.lowerBound, to: rows.upperBound, by: panelRows) {
      let count = min(panelRows, rows.upperBound - first)
      for row in 0..<count { dequantize(matrix, row: first + row, out: scratch, at: row * columns) }
      let target = unsafe out.pointer(first..<(tokens - 1) * stride + first + count)
      unsafe duet_run_pack(table, type, values, 4 * columns, count, columns, panel)
      unsafe duet_run_multiply(table, type, panel, count, columns, view, tokens, target, stride)
    }
  }

  /// The same by packed panels, which pays from some tokens on.
  package func multiplyPanels(
    _ matrix: Matrix, rows: Range<Int>, _ x: Activations, tokens: Int, scratch: FloatBuffer,
    out: FloatBuffer, stride: Int
  ) {
    precondition(x.width == matrix.columns, "matrix and vector differ in length")
    let type = matrix.typeNumber, columns = matrix.columns
    let floats = unsafe (duet_panel_bytes(table, type, columns) + 3) / 4
    let panel = unsafe UnsafeMutableRawPointer(scratch.pointer(0..<floats))
    let view = unsafe x.view(0..<tokens)
    var row = rows.lowerBound
    while row < rows.upperBound {
      let count = min(panelRows, rows.upperBound - row)
      let target = unsafe out.pointer(row..<(tokens - 1) * stride + row + count)
      unsafe duet_run_pack(
        table, type, matrix.pointer(rows: row..<row + count), matrix.rowBytes, count, columns, panel)
      unsafe duet_run_multiply(table, type, panel, count, columns, view, tokens, target, stride)
      row += count
    }
  }

  /// Floats of scratch that products by panels need for rows of up to `columns` values: a panel, and before
  /// it what it is packed from where that is not in the file.
  package func panelScratch(columns: Int) -> Int {
    let types = [TensorType.f32, .q8_0].map { Int32($0.rawValue) }
    let panel = types.map { unsafe (duet_panel_bytes(table, $0, columns) + 3) / 4 }.max() ?? 0
    return dequantizedFloats(columns: columns) + panel
  }

  private func dequantizedFloats(columns: Int) -> Int { (panelRows * columns + 15) / 16 * 16 }
}

/// What weights are multiplied by.
public enum ActivationType: String, Sendable, CaseIterable {
  /// Blocks of 32 int8 with a scale, for quantized weights: fast.
  case int8
  /// Single precision throughout: the reference, and several times slower.
  case float32 = "f32"
}

/// Why no kernels could be chosen.
public enum KernelError: Error, Equatable, CustomStringConvertible {
  case noSuchTier(name: String, features: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .noSuchTier(let name, let features):
      "no kernels called \(name) run here (the CPU has: \(features)); set DUET_CPU to generic, avx2 or avx512, or unset it"
    }
  }
}
