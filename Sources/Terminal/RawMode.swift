import Dispatch
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The file descriptors of a process, as it finds them.
package enum StandardStream: Int32, Sendable {
  case input = 0
  case output = 1
  case errors = 2

  /// What lies behind a stream.
  package enum Kind: Sendable {
    case terminal
    case file
    case pipe
    /// A device such as `/dev/null`, or nothing.
    case other
  }

  /// Whether someone sits before it.
  package var isTerminal: Bool { isatty(rawValue) == 1 }

  package var kind: Kind {
    if isTerminal { return .terminal }
    var status = stat()
    guard unsafe fstat(rawValue, &status) == 0 else { return .other }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return .file
    case S_IFIFO, S_IFSOCK: return .pipe
    default: return .other
    }
  }

  /// Columns of the terminal; 80 where they are not known.
  package var width: Int {
    let columns = size?.ws_col ?? 0
    return columns > 0 ? Int(columns) : 80
  }

  /// Rows of the terminal; 24 where they are not known.
  package var height: Int {
    let rows = size?.ws_row ?? 0
    return rows > 0 ? Int(rows) : 24
  }

  private var size: winsize? {
    var size = winsize()
    return unsafe ioctl(rawValue, UInt(TIOCGWINSZ), &size) == 0 ? size : nil
  }

  /// Writes all of `text` at once.
  ///
  /// - Throws: `StreamError`, such as when the disk behind it is full.
  package func write(_ text: String) throws(StreamError) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes {
        #if canImport(Glibc)
          unsafe Glibc.write(rawValue, $0.baseAddress, $0.count)
        #elseif canImport(Musl)
          unsafe Musl.write(rawValue, $0.baseAddress, $0.count)
        #else
          unsafe Darwin.write(rawValue, $0.baseAddress, $0.count)
        #endif
      }
      if count < 0 && (errno == EINTR || errno == EAGAIN) { continue }
      guard count > 0 else { throw StreamError(code: errno) }
      rest = rest.dropFirst(count)
    }
  }

  /// The next bytes, waiting for them; none at the end.
  package func read(atMost limit: Int = 4_096) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: max(1, limit))
    while true {
      let count = unsafe bytes.withUnsafeMutableBytes { buffer in
        #if canImport(Glibc)
          unsafe Glibc.read(rawValue, buffer.baseAddress, buffer.count)
        #elseif canImport(Musl)
          unsafe Musl.read(rawValue, buffer.baseAddress, buffer.count)
        #else
          unsafe Darwin.read(rawValue, buffer.baseAddress, buffer.count)
        #endif
      }
      if count < 0 && (errno == EINTR || errno == EAGAIN) { continue }
      return Array(bytes.prefix(max(0, count)))
    }
  }

  /// Whether bytes, or the end, can be read within `milliseconds`.
  package func isReadable(within milliseconds: Int32) -> Bool {
    var descriptor = pollfd(fd: rawValue, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&descriptor, 1, milliseconds) > 0
  }
}

/// Writing to a stream failed.
package struct StreamError: Error, Equatable, CustomStringConvertible {
  package let code: Int32

  package var description: String {
    "cannot write the output: \(systemMessage(code)); check free space and permissions"
  }
}

/// What the system says about an error number.
package func systemMessage(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }

/// A terminal that gives every key as it is pressed, without showing it.
package enum RawMode {
  private static let saved = Mutex<termios?>(nil)

  /// Turns it on, with bracketed paste.
  ///
  /// - Returns: whether the terminal can do it.
  package static func enter() -> Bool {
    var settings = termios()
    guard unsafe tcgetattr(STDIN_FILENO, &settings) == 0 else { return false }
    saved.withLock { $0 = settings }
    settings.c_iflag &= ~tcflag_t(BRKINT | ICRNL | INPCK | ISTRIP | IXON)
    settings.c_lflag &= ~tcflag_t(ECHO | ICANON | IEXTEN | ISIG)
    return unsafe tcsetattr(STDIN_FILENO, TCSADRAIN, &settings) == 0
  }

  /// Gives the terminal back as it was; does nothing outside of raw mode.
  package static func leave() {
    guard var settings = saved.withLock({ $0.take() }) else { return }
    unsafe tcsetattr(STDIN_FILENO, TCSADRAIN, &settings)
    try? StandardStream.output.isTerminal ? StandardStream.output.write("\u{1B}[?2004l") : ()
  }

  /// Stops the process and those beside it in its pipe until the shell continues them, as Ctrl-Z does.
  package static func suspend() {
    leave()
    // Threads of a pool block signals: one that is sent to such a thread alone would wait forever.
    var stop = sigset_t()
    unsafe sigemptyset(&stop)
    unsafe sigaddset(&stop, SIGTSTP)
    unsafe pthread_sigmask(SIG_UNBLOCK, &stop, nil)
    kill(0, SIGTSTP)
    // Another thread may take it, a moment later.
    usleep(50_000)
  }
}

/// What happens when the user or the system asks the process to end.
package enum Signals {
  /// Kept alive; written by `install` alone.
  private nonisolated(unsafe) static var sources: [any DispatchSourceSignal] = []
  private static let interruption = Mutex<(@Sendable () -> Void)?>(nil)
  private static let cleanup = Mutex<[String: @Sendable () -> Void]>([:])

  /// Takes over Ctrl-C, hang-up and termination, and lets a closed pipe end the process quietly.
  package static func install() {
    signal(SIGPIPE, SIG_DFL)
    watch(SIGINT) {
      guard let action = interruption.withLock({ $0 }) else { return exit(SIGINT) }
      action()
    }
    for number in [SIGTERM, SIGHUP] { watch(number) { exit(number) } }
  }

  private static func watch(_ number: Int32, _ action: @escaping @Sendable () -> Void) {
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: .global(qos: .userInteractive))
    source.setEventHandler(handler: action)
    source.resume()
    unsafe sources.append(source)
  }

  /// Sets what Ctrl-C does from now on; nil for ending the process.
  ///
  /// - Returns: what it did before.
  @discardableResult
  package static func onInterrupt(_ action: (@Sendable () -> Void)?) -> (@Sendable () -> Void)? {
    interruption.withLock { current in
      defer { current = action }
      return current
    }
  }

  /// Has `action` run before a signal ends the process; nil takes it back.
  package static func atExit(_ name: String, _ action: (@Sendable () -> Void)?) {
    cleanup.withLock { $0[name] = action }
  }

  /// Ends the process as the signal would, with the terminal and the folders left clean.
  package static func exit(_ number: Int32) {
    for action in cleanup.withLock({ $0.values.map(\.self) }) { action() }
    RawMode.leave()
    _exit(128 + number)
  }
}
