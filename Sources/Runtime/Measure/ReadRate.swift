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

/// Keeps the optimiser from leaving out what computes `value`.
@inline(never) private func blackHole(_ value: UInt64) {}
