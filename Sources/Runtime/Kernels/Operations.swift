import CKernels

/// The C kernels of one tier, behind calls that check every length.
@safe package struct Operations: Sendable {
  nonisolated(unsafe) let table: UnsafePointer<duet_operations>

  /// The tier called `name`, or the fastest tested one that this CPU runs.
  ///
  /// - Throws: `KernelError.noSuchTier` when this CPU or this build lacks it, `differs` when its own check fails.
  package init(tier name: String? = nil) throws(KernelError) {
    guard let table = unsafe duet_select(name ?? "") else { throw .noSuchTier(name ?? "") }
    unsafe self.table = unsafe table
    if let name, let finding = unsafe duet_finding(table) {
      throw .differs(name: name, finding: unsafe String(cString: finding))
    }
  }

  /// The tier's name, such as `avx2`.
  package var name: String { unsafe String(cString: table.pointee.name) }

  /// CPU features that tiers ask for.
  package static var cpuFeatures: String { unsafe String(cString: duet_cpu_features()) }

  /// The tiers that run here, and agree with the readable one where they check themselves; that one first.
  package static var tiers: [String] {
    ["generic", "avx2", "avx512", "neon", "i8mm"].filter { (name: String) in
      unsafe duet_select(name).map { unsafe duet_finding($0) == nil } ?? false
    }
  }

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

  /// Rotates the first `dimensions` values of each head of `range`, which is cut into heads of `headSize` values;
  /// `angles` holds the cosines, then the sines, from `angleOffset`.
  package func rotate(
    _ x: FloatBuffer, _ range: Range<Int>, headSize: Int, dimensions: Int, angles: FloatBuffer,
    at angleOffset: Int, split: Bool
  ) {
    precondition(dimensions <= headSize && range.count % headSize == 0, "no whole heads")
    let half = dimensions / 2, heads = unsafe x.pointer(range)
    let cosines = unsafe angles.pointer(angleOffset..<angleOffset + half)
    let sines = unsafe angles.pointer(angleOffset + half..<angleOffset + 2 * half)
    for head in stride(from: 0, to: range.count, by: headSize) {
      unsafe table.pointee.rotate(heads + head, dimensions, cosines, sines, split)
    }
  }

  /// `out = activation(gate) * up`.
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
    out: Pixels
  ) {
    precondition(x.width == matrix.columns, "matrix and vector differ in length")
    precondition(rows.count <= out.stride, "tokens' results overlap")
    let columns = matrix.columns, type = Int32(DUET_F32), floats = dequantizedFloats(columns: columns)
    let values = unsafe scratch.pointer(0..<floats)
    let end = floats + panelFloats(type, columns: columns)
    let panel = unsafe UnsafeMutableRawPointer(scratch.pointer(floats..<end))
    let view = unsafe x.view(0..<tokens)
    for first in Swift.stride(from: rows.lowerBound, to: rows.upperBound, by: panelRows) {
      let count = min(panelRows, rows.upperBound - first)
      for row in 0..<count { dequantize(matrix, row: first + row, out: scratch, at: row * columns) }
      let place = first - rows.lowerBound
      let target = unsafe out.pointer(0..<tokens, place..<place + count)
      unsafe duet_run_pack(table, type, values, 4 * columns, count, columns, panel)
      unsafe duet_run_multiply(table, type, panel, count, columns, view, tokens, target, out.stride)
    }
  }

  /// What panels that are packed together may take, and the activations they are then multiplied by: both stay
  /// in the second cache.
  private static let groupBytes = max(300_000, secondCache / 3), blockBytes = max(131_072, secondCache / 8)
  /// The most rows of panels that are packed together, and what a block is a multiple of: the tokens that kernels
  /// multiply at a time, of which a rest takes nearly as long.
  private static let groupRows = 96, blockTokens = 24
  /// Bytes of a core's second cache; 0 where nobody knows.
  private static let secondCache = min(4 << 20, duet_second_cache_bytes())

  /// The same by packed panels, which pays from some tokens on, of activations that were quantized for panels.
  package func multiplyPanels(
    _ matrix: Matrix, rows: Range<Int>, _ x: Activations, tokens: Int, scratch: FloatBuffer, out: Pixels
  ) {
    unsafe multiplyPanels(
      of: matrix.type, columns: matrix.columns, rows: rows, x, tokens: 0..<tokens, scratch: scratch, out: out
    ) { unsafe matrix.pointer(rows: $0) }
  }

  /// Panels of a group of rows at a time, by a block of tokens at a time, so that neither comes from further away than
  /// the second cache again and again.
  ///
  /// - Parameters:
  ///   - out: begins with the first token's first of these rows.
  ///   - weights: where rows lie, one after the other.
  @unsafe func multiplyPanels(
    of kind: TensorType, columns: Int, rows: Range<Int>, _ x: Activations, tokens: Range<Int>,
    scratch: FloatBuffer, out: Pixels, weights: (Range<Int>) -> UnsafeRawPointer
  ) {
    precondition(x.width == columns, "matrix and vector differ in length")
    precondition(rows.count <= out.stride, "tokens' results overlap")
    let type = Int32(kind.rawValue), panel = panelFloats(type, columns: columns),
      rowBytes = kind.rowBytes(columns)
    let together = groupPanels(panel) * panelRows
    for first in Swift.stride(from: rows.lowerBound, to: rows.upperBound, by: together) {
      let group = first..<min(first + together, rows.upperBound)
      forEachPanel(of: group, panelRows) { place, rows in
        unsafe duet_run_pack(
          table, type, weights(rows), rowBytes, rows.count, columns,
          scratch.pointer(place * panel..<(place + 1) * panel))
      }
      multiply(
        group: group, packed: scratch, from: 0, of: kind, x, tokens: tokens,
        out: out.channels(from: first - rows.lowerBound))
    }
  }

  /// The panels of all rows, one behind the other.
  @unsafe func packed(
    _ kind: TensorType, columns: Int, rows: Int, weights: (Range<Int>) -> UnsafeRawPointer
  ) -> FloatBuffer {
    let type = Int32(kind.rawValue), panel = panelFloats(type, columns: columns)
    let panels = FloatBuffer(count: (rows + panelRows - 1) / panelRows * panel)
    forEachPanel(of: 0..<rows, panelRows) { place, rows in
      unsafe duet_run_pack(
        table, type, weights(rows), kind.rowBytes(columns), rows.count, columns,
        panels.pointer(place * panel..<(place + 1) * panel))
    }
    return panels
  }

  /// Products of rows, which begin a panel, by what `packed` made of all.
  func multiply(
    packed panels: FloatBuffer, of kind: TensorType, rows: Range<Int>, _ x: Activations, tokens: Range<Int>,
    out: Pixels
  ) {
    precondition(rows.lowerBound % panelRows == 0, "rows begin within a panel")
    multiply(
      group: rows, packed: panels, from: rows.lowerBound / panelRows, of: kind, x, tokens: tokens, out: out)
  }

  /// Products of rows whose panels begin at `place` of `panels`.
  private func multiply(
    group: Range<Int>, packed panels: FloatBuffer, from place: Int, of kind: TensorType, _ x: Activations,
    tokens: Range<Int>, out: Pixels
  ) {
    let type = Int32(kind.rawValue), panel = panelFloats(type, columns: x.width)
    let block = max(1, Self.blockBytes / x.tokenBytes(of: type) / Self.blockTokens) * Self.blockTokens
    for start in Swift.stride(from: tokens.lowerBound, to: tokens.upperBound, by: block) {
      let some = start..<min(start + block, tokens.upperBound)
      let view = unsafe x.view(some), tiles = kind.isQuantized ? unsafe x.tiles(from: start) : nil
      // What is fetched of a tile serves several panels.
      forEachPanel(of: group, unsafe tiles == nil ? panelRows : group.count) { next, rows in
        let first = (place + next) * panel, here = rows.lowerBound - group.lowerBound
        let target = unsafe out.dropFirst(start - tokens.lowerBound).pointer(
          0..<some.count, here..<here + rows.count)
        let count = (rows.count + panelRows - 1) / panelRows * panel
        let packed = unsafe panels.pointer(first..<first + count)
        if let tiles = unsafe tiles {
          unsafe duet_run_multiply_tiles(
            table, type, packed, rows.count, x.width, tiles, some.count, target, out.stride)
        } else {
          unsafe duet_run_multiply(
            table, type, packed, rows.count, x.width, view, some.count, target, out.stride)
        }
      }
    }
  }

  /// Calls `body` with the rows of one panel or several, `most` rows, at a time, and the place of the first panel.
  private func forEachPanel(of rows: Range<Int>, _ most: Int, _ body: (Int, Range<Int>) -> Void) {
    for first in Swift.stride(from: rows.lowerBound, to: rows.upperBound, by: most) {
      body((first - rows.lowerBound) / panelRows, first..<min(first + most, rows.upperBound))
    }
  }

  /// Floats of scratch that products by panels need for rows of up to `columns` values: panels, and before
  /// them what they are packed from where that is not in the file.
  package func panelScratch(columns: Int) -> Int {
    dequantizedFloats(columns: columns)
      + [.f32, .q8_0].map { groupFloats($0, columns: columns) }.reduce(0, max)
  }

  /// Floats of the panels of a type that are packed together.
  func groupFloats(_ type: TensorType, columns: Int) -> Int {
    let panel = panelFloats(Int32(type.rawValue), columns: columns)
    return groupPanels(panel) * panel
  }

  /// Panels that are packed together, of so many floats each: if not all, as many as kernels multiply at a time.
  private func groupPanels(_ floats: Int) -> Int {
    let most = Self.groupRows / panelRows, room = Self.groupBytes / (4 * floats)
    return room >= most ? most : room >= most / 2 ? most / 2 : max(1, room)
  }

  private func panelFloats(_ type: Int32, columns: Int) -> Int {
    unsafe (duet_panel_bytes(table, type, columns) + 63) / 64 * 16
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
  case noSuchTier(name: String, features: String, others: [String])
  /// Tested under emulation alone, the tier does not compute here what the readable kernels do.
  case differs(name: String, finding: String)

  package static func noSuchTier(_ name: String) -> Self {
    .noSuchTier(name: name, features: Operations.cpuFeatures, others: Operations.tiers)
  }

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .noSuchTier(let name, let features, let others):
      "no kernels called \(name) run here (the CPU has: \(features)); set DUET_CPU to \(others.joined(separator: " or ")), or unset it"
    case .differs(let name, let finding):
      "the kernels called \(name) compute something else than the generic ones on this CPU (\(finding)); unset DUET_CPU"
    }
  }
}
