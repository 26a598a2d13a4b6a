import CKernels

/// How keys and values are stored.
public enum CacheType: String, Sendable, CaseIterable {
  case f32
  case f16
  case q8_0

  var typeNumber: Int32 {
    switch self {
    case .f32: Int32(DUET_F32)
    case .f16: Int32(DUET_F16)
    case .q8_0: Int32(DUET_Q8_0)
    }
  }
}

/// The shape of every page of one model's cache.
package struct CacheLayout: Sendable, Equatable {
  package let layers: Int
  package let heads: Int
  package let headSize: Int
  package let type: CacheType

  /// Bytes of the keys, or of the values, of one head in one layer: whole cache lines.
  package var planeBytes: Int { (duet_page_bytes(type.typeNumber, headSize) + 63) / 64 * 64 }
  /// Bytes of a page.
  package var pageBytes: Int { layers * heads * 2 * planeBytes }

  /// Tokens per page.
  package static let pageTokens = Int(DUET_PAGE_TOKENS)
}

/// The keys and values of up to 64 neighbouring tokens, of all layers. A page that is full never
/// changes again and may be shared.
@safe package final class CachePage: @unchecked Sendable {
  package let layout: CacheLayout
  private let base: UnsafeMutableRawPointer
  /// What the page lies in, if it is one of a file's; such pages are never written to.
  private let file: MappedFile?

  package init(_ layout: CacheLayout) {
    self.layout = layout
    file = nil
    unsafe base = .allocate(byteCount: max(64, layout.pageBytes), alignment: 64)
  }

  /// A copy, to be written on where the original is shared.
  package init(copying page: CachePage) {
    layout = page.layout
    file = nil
    unsafe base = .allocate(byteCount: max(64, layout.pageBytes), alignment: 64)
    unsafe base.copyMemory(from: page.base, byteCount: layout.pageBytes)
  }

  /// A full page as it lies in a file, from byte `offset` on, which is a multiple of 64.
  init(_ layout: CacheLayout, in file: MappedFile, at offset: Int) {
    precondition(offset % 64 == 0, "a page begins at a multiple of 64")
    self.layout = layout
    self.file = file
    unsafe base = UnsafeMutableRawPointer(mutating: file.pointer(offset..<offset + layout.pageBytes))
  }

  deinit { if file == nil { unsafe base.deallocate() } }

  /// Whether tokens may be stored.
  var isWritable: Bool { file == nil }

  /// Calls `body` with all bytes.
  func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    let buffer = unsafe UnsafeRawBufferPointer(start: base, count: layout.pageBytes)
    return unsafe try body(RawSpan(_unsafeBytes: buffer))
  }

  /// Where the keys and values lie; valid while the object lives.
  var place: PagePlace { unsafe PagePlace(base: base, layout: layout) }

  /// Writes the keys and the values of the page's token `slot`, for all heads of one layer: [heads, head size] from
  /// `start` on.
  package func store(
    key: FloatBuffer, value: FloatBuffer, at start: Int, slot: Int, layer: Int, _ operations: Operations
  ) {
    precondition(isWritable && slot >= 0 && slot < CacheLayout.pageTokens, "slot outside of the page")
    let size = layout.headSize, place = place, range = start..<start + layout.heads * size
    let keys = unsafe key.pointer(range), values = unsafe value.pointer(range)
    for head in 0..<layout.heads {
      unsafe operations.table.pointee.store(
        keys + head * size, values + head * size, size, layout.type.typeNumber, slot,
        place.plane(layer, head, 0), place.plane(layer, head, 1))
    }
  }

}

/// Where the keys and values of a page lie. No reference is counted: threads that attend to the same pages would wait
/// for one another.
@safe struct PagePlace: @unchecked Sendable {
  private let base: UnsafeMutableRawPointer
  private let layers: Int
  private let heads: Int
  private let planeBytes: Int

  @unsafe init(base: UnsafeMutableRawPointer, layout: CacheLayout) {
    unsafe self.base = unsafe base
    (layers, heads, planeBytes) = (layout.layers, layout.heads, layout.planeBytes)
  }

  /// The keys (0) or values (1) of a head.
  @unsafe func plane(_ layer: Int, _ head: Int, _ which: Int) -> UnsafeMutableRawPointer {
    precondition(layer >= 0 && layer < layers && head >= 0 && head < heads, "no such head")
    return unsafe base + ((layer * heads + head) * 2 + which) * planeBytes
  }

  /// Has waiting threads fetch keys and values of a layer, one head's each.
  func announce(to pool: ThreadPool, layer: Int) {
    unsafe pool.announce(plane(layer, 0, 0), bytes: 2 * planeBytes)
  }

  /// The kernels' view of one head; valid while the page lives.
  @unsafe func view(layer: Int, head: Int) -> duet_page {
    unsafe duet_page(
      keys: UnsafeRawPointer(plane(layer, head, 0)), values: UnsafeRawPointer(plane(layer, head, 1)))
  }
}
