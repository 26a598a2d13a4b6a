import DuetRuntime
import Synchronization

/// What has been written of one tensor.
public struct TensorResult: Sendable {
  /// The name.
  public let name: String
  /// The type that it was.
  public let sourceType: TensorType
  /// The type that it is.
  public let type: TensorType
  /// Values.
  public let elementCount: Int
  /// Bytes that it takes.
  public let byteCount: Int
  /// What it differs from the source by; nothing where it was copied.
  public let error: QuantizationError
}

/// Quantizes tensors row by row on a pool of threads. Rows are independent of each other, so neither
/// the number of threads nor the order of their work changes a bit.
final class Quantizer {
  private let encoder: Encoder
  private let operations: Operations
  private let pool: ThreadPool
  private let options: QuantizationOptions
  private var scratch: [Scratch] = []

  /// Bytes of blocks that are made before they are written: bounds the memory in use.
  private static let slabBytes = 8 << 20
  /// Values of a chunk of work, some tens of microseconds' worth.
  private static let chunkValues = 16_384

  private struct Scratch {
    let source: FloatBuffer
    let decoded: FloatBuffer
  }

  init(_ options: QuantizationOptions) throws(QuantizerError) {
    do {
      encoder = try Encoder(tier: options.kernels)
      operations = try Operations(tier: options.kernels)
    } catch { throw .kernels(error) }
    self.options = options
    pool = ThreadPool(threadCount: options.threads ?? processorCount())
  }

  /// Room for one row per thread.
  private func grow(_ columns: Int) {
    guard scratch.isEmpty || scratch[0].source.count < columns else { return }
    scratch = (0..<pool.threadCount).map { _ in
      Scratch(source: FloatBuffer(count: columns), decoded: FloatBuffer(count: columns))
    }
  }

  /// Makes the blocks of a tensor, slab by slab.
  ///
  /// - Parameters:
  ///   - stride: only every so-many-th row is made; 1 for all.
  ///   - write: called with the bytes of consecutive rows.
  /// - Returns: what they differ from the source by.
  func quantize(
    _ tensor: TensorInfo, to type: TensorType, searches: Bool, stride: Int = 1,
    write: (RawSpan) throws(QuantizerError) -> Void
  ) throws(QuantizerError) -> QuantizationError {
    let columns = tensor.columns, rowBytes = type.rowBytes(columns),
      rows = (tensor.rows + stride - 1) / stride
    let slabRows = max(1, min(rows, Self.slabBytes / rowBytes))
    let blocks = ByteBuffer(count: slabRows * rowBytes)
    let weights = options.importance?.weights(tensor)
    let job = Job(tensor: tensor, type: type, searches: searches, stride: stride, weights: weights)
    grow(columns)
    var sums = QuantizationError()
    for first in Swift.stride(from: 0, to: rows, by: slabRows) {
      let range = first..<min(rows, first + slabRows)
      sums += try makeSlab(job, range, blocks)
      try blocks.withBytes(0..<range.count * rowBytes, write)
      tensor.release(rows: range.lowerBound * stride..<min(tensor.rows, range.upperBound * stride))
    }
    return sums
  }

  private struct Job {
    let tensor: TensorInfo
    let type: TensorType
    let searches: Bool
    let stride: Int
    let weights: FloatBuffer?
  }

  /// Makes the rows of `range`, and says what they differ by, summed in the order of the chunks.
  private func makeSlab(_ job: Job, _ range: Range<Int>, _ blocks: ByteBuffer) throws(QuantizerError)
    -> QuantizationError
  {
    let chunkRows = max(1, Self.chunkValues / job.tensor.columns, (range.count + 4_095) / 4_096)
    let chunks = (range.count + chunkRows - 1) / chunkRows
    let outcomes = Mutex(Array(repeating: Outcome(), count: chunks))
    pool.run(chunks) { chunk, worker in
      let start = range.lowerBound + chunk * chunkRows
      var outcome = Outcome()
      for row in start..<min(range.upperBound, start + chunkRows) {
        let offset = (row - range.lowerBound) * job.type.rowBytes(job.tensor.columns)
        let isGood = makeRow(
          job, row * job.stride, scratch[worker], blocks, at: offset, &outcome.sums)
        if !isGood { outcome.badRow = min(outcome.badRow, row * job.stride) }
      }
      outcomes.withLock { $0[chunk] = outcome }
    }
    let all = outcomes.withLock { $0 }
    if let bad = all.map(\.badRow).min(), bad != .max {
      throw .notFinite(path: job.tensor.file.path, tensor: job.tensor.name, row: bad)
    }
    var sums = QuantizationError()
    for outcome in all { sums += outcome.sums }
    return sums
  }

