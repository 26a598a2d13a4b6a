import COpenBLAS
import DuetRuntime

/// Products of matrices in single precision: the one place that calls a BLAS.
///
/// OpenBLAS works in the calling thread alone, for the loops of the thread pool call it.
package enum MatrixProduct {
  private static let isPinned: Bool = {
    openblas_set_num_threads(1)
    return true
  }()

  /// What OpenBLAS must be told (`OPENBLAS_CORETYPE`, read when it is loaded) to use this processor's vectors; nil where
  /// it does. A version older than a processor may take it for one of 2004, with whose kernels training takes twice as long.
  ///
  /// - Parameter kernels: the runtime's own choice, "avx512" or "avx2".
  package static func coreType(for kernels: String) -> String? {
    guard let name = unsafe openblas_get_corename() else { return nil }
    guard ["Prescott", "Core2", "Generic", "Unknown"].contains(unsafe String(cString: name)) else {
      return nil
    }
    return ["avx512": "SkylakeX", "avx2": "Haswell"][kernels]
  }

  /// `c = alpha * a' * b' + beta * c`, where `a'` is `a` or its transpose. O(rows * columns * depth).
  ///
  /// - Parameter beta: 0 writes over what `c` holds, NaN included.
  package static func multiply(
    _ a: Block, aTransposed transposesA: Bool = false, by b: Block, bTransposed transposesB: Bool = false,
    into c: Block, alpha: Float = 1, beta: Float = 0
  ) {
    let depth = transposesA ? a.rows : a.columns
    precondition((transposesA ? a.columns : a.rows) == c.rows, "rows of the product differ")
    precondition((transposesB ? b.rows : b.columns) == c.columns, "columns of the product differ")
    precondition((transposesB ? b.columns : b.rows) == depth, "the factors do not fit")
    guard c.rows > 0, c.columns > 0, isPinned else { return }
    unsafe cblas_sgemm(
      CblasRowMajor, transposesA ? CblasTrans : CblasNoTrans, transposesB ? CblasTrans : CblasNoTrans,
      Int32(c.rows), Int32(c.columns), Int32(depth), alpha, pointer(a), Int32(max(1, a.stride)), pointer(b),
      Int32(max(1, b.stride)), beta, pointer(c), Int32(max(1, c.stride)))
  }

  @unsafe private static func pointer(_ block: Block) -> UnsafeMutablePointer<Float> {
    let end = block.rows == 0 ? 0 : (block.rows - 1) * block.stride + block.columns
    return unsafe block.buffer.pointer(block.offset..<block.offset + end)
  }
}

extension ThreadPool {
  /// The same, with the rows or columns of `c`, whichever are more, shared out among the threads.
  func multiply(
    _ a: Block, aTransposed transposesA: Bool = false, by b: Block, bTransposed transposesB: Bool = false,
    into c: Block, alpha: Float = 1, beta: Float = 0
  ) {
    let splitsRows = c.rows >= c.columns
    let count = splitsRows ? c.rows : c.columns, size = Self.partSize(count, threadCount)
    run((count + size - 1) / size) { chunk, _ in
      let part = chunk * size..<min(count, (chunk + 1) * size)
      if splitsRows {
        MatrixProduct.multiply(
          transposesA ? a.columns(part) : a.rows(part), aTransposed: transposesA, by: b,
          bTransposed: transposesB, into: c.rows(part), alpha: alpha, beta: beta)
      } else {
        MatrixProduct.multiply(
          a, aTransposed: transposesA, by: transposesB ? b.rows(part) : b.columns(part),
          bTransposed: transposesB, into: c.columns(part), alpha: alpha, beta: beta)
      }
    }
  }

  /// One part for each thread, for each packs the other factor anew.
  private static func partSize(_ count: Int, _ threads: Int) -> Int {
    max(16, ((count + threads - 1) / threads + 15) / 16 * 16)
  }

  /// Calls `body` with ranges of up to `size` indices that cover `0..<count`. What they are does not
  /// depend on the number of threads.
  func forEachPart(_ count: Int, size: Int, _ body: (_ part: Int, _ range: Range<Int>) -> Void) {
    run((count + size - 1) / size) { part, _ in
      body(part, part * size..<min(count, (part + 1) * size))
    }
  }
}
