import CKernels
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A fixed set of threads that share loops out among themselves.
///
/// A decoder step is some hundred short loops in a row, so a hand-off must cost well under a
/// microsecond: waiting workers spin for `spinLimit` rounds, then yield their core, then sleep.
/// Each thread has a range of chunks of its own, so that it reads neighbouring memory, and takes
/// them from an atomic counter; once it has none left it takes those of others, so a slow or busy
/// core does not hold up the rest. One loop runs at a time; `run` must not be called from within a
/// loop.
@safe package final class ThreadPool: @unchecked Sendable {
  /// Threads that work on a loop, the caller's among them.
  package let threadCount: Int

  /// A range of chunks: the next one to take (32 bits), and the first beyond the last (32).
  private struct Share: ~Copyable {
    let ticket = Atomic<UInt64>(0)
    // A cache line of its own.
    private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
  }

  /// The chunks that go before all others, then one share for each thread.
  private let shares: UnsafeMutablePointer<Share>
  /// The number of the loop in progress.
  private let loop = Atomic<Int>(0)
  private let completed = Atomic<Int>(0)
  private let sleepers = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  /// Written before tickets are published, read by those who drew a chunk of that loop.
  private nonisolated(unsafe) var body: (_ chunk: Int, _ worker: Int) -> Void = { _, _ in }
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let wake: UnsafeMutablePointer<pthread_cond_t>
  private var threads: [pthread_t] = []

  /// About 20 µs of pauses, then `yieldLimit` yields before a worker sleeps.
  private static let spinLimit = 1_000
  private static let yieldLimit = 200
  /// The most chunks that one loop may have.
  package static let maximumChunks = 1 << 19

  /// Starts `threadCount - 1` workers; at least the caller works.
  package init(threadCount: Int) {
    self.threadCount = max(1, min(threadCount, 256))
    unsafe shares = .allocate(capacity: self.threadCount + 1)
    for index in 0...self.threadCount { unsafe (shares + index).initialize(to: Share()) }
    unsafe lock = .allocate(capacity: 1)
    unsafe wake = .allocate(capacity: 1)
    unsafe pthread_mutex_init(lock, nil)
    unsafe pthread_cond_init(wake, nil)
    for worker in 1..<max(2, self.threadCount) where worker < self.threadCount { start(worker) }
  }

  /// Calls `body` once for each chunk in `0..<count`, on any thread, and returns when all are done.
  /// `worker` is below `threadCount` and differs between calls that run at the same time.
  ///
  /// - Parameter leading: chunks, the first ones, that no other is taken before.
  package func run(_ count: Int, leading: Int = 0, _ body: (_ chunk: Int, _ worker: Int) -> Void) {
    precondition(count <= Self.maximumChunks && leading <= count, "too many chunks")
    guard count > 1, threadCount > 1 else {
      for chunk in 0..<count { body(chunk, 0) }
      return
    }
    withoutActuallyEscaping(body) { escaping in
      unsafe self.body = escaping
      completed.store(0, ordering: .relaxed)
      publish(count, leading)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 { wakeAll() }
      work(0)
      waitForCompletion(count)
      unsafe self.body = { _, _ in }
    }
  }

  private func publish(_ count: Int, _ leading: Int) {
    share(0, 0..<leading)
    let rest = count - leading
    for worker in 0..<threadCount {
      let start = leading + rest * worker / threadCount
      share(worker + 1, start..<leading + rest * (worker + 1) / threadCount)
    }
    loop.wrappingAdd(1, ordering: .sequentiallyConsistent)
  }

  private func share(_ index: Int, _ chunks: Range<Int>) {
    let ticket = UInt64(chunks.upperBound) << 32 | UInt64(chunks.lowerBound)
    unsafe shares[index].ticket.store(ticket, ordering: .releasing)
  }

  /// Takes chunks until none is left. A chunk once drawn belongs to a loop that cannot end before
  /// it is counted as done, so `body` is that of its loop even if that began meanwhile.
  private func work(_ worker: Int) {
    var done = take(0, worker)
    for offset in 0..<threadCount { done += take((worker + offset) % threadCount + 1, worker) }
    if done > 0 { completed.wrappingAdd(done, ordering: .releasing) }
  }

  /// Takes the chunks of a share, and returns how many there were.
  private func take(_ index: Int, _ worker: Int) -> Int {
    var done = 0
    while unsafe Self.hasChunk(shares[index].ticket.load(ordering: .relaxed)) {
      let drawn = unsafe shares[index].ticket.wrappingAdd(1, ordering: .acquiringAndReleasing).oldValue
      guard Self.hasChunk(drawn) else { break }
      call(Int(drawn & 0xFFFF_FFFF), worker)
      done += 1
    }
    return done
  }

  private static func hasChunk(_ ticket: UInt64) -> Bool { ticket & 0xFFFF_FFFF < ticket >> 32 }

  /// A call of its own, so that this thread's hold on the closure ends before the chunk counts as
  /// done: `run` must not return while another thread still holds it.
  @inline(never) private func call(_ chunk: Int, _ worker: Int) {
    unsafe body(chunk, worker)
  }

  private func waitForCompletion(_ count: Int) {
    var rounds = 0
    while completed.load(ordering: .acquiring) < count { Self.pause(&rounds) }
  }

  /// Waits a moment for another thread that is at work: longer where it was called often before.
  static func pause(_ rounds: inout Int) {
    rounds += 1
    if rounds < spinLimit { duet_pause() } else { sched_yield() }
  }

  private func serve(_ worker: Int) {
    var rounds = 0, seen = 0
    while !stopping.load(ordering: .acquiring) {
      let now = loop.load(ordering: .acquiring)
      if now != seen {
        seen = now
        work(worker)
        rounds = 0
      } else {
        rounds += 1
        if rounds < Self.spinLimit {
          duet_pause()
        } else if rounds < Self.spinLimit + Self.yieldLimit {
          sched_yield()
        } else {
          sleep(after: seen)
          rounds = 0
        }
      }
    }
  }

  /// Waits for the loop that follows number `seen`.
  private func sleep(after seen: Int) {
    unsafe pthread_mutex_lock(lock)
    sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
    while loop.load(ordering: .sequentiallyConsistent) == seen && !stopping.load(ordering: .acquiring) {
      unsafe pthread_cond_wait(wake, lock)
    }
    sleepers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    unsafe pthread_mutex_unlock(lock)
  }

  private func wakeAll() {
    unsafe pthread_mutex_lock(lock)
    unsafe pthread_cond_broadcast(wake)
    unsafe pthread_mutex_unlock(lock)
  }

  private final class Start {
    unowned(unsafe) let pool: ThreadPool
    let worker: Int
    init(pool: ThreadPool, worker: Int) {
      unsafe self.pool = pool
      self.worker = worker
    }
  }

  /// A thread that cannot be created is done without.
  private func start(_ worker: Int) {
    var thread = pthread_t()
    let context = unsafe Unmanaged.passRetained(Start(pool: self, worker: worker))
    let code = unsafe pthread_create(
      &thread, nil,
      { pointer in
        #if canImport(Darwin)
          let start = unsafe Unmanaged<Start>.fromOpaque(pointer).takeRetainedValue()
        #else
          guard let pointer = unsafe pointer else { return nil }
          let start = unsafe Unmanaged<Start>.fromOpaque(pointer).takeRetainedValue()
        #endif
        unsafe start.pool.serve(start.worker)
        return nil
      }, context.toOpaque())
    if code == 0 { threads.append(thread) } else { unsafe context.release() }
  }

  deinit {
    stopping.store(true, ordering: .sequentiallyConsistent)
    wakeAll()
    for thread in threads { pthread_join(thread, nil) }
    unsafe pthread_cond_destroy(wake)
    unsafe pthread_mutex_destroy(lock)
    unsafe wake.deallocate()
    unsafe lock.deallocate()
    unsafe shares.deinitialize(count: threadCount + 1)
    unsafe shares.deallocate()
  }
}
