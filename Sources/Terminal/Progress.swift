import Synchronization

/// A bar on standard error for work that takes more than two seconds, gone when the work is done.
package final class Progress: Sendable {
  private struct State {
    var start = ContinuousClock.now
    var drawn: ContinuousClock.Instant?
  }
  private let label: String
  private let unit: String
  private let isVisible: Bool
  private let state = Mutex(State())

  /// - Parameters:
  ///   - label: what is being done.
  ///   - unit: what is counted, such as `tokens`.
  package init(_ label: String, unit: String, isVisible: Bool = StandardStream.errors.isTerminal) {
    self.label = label
    self.unit = unit
    self.isVisible = isVisible
  }

  deinit { clear() }

  /// Shows how far the work is, at most ten times a second.
  package func update(_ done: Int, of total: Int) {
    guard isVisible, total > 0 else { return }
    state.withLock { state in
      let now = ContinuousClock.now
      let elapsed = (now - state.start) / .seconds(1)
      if let drawn = state.drawn {
        guard now - drawn >= .milliseconds(100) else { return }
      } else {
        guard ProgressLine.isWorthShowing(done: done, total: total, elapsed: elapsed) else { return }
      }
      state.drawn = now
      let line = ProgressLine(label: label, unit: unit, done: done, total: total, elapsed: elapsed)
      let width = StandardStream.errors.width
      try? StandardStream.errors.write("\r\(line.text(width: width))\u{1B}[K")
    }
  }

  /// Takes the bar away. It comes back with the next update.
  package func clear() {
    state.withLock { state in
      guard state.drawn != nil else { return }
      state.drawn = nil
      try? StandardStream.errors.write("\r\u{1B}[K")
    }
  }
}

/// What a progress bar says.
package struct ProgressLine: Sendable {
  package var label: String
  package var unit: String
  package var done: Int
  package var total: Int
  /// Seconds since the start.
  package var elapsed: Double

  package init(label: String, unit: String, done: Int, total: Int, elapsed: Double) {
    self.label = label
    self.unit = unit
    self.done = done
    self.total = total
    self.elapsed = elapsed
  }

  /// Whether the whole work takes more than two seconds, as far as can be seen.
  package static func isWorthShowing(done: Int, total: Int, elapsed: Double) -> Bool {
    guard elapsed >= 0.2 else { return false }
    return elapsed >= 2 || (done > 0 && elapsed * Double(total) / Double(done) > 2)
  }

  /// The share that is done, 0 to 1.
  package var fraction: Double { total > 0 ? min(1, max(0, Double(done) / Double(total))) : 0 }

  /// A line of at most `width - 1` columns.
  package func text(width: Int) -> String {
    let rate = elapsed > 0 ? Double(done) / elapsed : 0
    let left = rate > 0 ? Figures.duration(Double(max(0, total - done)) / rate) : "?"
    let percent = "\(Int(fraction * 100))%"
    let tail = "\(percent)  \(Figures.short(rate)) \(unit)/s  \(left) left"
    let room = width - 1 - columns(label) - columns(tail) - 4
    guard room >= 4 else { return String("\(label) \(percent)".prefix(max(0, width - 1))) }
    let size = min(30, room), full = Int(fraction * Double(size))
    let bar = String(repeating: "█", count: full) + String(repeating: "░", count: size - full)
    return "\(label)  \(bar)  \(tail)"
  }
}
