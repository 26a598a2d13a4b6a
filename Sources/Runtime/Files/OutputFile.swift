import CKernels
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Writes a file that appears under its name only when it is complete.
///
/// The bytes go to a temporary file beside the target, which `finish` renames: whatever happens, the
/// target is the old file or the new one. A temporary file that is not finished is removed with the
/// object. What exists and is no regular file, such as a device, is written as it is. Not for use by
/// two tasks at once.
@safe public final class OutputFile {
  /// The path of the target, links resolved.
  public let path: String
  /// Bytes written so far.
  public private(set) var count = 0
  private let temporary: String?
  private let replaces: Bool
  /// Whether there is a file that could be lost.
  private let hasPredecessor: Bool
  private var descriptor: Int32
  private var buffer: [UInt8] = []
  /// Bytes that the system has been given.
  private var started = 0

  private static let bufferBytes = 1 << 20
  private static let living = Mutex<Set<String>>([])
  private static let serial = Atomic<Int>(0)

  /// Opens the temporary file.
  ///
  /// - Parameters:
  ///   - path: of the target.
  ///   - replaces: whether a file that is there already may be replaced.
  ///   - isPrivate: whether only the owner may read the file.
  /// - Throws: `OutputError`.
  public init(path: String, replaces: Bool = true, isPrivate: Bool = false) throws(OutputError) {
    let target = Self.resolved(path)
    var status = stat()
    let exists = unsafe stat(target, &status) == 0
    let kind = status.st_mode & S_IFMT
    guard !exists || kind != S_IFDIR else { throw .isFolder(path: path) }
    let isDevice = exists && kind != S_IFREG
    guard replaces || !exists || isDevice else { throw .exists(path: path) }
    self.path = target
    self.replaces = replaces
    hasPredecessor = exists && !isDevice
    temporary = isDevice ? nil : Self.temporaryName(target)
    let flags = O_WRONLY | O_CLOEXEC | (isDevice ? 0 : O_CREAT | O_TRUNC | O_NOFOLLOW)
    descriptor = unsafe open(temporary ?? target, flags, isPrivate ? 0o600 : 0o666)
    guard descriptor >= 0 else { throw .cannotWrite(path: path, code: errno) }
    if let temporary { _ = Self.living.withLock { $0.insert(temporary) } }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
    discard()
  }

  /// Removes the temporary files of every object: for a process that a signal ends.
  public static func removeTemporaries() {
    living.withLock { paths in
      for path in paths { unsafe unlink(path) }
      paths = []
    }
  }

  private static func resolved(_ path: String) -> String {
    guard let full = unsafe realpath(path, nil) else { return path }
    defer { unsafe free(full) }
    return unsafe String(cString: full)
  }

  private static func temporaryName(_ target: String) -> String {
    let cut = target.lastIndex(of: "/").map { target.index(after: $0) } ?? target.startIndex
    let number = serial.wrappingAdd(1, ordering: .relaxed).oldValue
    return "\(target[..<cut]).\(target[cut...].prefix(80)).\(getpid())-\(number).tmp"
  }

  private func discard() {
    guard let temporary else { return }
    // A name that is no longer listed has become the target, or was removed by a signal.
    let isLeft = Self.living.withLock { $0.remove(temporary) != nil }
    if isLeft { unsafe unlink(temporary) }
  }

  /// Appends bytes. O(n).
  public func write(_ bytes: RawSpan) throws(OutputError) {
    if buffer.count + bytes.byteCount > Self.bufferBytes { try flush() }
    count += bytes.byteCount
    if bytes.byteCount >= Self.bufferBytes { return try writeThrough(bytes) }
    unsafe bytes.withUnsafeBytes { unsafe buffer.append(contentsOf: $0) }
  }

  /// Appends bytes. O(n).
  public func write(_ bytes: [UInt8]) throws(OutputError) { try unsafe write(bytes.span.bytes) }

  /// Appends text. O(n).
  public func write(_ text: String) throws(OutputError) { try write(Array(text.utf8)) }

  /// Appends single-precision numbers, little-endian. O(n).
  public func write(_ values: Span<Float>) throws(OutputError) {
    if 1.bigEndian != 1 { return try unsafe write(values.bytes) }
    for index in values.indices {
      let bits = values[index].bitPattern
      try write((0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) })
    }
  }

  private func flush() throws(OutputError) {
    let pending = buffer
    guard !pending.isEmpty else { return }
    try unsafe writeThrough(pending.span.bytes)
    buffer = []
    buffer.reserveCapacity(Self.bufferBytes)
  }

  private func writeThrough(_ bytes: RawSpan) throws(OutputError) {
    var done = 0
    while done < bytes.byteCount {
      let written = unsafe bytes.withUnsafeBytes { all in
        let rest = unsafe UnsafeRawBufferPointer(rebasing: all[done...])
        return unsafe Self.systemWrite(descriptor, rest.baseAddress, rest.count)
      }
      if written >= 0 {
        done += written
      } else if errno != EINTR {
        throw .cannotWrite(path: path, code: errno)
      }
    }
    // The disk works while the next bytes are made, and `finish` waits for little.
    duet_start_writeback(descriptor, Int64(started), Int64(done))
    started += done
  }

  private static func systemWrite(_ descriptor: Int32, _ start: UnsafeRawPointer?, _ count: Int) -> Int {
    guard let start = unsafe start else { return 0 }
    #if canImport(Darwin)
      return unsafe Darwin.write(descriptor, start, count)
    #elseif canImport(Musl)
      return unsafe Musl.write(descriptor, start, count)
    #else
      return unsafe Glibc.write(descriptor, start, count)
    #endif
  }

  /// Writes what is left, waits until it is on the disk, and gives the file its name.
  ///
  /// - Parameter isReproducible: whether the bytes can be made again at any time. Then a new file is not
  ///   waited for, since a failure of power would lose nothing; one that replaces another always is.
  /// - Throws: `OutputError`; the target is then as it was.
  public func finish(isReproducible: Bool = false) throws(OutputError) {
    try flush()
    // Devices and pipes cannot be synchronised, and need not be.
    let waits = temporary != nil && (hasPredecessor || !isReproducible)
    if waits, fsync(descriptor) != 0 { throw .cannotWrite(path: path, code: errno) }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0 else { throw .cannotWrite(path: path, code: errno) }
    if let temporary { try rename(temporary) }
  }

  private func rename(_ temporary: String) throws(OutputError) {
    // A link, unlike a rename, never replaces a file that has come meanwhile.
    if !replaces, unsafe link(temporary, path) == 0 { return discard() }
    if !replaces, errno == EEXIST { throw .exists(path: path) }
    #if canImport(Darwin)
      let code = unsafe Darwin.rename(temporary, path)
    #elseif canImport(Musl)
      let code = unsafe Musl.rename(temporary, path)
    #else
      let code = unsafe Glibc.rename(temporary, path)
    #endif
    guard code == 0 else { throw .cannotWrite(path: path, code: errno) }
    _ = Self.living.withLock { $0.remove(temporary) }
  }
}

/// Why a file could not be written.
public enum OutputError: Error, Equatable, CustomStringConvertible {
  case cannotWrite(path: String, code: Int32)
  case isFolder(path: String)
  case exists(path: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .cannotWrite(let path, let code):
      "cannot write \(path): \(unsafe String(cString: strerror(code))); check the folder, its permissions and free space"
    case .isFolder(let path): "cannot write \(path): it is a folder; give the path of a file"
    case .exists(let path): "\(path) exists; give another path, or replace it with --force"
    }
  }
}
