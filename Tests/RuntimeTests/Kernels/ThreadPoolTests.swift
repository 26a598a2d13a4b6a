import DuetRuntime
import Foundation
import Synchronization
import Testing

@Suite struct ThreadPoolTests {
  /// Counts how often each chunk of a loop is run.
  private final class Counts: Sendable {
    private let counts: Mutex<[Int]>
    init(_ count: Int) { counts = Mutex([Int](repeating: 0, count: count)) }
    func add(_ index: Int) { counts.withLock { $0[index] += 1 } }
    var areAllOne: Bool { counts.withLock { $0.allSatisfy { $0 == 1 } } }
  }

  /// Takes about `rounds` nanoseconds.
  private func work(_ rounds: Int) -> UInt64 {
    var state = UInt64(rounds) | 1
    for _ in 0..<rounds { state = state &* 6_364_136_223_846_793_005 &+ 1 }
    return state
  }

  @Test(arguments: 1...4)
  func `every chunk is run exactly once by a thread of the pool`(_ threads: Int) {
    let pool = ThreadPool(threadCount: threads)
    #expect(pool.threadCount == threads)
    for count in [0, 1, 2, 3, 7, 64, 1_000] {
      let counts = Counts(count), strangers = Atomic(0)
      pool.run(count) { chunk, worker in
        counts.add(chunk)
        if !(0..<threads).contains(worker) { strangers.wrappingAdd(1, ordering: .relaxed) }
      }
      #expect(counts.areAllOne, "\(count) chunks")
      #expect(strangers.load(ordering: .relaxed) == 0)
    }
  }

  @Test(arguments: 1...4)
  func `thousands of short loops follow each other without losing a chunk`(_ threads: Int) {
    let pool = ThreadPool(threadCount: threads)
    let total = Atomic(0)
    var expected = 0
    for loop in 0..<20_000 {
      let count = 1 + loop % 9
      pool.run(count) { chunk, _ in total.wrappingAdd(chunk + 1, ordering: .relaxed) }
      expected += count * (count + 1) / 2
      // What a loop did is seen once it is over.
      guard total.load(ordering: .relaxed) == expected else {
        Issue.record("loop \(loop)")
        return
      }
    }
  }

  @Test(arguments: 2...4)
  func `no worker runs two chunks at a time`(_ threads: Int) {
    let pool = ThreadPool(threadCount: threads)
    let busy = Mutex(Set<Int>()), clashes = Atomic(0)
    for _ in 0..<200 {
      pool.run(32) { chunk, worker in
        if !busy.withLock({ $0.insert(worker).inserted }) { clashes.wrappingAdd(1, ordering: .relaxed) }
        if work(chunk * 20) == 0 { clashes.wrappingAdd(1, ordering: .relaxed) }
        busy.withLock { _ = $0.remove(worker) }
      }
    }
    #expect(clashes.load(ordering: .relaxed) == 0)
  }

  @Test(arguments: 2...4)
  func `chunks of very different lengths are all done`(_ threads: Int) {
    let pool = ThreadPool(threadCount: threads)
    for long in [0, 17, 39] {
      let counts = Counts(40)
      pool.run(40) { chunk, _ in
        if work(chunk == long ? 3_000_000 : 100) != 0 { counts.add(chunk) }
      }
      #expect(counts.areAllOne)
    }
  }

  @Test(arguments: 2...4)
  func `workers that fell asleep wake up`(_ threads: Int) {
    let pool = ThreadPool(threadCount: threads)
    for _ in 0..<20 {
      Thread.sleep(forTimeInterval: 0.004)
      for _ in 0..<3 {
        let counts = Counts(50)
        pool.run(50) { chunk, _ in counts.add(chunk) }
        #expect(counts.areAllOne)
      }
    }
  }

  @Test(arguments: 1...4)
  func `what is announced is a hint, whatever lies there`(_ threads: Int) {
    let pool = ThreadPool(threadCount: threads), sum = Atomic<Int>(0)
    guard let nowhere = unsafe UnsafeRawPointer(bitPattern: 4_096) else { return }
    for bytes in [0, 1, 1 << 20, .max] {
      unsafe pool.announce(nowhere, bytes: bytes)
      for _ in 0..<200 {
        pool.run(7) { chunk, _ in sum.wrappingAdd(chunk, ordering: .relaxed) }
      }
    }
    #expect(sum.load(ordering: .relaxed) == 4 * 200 * 21)
  }

  @Test func `a sleeping worker takes part`() {
    let pool = ThreadPool(threadCount: 2)
    Thread.sleep(forTimeInterval: 0.02)
    let seen = Mutex(Set<Int>())
    // Each of the two chunks waits for the other, up to a second.
    pool.run(2) { _, worker in
      seen.withLock { _ = $0.insert(worker) }
      let end = ContinuousClock.now + .seconds(5)
      while seen.withLock({ $0.count }) < 2, ContinuousClock.now < end {
        Thread.sleep(forTimeInterval: 0.001)
      }
    }
    #expect(seen.withLock { $0 } == [0, 1])
  }

  @Test func `pools come and go`() {
    for round in 0..<400 {
      let pool = ThreadPool(threadCount: 1 + round % 5)
      guard round % 3 != 0 else { continue }
      let counts = Counts(20)
      pool.run(20) { chunk, _ in counts.add(chunk) }
      #expect(counts.areAllOne)
    }
  }

  @Test func `as many chunks as are allowed are run, and fewer threads than one are one`() {
    let pool = ThreadPool(threadCount: 3)
    let total = Atomic(0)
    pool.run(ThreadPool.maximumChunks) { _, _ in total.wrappingAdd(1, ordering: .relaxed) }
    #expect(total.load(ordering: .relaxed) == ThreadPool.maximumChunks)
    #expect(ThreadPool(threadCount: 0).threadCount == 1 && ThreadPool(threadCount: -3).threadCount == 1)
  }
}
