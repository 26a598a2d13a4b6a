import CKernels

/// What an adapter adds to one matrix, as two factors of low rank (arXiv 2106.09685):
/// W x + scale * B (A x).
///
/// Both factors are copied into memory in forms that suit the kernels: the rows of A as blocks of
/// int8 (`Q8_0`), B as int8 with a scale per row, in groups of eight rows. Where exact results are
/// wanted, or A's rows are no whole blocks, they are single precision. A file that holds A as `Q8_0`
/// stays mapped instead, and costs no memory of its own.
@safe package final class LowRank: @unchecked Sendable {
  /// Rows of A, columns of B.
  package let rank: Int
  /// Columns of A: the length of x.
  package let columns: Int
  /// Rows of B: the length of the result.
  package let rows: Int
  /// Bytes of the factors in memory, what stays mapped aside.
  package let byteCount: Int
  fileprivate let reduceType: TensorType
  private let expandsInFloat: Bool
  private let reduceBytes: Int
  private let base: UnsafeMutableRawPointer
  /// A where it lies in the file, if it is not copied.
  private let mapped: Matrix?

  /// Rows of B that lie together.
  static let groupRows = Int(DUET_LOW_RANK_ROWS)

  /// Copies the factors. `a`: [rank, columns], `b`: [rows, rank], both finite.
  package convenience init(a: [Float], b: [Float], rank: Int, isExact: Bool, _ operations: Operations) {
    precondition(rank > 0 && a.count % rank == 0, "factors of another rank")
    let columns = a.count / rank
    let type = isExact || columns % Int(DUET_RUN) != 0 ? TensorType.f32 : .q8_0
    self.init(columns: columns, type: type, mapped: nil, b: b, rank: rank, isExact: isExact)
    copyFirst(a, operations)
  }

  /// Copies `b`, [rows, rank] and finite; `a`, [rank, columns] of `Q8_0`, stays where it is.
  convenience init(mapped a: Matrix, b: [Float]) {
    precondition(a.type == .q8_0, "factors of another type")
    self.init(columns: a.columns, type: a.type, mapped: a, b: b, rank: a.rows, isExact: false)
  }

  private init(columns: Int, type: TensorType, mapped: Matrix?, b: [Float], rank: Int, isExact: Bool) {
    precondition(rank > 0 && b.count % rank == 0, "factors of another rank")
    self.rank = rank
    self.columns = columns
    self.mapped = mapped
    rows = b.count / rank
    reduceType = type
    expandsInFloat = isExact
    reduceBytes = mapped == nil ? (rank * type.rowBytes(columns) + 63) / 64 * 64 : 0
    let groups = (rows + Self.groupRows - 1) / Self.groupRows
    byteCount = reduceBytes + groups * Self.groupBytes(rank, inFloat: isExact)
    unsafe base = .allocate(byteCount: byteCount, alignment: 64)
    for group in 0..<groups { copySecond(b, group) }
  }

  deinit { unsafe base.deallocate() }

  private static func groupBytes(_ rank: Int, inFloat: Bool) -> Int {
    groupRows * (inFloat ? 4 * rank : rank + 4)
  }

  private func copyFirst(_ a: [Float], _ operations: Operations) {
    guard reduceType == .q8_0 else {
      for (index, value) in a.enumerated() {
        unsafe base.storeBytes(of: value, toByteOffset: 4 * index, as: Float.self)
      }
      return
    }
    let runs = a.count / Int(DUET_RUN)
    var q = [Int8](repeating: 0, count: a.count)
    var scales = [duet_run_scale](repeating: duet_run_scale(), count: runs)
    unsafe operations.table.pointee.quantize(a, a.count, &q, &scales)
    for run in 0..<runs {
      let block = unsafe base + run * TensorType.q8_0.blockBytes
      unsafe block.storeBytes(of: Float16(scales[run].scale).bitPattern, as: UInt16.self)
      for index in 0..<Int(DUET_RUN) {
        unsafe block.storeBytes(of: q[run * Int(DUET_RUN) + index], toByteOffset: 2 + index, as: Int8.self)
      }
    }
  }

  /// Rows past the end are zero.
  private func copySecond(_ b: [Float], _ group: Int) {
    let size = Self.groupRows
    let start = unsafe base + reduceBytes + group * Self.groupBytes(rank, inFloat: expandsInFloat)
    for lane in 0..<size {
      let row = group * size + lane
      let values = row < rows ? b[row * rank..<(row + 1) * rank] : []
      let scale = (values.reduce(0) { max($0, abs($1)) }) / 127
      if !expandsInFloat { unsafe start.storeBytes(of: scale, toByteOffset: 4 * lane, as: Float.self) }
      for j in 0..<rank {
        let value = row < rows ? values[values.startIndex + j] : 0
        if expandsInFloat {
          unsafe start.storeBytes(of: value, toByteOffset: 4 * (j * size + lane), as: Float.self)
        } else {
          unsafe start.storeBytes(
            of: Self.rounded(value, scale), toByteOffset: 4 * size + j * size + lane, as: Int8.self)
        }
      }
    }
  }

  private static func rounded(_ value: Float, _ scale: Float) -> Int8 {
    let steps = (value / scale).rounded(.toNearestOrEven)
    return steps.isFinite ? Int8(max(-127, min(127, steps))) : 0
  }
}

