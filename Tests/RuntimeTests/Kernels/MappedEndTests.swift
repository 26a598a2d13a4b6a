import CKernels
import DuetRuntime
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A mapped file may end where its last page does: whoever reads one byte further is killed.
@Suite struct MappedEndTests {
  private struct NoMemory: Error {}

  /// Calls `body` with a copy of `bytes` that ends where a page begins that cannot be read.
  private func atEndOfMemory(_ bytes: [UInt8], _ body: (UnsafeRawPointer) -> Void) throws {
    let page = Int(sysconf(Int32(_SC_PAGESIZE))), room = (bytes.count + page - 1) / page * page
    let base = unsafe mmap(nil, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)
    guard let memory = unsafe base, unsafe memory != MAP_FAILED else { throw NoMemory() }
    defer { unsafe munmap(memory, room + page) }
    guard unsafe mprotect(memory + room, page, PROT_NONE) == 0 else { throw NoMemory() }
    let copy = unsafe memory + (room - bytes.count)
    unsafe bytes.withUnsafeBytes { source in
      if let start = source.baseAddress { unsafe copy.copyMemory(from: start, byteCount: source.count) }
    }
    unsafe body(UnsafeRawPointer(copy))
  }

  @Test(arguments: Kernels.all, TensorType.allCases.filter(\.isQuantized))
  func `products read no byte beyond the weights`(_ kernels: Kernels, _ type: TensorType) throws {
    var random = SplitMix(seed: 5)
    for blocks in 1...12 {
      let n = blocks * type.blockLength
      let vector = kernels.quantize(randomFloats(n, &random))
      let weights = RandomWeights.rows(2, of: n, type, &random)
      for columns in [1, 2, 4, 8] {
        let vectors = Array(repeating: vector, count: columns)
        let expected = kernels.dotColumns(type, weights, rows: 2, vectors, stride: 2)
        try unsafe atEndOfMemory(weights) { end in
          let out = unsafe kernels.dotColumns(type, at: end, rows: 2, vectors, stride: 2)
          #expect(identical(out, expected), "\(blocks) blocks, \(columns) columns")
        }
      }
    }
  }
}