  /// What one chunk of work came to.
  private struct Outcome {
    var sums = QuantizationError()
    var badRow = Int.max
  }

  private func makeRow(
    _ job: Job, _ row: Int, _ scratch: Scratch, _ blocks: ByteBuffer, at offset: Int,
    _ sums: inout QuantizationError
  ) -> Bool {
    let columns = job.tensor.columns
    let isRead: Void? = try? operations.floats(of: job.tensor, rows: row..<row + 1, out: scratch.source)
    guard isRead != nil, encoder.isFinite(scratch.source, 0..<columns) else { return false }
    // Experts have columns of their own each.
    let slices = job.weights.map { $0.count / columns } ?? 1
    let start = slices > 1 ? row / max(1, job.tensor.rows / slices) * columns : 0
    let range = start..<start + columns
    encoder.encode(
      job.type, search: job.searches, scratch.source, 0..<columns, weights: job.weights, range, out: blocks,
      at: offset)
    encoder.decode(job.type, blocks, at: offset, count: columns, out: scratch.decoded)
    encoder.addDifference(
      scratch.source, 0..<columns, scratch.decoded, weights: job.weights, range, to: &sums)
    return true
  }
}

extension QuantizationPlan {
  /// Writes the file.
  ///
  /// - Parameters:
  ///   - path: of the file, which appears when it is complete.
  ///   - options: those that the plan was made with.
  ///   - replaces: whether a file that is there already may be replaced.
  ///   - progress: called with the bytes read and in all.
  /// - Returns: what has been written, tensor by tensor.
  /// - Throws: `QuantizerError`, after which there is no new file; `CancellationError` when the task is
  ///   cancelled.
  public func write(
    to path: String, options: QuantizationOptions, replaces: Bool = false,
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> [TensorResult] {
    let quantizer = try Quantizer(options)
    let writer: GGUFWriter
    do {
      writer = try GGUFWriter(
        path: path, metadata: metadata, tensors: tensors.map(\.plan), replaces: replaces)
    } catch { throw QuantizerError.output(error) }
    let total = file.tensors.reduce(0) { $0 + $1.range.count }
    var results: [TensorResult] = [], done = 0
    for tensor in tensors {
      try Task.checkCancellation()
      results.append(
        try write(tensor, quantizer, writer, searches: searches(tensor, options)) { bytes in
          progress(done + bytes, total)
        })
      done += tensor.source.range.count
      progress(done, total)
    }
    do { try writer.finish(isReproducible: true) } catch { throw QuantizerError.output(error) }
    return results
  }

  /// What stands in for a K type is searched like the type that was asked for; at eight bits there is nothing
  /// to find.
  private func searches(_ tensor: TensorAssignment, _ options: QuantizationOptions) -> Bool {
    options.searches || options.importance != nil || tensor.fallenBackFrom != nil && tensor.type != .q8_0
  }

  private func write(
    _ tensor: TensorAssignment, _ quantizer: Quantizer, _ writer: GGUFWriter, searches: Bool,
    _ progress: (Int) -> Void
  ) throws -> TensorResult {
    let source = tensor.source
    var error = QuantizationError(), written = 0
    if source.type == tensor.type, source.rowOrder == .asNamed {
      try copy(source, writer)
    } else {
      error = try quantizer.quantize(source, to: tensor.type, searches: searches) {
        (bytes) throws(QuantizerError) in
        do throws(GGUFWriteError) { try writer.write(bytes) } catch { throw QuantizerError.output(error) }
        written += bytes.byteCount
        progress(Int(Double(source.range.count) * Double(written) / Double(tensor.byteCount)))
        if Task.isCancelled { throw QuantizerError.cancelled }
      }
    }
    return TensorResult(
      name: source.name, sourceType: source.type, type: tensor.type, elementCount: source.elementCount,
      byteCount: tensor.byteCount, error: error)
  }

  private func copy(_ tensor: TensorInfo, _ writer: GGUFWriter) throws(QuantizerError) {
    let piece = 8 << 20
    for start in stride(from: tensor.range.lowerBound, to: tensor.range.upperBound, by: piece) {
      let range = start..<min(tensor.range.upperBound, start + piece)
      do {
        try tensor.file.withBytes(range) { (bytes) throws(GGUFWriteError) in try writer.write(bytes) }
      } catch { throw .output(error) }
      tensor.file.release(range)
    }
  }
}

extension TensorInfo {
  /// Lets go of the pages of some rows.
  func release(rows: Range<Int>) {
    let rowBytes = type.rowBytes(columns)
    let start = range.lowerBound + rows.lowerBound * rowBytes
    file.release(start..<start + rows.count * rowBytes)
  }
}