extension LowRank {
  /// Where the factors lie and how, for the kernels; valid while the object lives.
  @unsafe fileprivate struct Layout {
    let type: Int32
    let first: UnsafeRawPointer
    let firstRowBytes: Int
    let columns: Int
    let rank: Int
    let second: UnsafeRawPointer
    let groupBytes: Int
    let inFloat: Bool
    let rows: Int
  }

  @unsafe fileprivate var layout: Layout {
    unsafe Layout(
      type: Int32(reduceType.rawValue), first: mapped?.pointer(rows: 0..<rank) ?? UnsafeRawPointer(base),
      firstRowBytes: reduceType.rowBytes(columns), columns: columns, rank: rank,
      second: UnsafeRawPointer(base) + reduceBytes,
      groupBytes: Self.groupBytes(rank, inFloat: expandsInFloat),
      inFloat: expandsInFloat, rows: rows)
  }
}

/// The methods trust their callers, which check all lengths.
extension LowRank.Layout {
  /// `low[t, j] = row j of A . x[t]` for the rows `part` of A.
  fileprivate func reduce(
    _ table: UnsafePointer<duet_operations>, _ part: Range<Int>, _ x: UnsafePointer<duet_activations>,
    _ tiles: UnsafeRawPointer?, _ tokens: Int, _ precision: ActivationType, _ scratch: FloatBuffer?,
    _ laid: UnsafeMutablePointer<duet_laid>?, _ low: UnsafeMutablePointer<Float>, _ stride: Int
  ) {
    let rows = unsafe first + part.lowerBound * firstRowBytes
    guard precision == .int8 else {
      for token in 0..<tokens {
        unsafe duet_run_dot(
          table, true, type, rows, firstRowBytes, part.count, columns, x + token,
          low + token * stride + part.lowerBound)
      }
      return
    }
    guard let scratch else {
      unsafe duet_run_dot_columns(
        table, type, rows, firstRowBytes, part.count, columns, x, tokens, laid, low + part.lowerBound, stride)
      return
    }
    let floats = unsafe (duet_panel_bytes(table, type, columns) + 3) / 4
    let panel = unsafe UnsafeMutableRawPointer(scratch.pointer(0..<floats))
    let most = unsafe table.pointee.panel_rows
    for row in Swift.stride(from: part.lowerBound, to: part.upperBound, by: most) {
      let count = min(most, part.upperBound - row)
      unsafe duet_run_pack(table, type, first + row * firstRowBytes, firstRowBytes, count, columns, panel)
      if let tiles = unsafe tiles {
        unsafe duet_run_multiply_tiles(table, type, panel, count, columns, tiles, tokens, low + row, stride)
      } else {
        unsafe duet_run_multiply(table, type, panel, count, columns, x, tokens, low + row, stride)
      }
    }
  }

  /// `out[t, r] += row r of B . low[t]` for `part` of B's rows.
  fileprivate func expand(
    _ table: UnsafePointer<duet_operations>, _ part: Range<Int>, _ low: UnsafePointer<Float>, _ stride: Int,
    _ tokens: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int
  ) {
    let start = unsafe second + part.lowerBound / LowRank.groupRows * groupBytes
    unsafe table.pointee.expand(start, inFloat, rank, part.count, low, stride, tokens, out, outStride)
  }
}

/// A pair of factors that takes part in a hand-off: of its matrix number `place`, for some tokens.
package struct LowRankChange {
  package let pair: LowRank
  package let factor: Float
  package let place: Int
  package let tokens: Range<Int>

  package init(pair: LowRank, factor: Float, place: Int, tokens: Range<Int>) {
    (self.pair, self.factor, self.place, self.tokens) = (pair, factor, place, tokens)
  }
}

