import Foundation
import Synchronization

/// A mutant that was neither accepted nor refused.
struct Failure {
  let number: Int
  let problem: String
}

/// Hands ranges of mutants to worker processes, several at a time, and keeps the count.
final class Supervisor: Sendable {
  private struct Ledger {
    var next: Int
    var done = 0
    var outcomes: [String: Int] = [:]
    var failures: [Failure] = []
    var lastReport = ContinuousClock.now
  }

  let range: Range<Int>
  /// The arguments that a worker needs apart from its range.
  let arguments: [String]
  private let ledger: Mutex<Ledger>
  private let start = ContinuousClock.now

  /// Mutants per worker process.
  private static let batch = 2_000
  /// Failures after which no new batch is begun.
  private static let enough = 10

  init(range: Range<Int>, arguments: [String]) {
    self.range = range
    self.arguments = arguments
    ledger = Mutex(Ledger(next: range.lowerBound))
  }

  /// Runs all mutants with `jobs` workers at a time.
  func run(jobs: Int) -> [Failure] {
    DispatchQueue.concurrentPerform(iterations: jobs) { _ in
      while let batch = nextBatch() { run(batch) }
    }
    printProgress(final: true)
    return ledger.withLock { $0.failures }
  }

  private func nextBatch() -> Range<Int>? {
    ledger.withLock { ledger in
      guard ledger.next < range.upperBound, ledger.failures.count < Self.enough else { return nil }
      let batch = ledger.next..<min(ledger.next + Self.batch, range.upperBound)
      ledger.next = batch.upperBound
      return batch
    }
  }

  /// Runs a batch, and what is left of it after a mutant that ended its worker.
  private func run(_ batch: Range<Int>) {
    var rest = batch
    while !rest.isEmpty {
      let (done, problem) = runWorker(rest)
      rest = rest.dropFirst(done)
      guard let problem, let number = rest.first else { return }
      rest = rest.dropFirst()
      let count = ledger.withLock { ledger in
        ledger.failures.append(Failure(number: number, problem: problem))
        return ledger.failures.count
      }
      print("mutant \(number): \(problem)")
      guard count < Self.enough else { return }
    }
  }

  /// The number of mutants that ended well, and what went wrong with the next, if anything.
  private func runWorker(_ batch: Range<Int>) -> (done: Int, problem: String?) {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(filePath: CommandLine.arguments.first ?? "")
    #if os(Linux)
      process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    #endif
    process.arguments =
      arguments + ["--worker", "--first", "\(batch.lowerBound)", "--count", "\(batch.count)"]
    process.standardOutput = pipe
    // --single shows where a mutant traps; here a trace per failure would hide the rest.
    process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
    do { try process.run() } catch { return (0, "no worker can be started: \(error)") }
    let (done, note) = read(pipe.fileHandleForReading)
    process.waitUntilExit()
    let status = process.terminationStatus
    if process.terminationReason == .uncaughtSignal { return (done, Self.name(ofSignal: status)) }
    if status == Worker.memoryStatus { return (done, "took too much memory (\(note))") }
    return (done, status == 0 && done == batch.count ? nil : "the worker ended with status \(status)")
  }

  /// Reads the lines of a worker until it ends: counts those of the form `NUMBER OUTCOME` and gives
  /// back the last one.
  private func read(_ handle: FileHandle) -> (done: Int, last: String) {
    var pending = Data()
    var done = 0
    var last = ""
    while case let data = handle.availableData, !data.isEmpty {
      pending += data
      while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
        last = String(decoding: pending[..<end], as: UTF8.self)
        pending = pending[pending.index(after: end)...]
        let words = last.split(separator: " ")
        guard words.count == 2, Int(words[0]) != nil else { continue }
        done += 1
        record(String(words[1]))
      }
      printProgress(final: false)
    }
    return (done, last)
  }

  private func record(_ outcome: String) {
    ledger.withLock { ledger in
      ledger.done += 1
      ledger.outcomes[outcome, default: 0] += 1
    }
  }

  /// One line every five seconds; at the end, what came of the mutants.
  private func printProgress(final: Bool) {
    ledger.withLock { ledger in
      guard final || ledger.lastReport.duration(to: .now) > .seconds(5) else { return }
      ledger.lastReport = .now
      let seconds = start.duration(to: .now) / .seconds(1)
      let rate = Int(Double(ledger.done) / max(seconds, 1e-3))
      print("\(ledger.done) of \(range.count) mutants, \(rate) per second, \(ledger.failures.count) failures")
      guard final else { return }
      for (outcome, count) in ledger.outcomes.sorted(by: { $0.value > $1.value }) {
        print("  \(outcome): \(count)")
      }
    }
  }

  private static func name(ofSignal signal: Int32) -> String {
    signal == SIGPROF || signal == SIGALRM ? "took too long" : "trapped (signal \(signal))"
  }
}
