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
/// Chunks are taken from an atomic counter, so a slow or busy core does not hold up the rest.
/// One loop runs at a time; `run` must not be called from within a loop.
@safe package final class ThreadPool: @unchecked Sendable {
  /// Threads that work on a loop, the caller's among them.
  package let threadCount: Int

  /// The loop in progress: its number (24 bits), its chunks (20), the next one to take (20).
  private let ticket = Atomic<UInt64>(0)
  private let completed = Atomic<Int>(0)
  private let sleepers = Atomic<Int>(0)
  private let stopping = Atomic<Bool>(false)
  /// Where the memory starts that the loop after this one reads, and how much of it a thread takes first.
  private let nextStart = Atomic<UInt>(0)
  private let nextBytes = Atomic<Int>(0)
  /// Written before `ticket` is published, read by those who drew a chunk of that loop.
  private nonisolated(unsafe) var body: (_ chunk: Int, _ worker: Int) -> Void = { _, _ in }
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let wake: UnsafeMutablePointer<pthread_cond_t>
  private var threads: [pthread_t] = []

  private static let countBits: UInt64 = 20
  private static let mask: UInt64 = 1 << countBits - 1
  /// About 20 µs of pauses, then `yieldLimit` yields before a worker sleeps.
  private static let spinLimit = 1_000
  private static let yieldLimit = 200
  /// Bytes that a waiting thread asks for between two looks for work.
  private static let fetchBytes = 256
  /// The most that one thread asks for ahead: a part of its second cache.
  private static let fetchLimit = 256 * 1_024
  /// The most chunks that one loop may have.
  package static let maximumChunks = Int(mask) / 2

  /// Starts `threadCount - 1` workers; at least the caller works.
  package init(threadCount: Int) {
    self.threadCount = max(1, min(threadCount, 256))
    unsafe lock = .allocate(capacity: 1)
    unsafe wake = .allocate(capacity: 1)
    unsafe pthread_mutex_init(lock, nil)
    unsafe pthread_cond_init(wake, nil)
    for worker in 1..<max(2, self.threadCount) where worker < self.threadCount { start(worker) }
  }

  /// Calls `body` once for each chunk in `0..<count`, on any thread, and returns when all are done.
  /// `worker` is below `threadCount` and differs between calls that run at the same time.
  package func run(_ count: Int, _ body: (_ chunk: Int, _ worker: Int) -> Void) {
    precondition(count <= Self.maximumChunks, "too many chunks")
    guard count > 1, threadCount > 1 else {
      for chunk in 0..<count { body(chunk, 0) }
      return
    }
    withoutActuallyEscaping(body) { escaping in
      unsafe self.body = escaping
      completed.store(0, ordering: .relaxed)
      let number = (ticket.load(ordering: .relaxed) >> (2 * Self.countBits)) &+ 1
      ticket.store(
        number << (2 * Self.countBits) | UInt64(count) << Self.countBits, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 { wakeAll() }
      work(0)
      waitForCompletion(count)
      unsafe self.body = { _, _ in }
    }
  }

  /// Says what the next loops will read, so that threads that wait meanwhile bring it nearer: each its own part,
  /// `bytes` long, one after the other from `start` on. A hint: nothing is read and nothing needs to be there.
  package func announce(_ start: UnsafeRawPointer, bytes: Int) {
    guard threadCount > 1 else { return }
    nextBytes.store(bytes, ordering: .relaxed)
    nextStart.store(UInt(bitPattern: start), ordering: .relaxed)
  }

  /// How far a thread is with what was announced.
  private struct Lookahead {
    var start: UInt = 0
    var fetched = 0
  }

  /// Asks for some of what a thread will read; false where all was asked for.
  private func fetch(_ worker: Int, _ ahead: inout Lookahead) -> Bool {
    let start = nextStart.load(ordering: .relaxed), bytes = nextBytes.load(ordering: .relaxed)
    if ahead.start != start { ahead = Lookahead(start: start) }
    guard ahead.fetched < min(bytes, Self.fetchLimit) else { return false }
    let address = start &+ UInt(bitPattern: worker &* bytes &+ ahead.fetched)
    unsafe duet_fetch(UnsafeRawPointer(bitPattern: address), Self.fetchBytes)
    ahead.fetched += Self.fetchBytes
    return true
  }

  /// Takes chunks until none is left. They count as done all at once, when this thread's hold on the closure has
  /// ended: `run` must not return before.
  private func work(_ worker: Int) {
    guard let first = draw() else { return }
    completed.wrappingAdd(take(from: first, worker), ordering: .releasing)
  }

  /// Works on a chunk and on all that can still be drawn; returns how many. A chunk once drawn belongs to a loop that
  /// cannot end before it is done, so `body` is that loop's even if it began meanwhile. A call of its own, so that
  /// the closure is held once, and not by its caller.
  @inline(never) private func take(from first: Int, _ worker: Int) -> Int {
    let body = unsafe body
    var next: Int? = first, count = 0
    while let chunk = next {
      body(chunk, worker)
      count += 1
      next = draw()
    }
    return count
  }

  /// The next chunk of the loop in progress; nil where all are taken.
  private func draw() -> Int? {
    let drawn = ticket.wrappingAdd(1, ordering: .acquiringAndReleasing).oldValue
    let chunk = drawn & Self.mask, count = drawn >> Self.countBits & Self.mask
    return chunk < count ? Int(chunk) : nil
  }

  private func waitForCompletion(_ count: Int) {
    var rounds = 0, ahead = Lookahead()
    while completed.load(ordering: .acquiring) < count {
      if !fetch(0, &ahead) { Self.pause(&rounds) }
    }
  }

  /// Waits a moment for another thread that is at work: longer where it was called often before.
  static func pause(_ rounds: inout Int) {
    rounds += 1
    if rounds < spinLimit { duet_pause() } else { sched_yield() }
  }

  private func hasWork() -> Bool {
    let now = ticket.load(ordering: .sequentiallyConsistent)
    return now & Self.mask < now >> Self.countBits & Self.mask
  }

  private func serve(_ worker: Int) {
    var rounds = 0, ahead = Lookahead()
    while !stopping.load(ordering: .acquiring) {
      if hasWork() {
        work(worker)
        rounds = 0
      } else {
        rounds += 1
        if rounds < Self.spinLimit {
          if !fetch(worker, &ahead) { duet_pause() }
        } else if rounds < Self.spinLimit + Self.yieldLimit {
          sched_yield()
        } else {
          sleep()
          rounds = 0
        }
      }
    }
  }

  private func sleep() {
    unsafe pthread_mutex_lock(lock)
    sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
    while !hasWork() && !stopping.load(ordering: .acquiring) { unsafe pthread_cond_wait(wake, lock) }
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
  }
}
