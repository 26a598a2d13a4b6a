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
/// quantized weights are multiplied by, once `quantize` has been called for a token. Where it was made of floats that
/// lie elsewhere (`quantize(_:from:)`), `values` says nothing of that token.
@safe package final class Activations: @unchecked Sendable {
  /// Tokens of a tile, which begins at a multiple of them.
  package static let tileTokens = Int(DUET_TILE_TOKENS)

  /// Tiles that are made at a time: what one is made from has left the core's queue of stores by then.
  private static let tilesTogether = 4

  package let width: Int
  package let capacity: Int
  package let values: FloatBuffer
  private let quantized: UnsafeMutablePointer<Int8>
  private let scales: UnsafeMutablePointer<duet_run_scale>
  private let views: UnsafeMutablePointer<duet_activations>
  /// The int8 form once more, in tiles: [tiles, runs]; nil for none.
  private let tiles: UnsafeMutableRawPointer?
  private let tileBytes: Int

  /// Room for `capacity` tokens of `width` values.
  ///
  /// - Parameter panels: whose panels the tokens may be multiplied by: of these tokens tiles are made, where the tier
  ///   has them. The system provides their memory as it first is written.
  package init(capacity: Int, width: Int, panels operations: Operations? = nil) {
    self.width = width
    self.capacity = capacity
    let size = unsafe operations?.table.pointee.tile_bytes ?? 0
    let runs = width / Int(DUET_RUN)
    let count = (capacity + Int(DUET_TILE_TOKENS) - 1) / Int(DUET_TILE_TOKENS) * runs
    tileBytes = size
    unsafe tiles = size * count > 0 ? .allocate(byteCount: size * count, alignment: 64) : nil
    values = FloatBuffer(count: capacity * width)
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
    unsafe tiles?.deallocate()
  }

  /// The values of one token within `values`.
  package func range(_ token: Int) -> Range<Int> { token * width..<(token + 1) * width }

  /// Makes the int8 form of some tokens. Widths that are no multiple of 32 have none, and no
  /// quantized weights either.
  ///
  /// - Parameters:
  ///   - part: whole runs of 32; nil for all.
  ///   - source: where the floats of that part lie, if not in `values`: of the first of `tokens` first.
  ///   - forPanels: whether panels will be multiplied by it.
  package func quantize(
    _ tokens: Range<Int>, within part: Range<Int>? = nil, from source: Pixels? = nil, forPanels: Bool = false,
    _ operations: Operations
  ) {
    let part = part ?? 0..<width, run = Int(DUET_RUN), runs = part.count / run
    guard width % run == 0 else { return }
    precondition(
      tokens.lowerBound >= 0 && tokens.upperBound <= capacity && part.upperBound <= width,
      "outside of the batch")
    precondition(part.lowerBound % run == 0 && part.upperBound % run == 0, "a part that cuts runs")
    let floats = source ?? Pixels(values, stride: width, from: tokens.lowerBound * width + part.lowerBound)
    for token in tokens {
      let start = token * width + part.lowerBound
      unsafe operations.table.pointee.quantize(
        floats.pointer(token - tokens.lowerBound..<token - tokens.lowerBound + 1, 0..<part.count), part.count,
        quantized + start, scales + start / run
      )
    }
    guard forPanels, let tiles = unsafe tiles else { return }
    let size = Int(DUET_TILE_TOKENS)
    var token = tokens.lowerBound
    while token < tokens.upperBound {
      let end = min(tokens.upperBound, (token / size + 1) * size), start = token * width + part.lowerBound
      let first = token / size * (width / run) + part.lowerBound / run
      unsafe operations.table.pointee.lay_in_tile(
        quantized + start, scales + start / run, width / run, runs, token % size, end - token,
        tiles + first * tileBytes)
      token = end
    }
  }

  /// Makes the tiles alone of the tokens of a part, a run of a tile at a time: threads that take other parts of the
  /// same tokens write no line of memory in common. Without tiles the int8 form.
  package func makeTiles(_ tokens: Range<Int>, within part: Range<Int>, _ operations: Operations) {
    guard let tiles = unsafe tiles else { return quantize(tokens, within: part, operations) }
    let run = Int(DUET_RUN), size = Int(DUET_TILE_TOKENS)
    precondition(
      tokens.lowerBound >= 0 && tokens.upperBound <= capacity && part.upperBound <= width,
      "outside of the batch")
    precondition(
      tokens.lowerBound % size == 0 && part.lowerBound % run == 0 && part.upperBound % run == 0,
      "a part that cuts tiles or runs")
    let block = Self.tilesTogether * size, quantize = unsafe operations.table.pointee.quantize
    let lay = unsafe operations.table.pointee.lay_in_tile, runs = width / run,
      source = unsafe values.pointer(0..<values.count)
    unsafe withUnsafeTemporaryAllocation(of: Int8.self, capacity: block * run) { q in
      unsafe withUnsafeTemporaryAllocation(of: duet_run_scale.self, capacity: block) { scales in
        guard let q = q.baseAddress, let scales = scales.baseAddress else { return }
        for first in stride(from: tokens.lowerBound, to: tokens.upperBound, by: block) {
          let count = min(block, tokens.upperBound - first)
          for start in stride(from: part.lowerBound, to: part.upperBound, by: run) {
            for token in 0..<count {
              unsafe quantize?(source + (first + token) * width + start, run, q + token * run, scales + token)
            }
            for token in stride(from: 0, to: count, by: size) {
              let tile = (first + token) / size * runs + start / run
              unsafe lay?(
                q + token * run, scales + token, 1, 1, 0, min(size, count - token), tiles + tile * tileBytes)
            }
          }
        }
      }
    }
  }

  /// What weights of a type, by its number in files, read of one token.
  package func tokenBytes(of type: Int32) -> Int {
    let isFloat = type == Int32(DUET_F32) || type == Int32(DUET_F16) || type == Int32(DUET_BF16)
    return max(1, isFloat ? 4 * width : width + width / Int(DUET_RUN) * MemoryLayout<duet_run_scale>.stride)
  }

  /// The tiles from `token` on, which begins one; nil where there are none. Valid while the object lives.
  @unsafe package func tiles(from token: Int) -> UnsafeRawPointer? {
    precondition(token >= 0 && token % Int(DUET_TILE_TOKENS) == 0 && token < capacity, "no tile begins there")
    guard let tiles = unsafe tiles else { return nil }
    let first = token / Int(DUET_TILE_TOKENS) * (width / Int(DUET_RUN))
    return unsafe UnsafeRawPointer(tiles + first * tileBytes)
  }

  /// The kernels' view of `tokens`; valid while the object lives.
  @unsafe package func view(_ tokens: Range<Int>) -> UnsafePointer<duet_activations> {
    precondition(tokens.lowerBound >= 0 && tokens.upperBound <= capacity, "tokens outside of the batch")
    return unsafe UnsafePointer(views + tokens.lowerBound)
  }
}
