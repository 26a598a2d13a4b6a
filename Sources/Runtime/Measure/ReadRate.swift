import CKernels

/// How fast the bytes of a mapped file can be read by the threads of a pool, in bytes per second:
/// the limit of decoding, which reads every weight once per token.
///
/// - Parameter rounds: the fastest of so many passes counts, after one that warms the page cache.
package func readRate(_ file: GGUFFile, pool: ThreadPool, rounds: Int = 5) -> Double {
  let piece = 1 << 20
  let pieces = file.parts.flatMap { part in
    stride(from: 0, to: part.count, by: piece).map { (part, $0..<min(part.count, $0 + piece)) }
  }
  let bytes = file.parts.reduce(0) { $0 + $1.count }
  let clock = ContinuousClock()
  var best = Duration.seconds(3_600)
  for round in 0...rounds {
    let time = clock.measure {
      pool.run(min(pieces.count, ThreadPool.maximumChunks)) { index, _ in
        let (part, range) = pieces[index]
        unsafe blackHole(duet_read(part.pointer(range), range.count))
      }
    }
    if round > 0 { best = min(best, time) }
  }
  return Double(bytes) / (best / .seconds(1))
}

/// How many products a second the threads of a pool could make if nothing had to be loaded, scaled or stored: the
/// limit of reading a prompt. nil where the kernels do not say.
///
/// - Parameters:
///   - inFloat: products of floats instead of bytes.
///   - passes: the fastest of so many counts, each of a few milliseconds.
package func peakRate(_ operations: Operations, pool: ThreadPool, inFloat: Bool, passes: Int = 5) -> Double? {
  let clock = ContinuousClock(), rounds = 500_000
  guard let products = operations.makePeakProducts(inFloat: inFloat, rounds: 1) else { return nil }
  var best = Duration.seconds(3_600)
  for _ in 0..<max(1, passes) {
    let time = clock.measure {
      pool.run(pool.threadCount) { _, _ in
        _ = operations.makePeakProducts(inFloat: inFloat, rounds: rounds)
      }
    }
    best = min(best, time)
  }
  return Double(products * rounds * pool.threadCount) / (best / .seconds(1))
}

/// Keeps the optimiser from leaving out what computes `value`.
@inline(never) private func blackHole(_ value: UInt64) {}
