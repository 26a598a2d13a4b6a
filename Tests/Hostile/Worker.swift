import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// Runs a range of mutants in this process and prints a line for each that ends well; a mutant that
/// traps, hangs or takes too much memory ends the process instead.
struct Worker {
  let mutator: any MutantSource
  let timeLimit: Double

  /// The exit status for a mutant that took too much memory.
  static let memoryStatus: Int32 = 99

  func run(_ range: Range<Int>) throws {
    let path = Self.scratchPath()
    defer { unsafe unlink(path) }
    for number in range {
      let size = try write(mutator.mutant(number), to: path)
      report("\(number) \(run(path, size: size))\n")
      unsafe unlink(path)
    }
  }

  /// Writes the mutant and gives back its size, so that its bytes are gone when it is opened.
  private func write(_ mutant: Mutant, to path: String) throws -> Int {
    try Data(mutant.bytes).write(to: URL(filePath: path))
    return mutant.bytes.count
  }

  private func run(_ path: String, size: Int) -> Outcome {
    PeakMemory.reset()
    setTimer(timeLimit)
    let outcome = mutator.exercise(path: path)
    setTimer(0)
    // The sound model, of which mutants are made, is this program's own burden.
    let own = mutator.ownBytes
    if let peak = PeakMemory.anonymous(apart: size + own), peak > mutator.allowance(size: size) {
      report("\(peak >> 20) MB of its own\n")
      exit(Self.memoryStatus)
    }
    return outcome
  }

  /// A file in memory where the system has such a folder.
  private static func scratchPath() -> String {
    let shared = "/dev/shm"
    let folder =
      FileManager.default.isWritableFile(atPath: shared)
      ? shared : FileManager.default.temporaryDirectory.path(percentEncoded: false)
    return "\(folder)/duet-hostile-\(getpid()).gguf"
  }

  private func report(_ line: String) { FileHandle.standardOutput.write(Data(line.utf8)) }

  /// ITIMER_REAL and ITIMER_PROF, whose imported types differ between systems.
  private static let realTimer: Int32 = 0, workTimer: Int32 = 2

  /// Ends the process by SIGPROF after this time of work, or by SIGALRM after ten times as much that
  /// passed, unless called again; 0 stops the timers. Time that passes says little on a busy machine.
  private func setTimer(_ seconds: Double) {
    set(Self.workTimer, seconds)
    set(Self.realTimer, 10 * seconds)
  }

  private func set(_ which: Int32, _ seconds: Double) {
    var timer = itimerval()
    timer.it_value.tv_sec = Int(seconds)
    timer.it_value.tv_usec = .init((seconds - seconds.rounded(.down)) * 1e6)
    unsafe setitimer(which, &timer, nil)
  }
}

/// The most memory of its own that this process has held since the last reset, by Linux's counters.
enum PeakMemory {
  /// Forgets earlier peaks.
  static func reset() {
    try? Data("5".utf8).write(to: URL(filePath: "/proc/self/clear_refs"))
  }

  /// Bytes at the peak, less those of files and `apart`: what else is known to be resident. Nil
  /// elsewhere than on Linux.
  static func anonymous(apart: Int) -> Int? {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
      let peak = kilobytes("VmHWM", status), let file = kilobytes("RssFile", status)
    else { return nil }
    return (peak - file) << 10 - apart
  }

  private static func kilobytes(_ name: String, _ status: String) -> Int? {
    let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
    return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
  }
}
