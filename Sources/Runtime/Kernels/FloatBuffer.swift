import CKernels

/// Memory for floats, aligned to a cache line, that several threads write disjoint parts of.
///
/// Every access states a range and checks it. Who may write which part when is the caller's
/// agreement (a loop of the thread pool hands each chunk its own part), hence `@unchecked`.
@safe package final class FloatBuffer: @unchecked Sendable {
  package let count: Int
  private let base: UnsafeMutablePointer<Float>

  /// Values that are yet to be written. The system provides the pages of a large buffer as they
  /// first are.
  package init(count: Int) {
    self.count = count
    let bytes = max(64, count * MemoryLayout<Float>.stride)
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    unsafe base = raw.bindMemory(to: Float.self, capacity: max(1, count))
    // Small ones come from memory that was used before.
    if bytes <= 65_536 { unsafe base.initialize(repeating: 0, count: count) }
  }

  package convenience init(_ values: some Collection<Float>) {
    self.init(count: values.count)
    for (index, value) in values.enumerated() { self[index] = value }
  }

  deinit {
    unsafe UnsafeMutableRawPointer(base).deallocate()
  }

  package subscript(index: Int) -> Float {
    get {
      precondition(index >= 0 && index < count, "index outside of the buffer")
      return unsafe base[index]
    }
    set {
      precondition(index >= 0 && index < count, "index outside of the buffer")
      unsafe base[index] = newValue
    }
  }

  /// The values of `range`.
  package func withSpan<R>(_ range: Range<Int>, _ body: (Span<Float>) throws -> R) rethrows -> R {
    try body(unsafe Span(_unsafeElements: UnsafeBufferPointer(start: pointer(range), count: range.count)))
  }

  /// A copy of the values of `range`.
  package func array(_ range: Range<Int>) -> [Float] {
    unsafe Array(UnsafeBufferPointer(start: pointer(range), count: range.count))
  }

  /// The address of `range`, for the kernels; valid while the object lives.
  @unsafe package func pointer(_ range: Range<Int>) -> UnsafeMutablePointer<Float> {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside of the buffer")
    return unsafe base + range.lowerBound
  }
}

/// Activations of several tokens, [tokens, width]: floats, and beside them the int8 form that
/// quantized weights are multiplied by, once `quantize` has been called for a token.
@safe package final class Activations: @unchecked Sendable {
  package let width: Int
  package let capacity: Int
  package let values: FloatBuffer
  private let quantized: UnsafeMutablePointer<Int8>
  private let scales: UnsafeMutablePointer<duet_run_scale>
  private let views: UnsafeMutablePointer<duet_activations>

  /// Room for `capacity` tokens of `width` values.
  package init(capacity: Int, width: Int) {
    self.width = width
    self.capacity = capacity
    values = FloatBuffer(count: capacity * width)
    let runs = width / Int(DUET_RUN)
    unsafe quantized = .allocate(capacity: max(1, capacity * width))
    unsafe scales = .allocate(capacity: max(1, capacity * runs))
    unsafe views = .allocate(capacity: max(1, capacity))
    for token in 0..<capacity {
      unsafe views[token] = duet_activations(
        x: UnsafePointer(values.pointer(token * width..<(token + 1) * width)),
        q: UnsafePointer(quantized + token * width), scales: UnsafePointer(scales + token * runs))
    }
  }

  deinit {
    unsafe quantized.deallocate()
    unsafe scales.deallocate()
    unsafe views.deallocate()
  }

  /// The values of one token within `values`.
  package func range(_ token: Int) -> Range<Int> { token * width..<(token + 1) * width }

  /// Makes the int8 form of one token. Widths that are no multiple of 32 have none, and no
  /// quantized weights either.
  package func quantize(_ token: Int, _ operations: Operations) {
    quantize(token, 0..<width, operations)
  }

  /// The same for a part of a token: whole runs of 32.
  package func quantize(_ token: Int, _ part: Range<Int>, _ operations: Operations) {
    let run = Int(DUET_RUN)
    guard width % run == 0 else { return }
    precondition(token >= 0 && token < capacity && part.upperBound <= width, "outside of the batch")
    precondition(part.lowerBound % run == 0 && part.upperBound % run == 0, "a part that cuts runs")
    let start = token * width + part.lowerBound
    unsafe operations.table.pointee.quantize(
      values.pointer(start..<start + part.count), part.count, quantized + start, scales + start / run)
  }

  /// The kernels' view of `tokens`; valid while the object lives.
  @unsafe package func view(_ tokens: Range<Int>) -> UnsafePointer<duet_activations> {
    precondition(tokens.lowerBound >= 0 && tokens.upperBound <= capacity, "tokens outside of the batch")
    return unsafe UnsafePointer(views + tokens.lowerBound)
  }
}
