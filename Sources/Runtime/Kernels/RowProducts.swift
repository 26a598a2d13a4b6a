import CKernels

/// Products of matrices with the same vectors, straight from the files' blocks, laid ready for several
/// threads: making some rows of one counts no references, which threads would take from each other.
///
/// What was laid ready is valid while its owner, who called `prepare`, holds the matrices and buffers.
@safe package final class RowProducts: @unchecked Sendable {
  @unsafe private struct Item {
    let type: Int32
    let weights: UnsafeRawPointer
    let rows: Int
    let rowBytes: Int
    let columns: Int
    let out: UnsafeMutablePointer<Float>
  }

  private let items: UnsafeMutablePointer<Item>
  private var count = 0
  private let table: UnsafePointer<duet_operations>
  private var vectors: UnsafePointer<duet_activations>?
  private var tokens = 0
  private var inFloat = false
  /// Of each worker, what kernels keep of the vectors from one run of rows to the next.
  private let laid: LaidVectors

  /// The most matrices that are multiplied in one hand-off.
  static let capacity = 4

  package init(_ operations: Operations, threads: Int) {
    unsafe items = .allocate(capacity: Self.capacity)
    laid = LaidVectors(operations, threads: threads)
    unsafe table = operations.table
  }

  deinit { unsafe items.deallocate() }

  /// Lays ready `out[t, r] = row r . x[t]` for each matrix, `[tokens, rows]`.
  package func prepare(
    _ products: [(matrix: Matrix, out: FloatBuffer)], _ x: Activations, tokens: Int, precision: ActivationType
  ) {
    precondition(products.count <= Self.capacity, "more matrices than one hand-off takes")
    for (index, product) in products.enumerated() {
      let matrix = product.matrix
      precondition(x.width == matrix.columns, "matrix and vector differ in length")
      unsafe (items + index).initialize(
        to: Item(
          type: matrix.typeNumber, weights: matrix.pointer(rows: 0..<matrix.rows), rows: matrix.rows,
          rowBytes: matrix.rowBytes, columns: matrix.columns,
          out: product.out.pointer(0..<tokens * matrix.rows)))
    }
    count = products.count
    unsafe vectors = x.view(0..<tokens)
    laid.renew()
    self.tokens = tokens
    inFloat = precision == .float32
  }

  /// Where product number `place` is written, [tokens, rows].
  @unsafe func out(_ place: Int) -> UnsafeMutablePointer<Float> {
    precondition(place >= 0 && place < count, "no such product")
    return unsafe items[place].out
  }

  /// Makes rows of product number `place`: for each token bit for bit what it would be alone.
  package func multiply(_ place: Int, _ rows: Range<Int>, worker: Int) {
    precondition(place >= 0 && place < count, "no such product")
    let item = unsafe items + place
    precondition(
      unsafe rows.lowerBound >= 0 && rows.upperBound <= item.pointee.rows, "rows outside of the matrix")
    guard let vectors = unsafe vectors else { return }
    let weights = unsafe item.pointee.weights + rows.lowerBound * item.pointee.rowBytes
    let out = unsafe item.pointee.out + rows.lowerBound
    if !inFloat {
      unsafe duet_run_dot_columns(
        table, item.pointee.type, weights, item.pointee.rowBytes, rows.count, item.pointee.columns, vectors,
        tokens, laid.pointer(worker), out, item.pointee.rows)
      return
    }
    for token in 0..<tokens {
      unsafe duet_run_dot(
        table, true, item.pointee.type, weights, item.pointee.rowBytes, rows.count, item.pointee.columns,
        vectors + token, out + token * item.pointee.rows)
    }
  }
}

/// What kernels keep of some vectors, for each thread: in the order in which they multiply by them, made once for
/// all products of the same vectors.
@safe package final class LaidVectors: @unchecked Sendable {
  private let base: UnsafeMutableRawPointer?
  private let bytes: Int
  private let threads: Int
  private var pass: UInt64 = 0

  package init(_ operations: Operations, threads: Int) {
    bytes = unsafe (operations.table.pointee.laid_bytes + 63) / 64 * 64
    self.threads = threads
    unsafe base = bytes > 0 ? .allocate(byteCount: bytes * threads, alignment: 64) : nil
    for thread in 0..<threads { unsafe pointer(thread)?.initialize(to: duet_laid()) }
  }

  deinit { unsafe base?.deallocate() }

  /// Must be called before vectors are multiplied by that have changed, while no thread uses them.
  package func renew() {
    pass += 1
    for thread in 0..<threads { unsafe pointer(thread)?.pointee.pass = pass }
  }

  @unsafe package func pointer(_ thread: Int) -> UnsafeMutablePointer<duet_laid>? {
    precondition(thread >= 0 && thread < threads, "no such thread")
    guard let base = unsafe base else { return nil }
    return unsafe (base + thread * bytes).assumingMemoryBound(to: duet_laid.self)
  }
}