/// Products of several pairs, laid ready for several threads: making some rows of one counts no references,
/// which threads would take from each other.
@safe package final class LowRankProducts: @unchecked Sendable {
  @unsafe private struct Item {
    let layout: LowRank.Layout
    let factor: Float
    let place: Int
    let tokens: Range<Int>
    /// Of the first of `tokens`.
    let low: UnsafeMutablePointer<Float>
  }

  package let changes: [LowRankChange]
  private let items: UnsafeMutablePointer<Item>
  private let count: Int
  /// Holds `low` of all items.
  private let scratch: FloatBuffer
  private let stride: Int
  private let table: UnsafePointer<duet_operations>

  /// Lays `changes` ready.
  ///
  /// - Parameters:
  ///   - low: room for what is between the two halves, [tokens, `stride`].
  ///   - placeWidth: floats of a token from one place to the next.
  package init(
    _ changes: [LowRankChange], low: FloatBuffer, stride: Int, placeWidth: Int, _ operations: Operations
  ) {
    self.changes = changes
    self.stride = stride
    scratch = low
    count = changes.count
    unsafe table = operations.table
    unsafe items = .allocate(capacity: max(1, changes.count))
    for (index, change) in changes.enumerated() {
      precondition(change.pair.rank <= placeWidth, "a pair of a higher rank than there is room for")
      let start = change.tokens.lowerBound * stride + change.place * placeWidth
      let end = start + (change.tokens.count - 1) * stride + change.pair.rank
      unsafe (items + index).initialize(
        to: Item(
          layout: change.pair.layout, factor: change.factor, place: change.place, tokens: change.tokens,
          low: low.pointer(start..<end)))
    }
  }

  deinit { unsafe items.deallocate() }

  /// `low[t, j] = factor * (row j of A . x[t])` for the rows `part` of A of change number `index`.
  ///
  /// - Parameters:
  ///   - scratch: room for a panel, where there are tokens enough that it pays; else nil.
  ///   - laid: what the thread, number `worker`, keeps of `x`.
  package func reduce(
    _ index: Int, part: Range<Int>, _ x: Activations, precision: ActivationType, scratch: FloatBuffer?,
    laid: LaidVectors, worker: Int
  ) {
    precondition(index >= 0 && index < count, "no such change")
    let item = unsafe items + index
    let layout = unsafe item.pointee.layout, low = unsafe item.pointee.low
    let tokens = unsafe item.pointee.tokens, factor = unsafe item.pointee.factor
    precondition(unsafe x.width == layout.columns, "adapter and vector differ in length")
    precondition(unsafe part.lowerBound >= 0 && part.upperBound <= layout.rank, "rows outside of the factor")
    let isTiled = unsafe layout.type == Int32(DUET_Q8_0) && tokens.lowerBound % Int(DUET_TILE_TOKENS) == 0
    let tiles = scratch != nil && isTiled ? unsafe x.tiles(from: tokens.lowerBound) : nil
    unsafe layout.reduce(
      table, part, x.view(tokens), tiles, tokens.count, precision, scratch, laid.pointer(worker), low, stride
    )
    for token in 0..<tokens.count {
      for j in part { unsafe low[token * stride + j] *= factor }
    }
  }

  /// Whether all first halves are of what was rounded to bytes, not of floats.
  package var readsBytes: Bool {
    (0..<count).allSatisfy { unsafe items[$0].layout.type == Int32(DUET_Q8_0) }
  }

  /// Asks for the rows of second factors that `expand` will read, while there is something else to do: they are few
  /// and new each time, so that reading them is waiting for memory.
  package func fetchSecond(_ place: Int, rows: Range<Int>) {
    for index in 0..<count where unsafe items[index].place == place {
      let layout = unsafe items[index].layout
      let groups = unsafe (rows.count + LowRank.groupRows - 1) / LowRank.groupRows * layout.groupBytes
      unsafe duet_fetch(layout.second + rows.lowerBound / LowRank.groupRows * layout.groupBytes, groups)
    }
  }

  /// Asks for part number `part` of `parts` equal ones of all first factors.
  package func fetchFirst(_ part: Int, of parts: Int) {
    for index in 0..<count {
      let layout = unsafe items[index].layout, bytes = unsafe layout.rank * layout.firstRowBytes
      let start = bytes * part / parts, end = bytes * (part + 1) / parts
      unsafe duet_fetch(layout.first + start, end - start)
    }
  }

  /// `out[t, r] += row r of B . low[t]` for each pair of product number `place` and `rows` of B, which start at a
  /// multiple of eight.
  ///
  /// - Parameters:
  ///   - out: the first of `rows` of the first of all tokens, which lie `outStride` apart. The address, for which no
  ///     references are counted.
  ///   - ready: called before the first halves are used, to wait for them.
  @unsafe package func expand(
    _ place: Int, rows: Range<Int>, out: UnsafeMutablePointer<Float>, outStride: Int, when ready: () -> Void
  ) {
    for index in 0..<count {
      let item = unsafe items + index
      guard unsafe item.pointee.place == place else { continue }
      ready()
      let layout = unsafe item.pointee.layout, tokens = unsafe item.pointee.tokens
      precondition(
        unsafe rows.lowerBound % LowRank.groupRows == 0 && rows.upperBound <= layout.rows, "no such rows")
      let target = unsafe out + tokens.lowerBound * outStride
      unsafe layout.expand(table, rows, item.pointee.low, stride, tokens.count, target, outStride)
    }
  }
}
