#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A file mapped read-only into memory; its pages are shared with every process that maps it.
///
/// The map lives as long as the object. A file that another program shortens while it is mapped
/// cannot be defended against: reading the lost pages ends the process.
@safe public final class MappedFile: Sendable {
  /// The path as it was given.
  public let path: String
  /// Length in bytes.
  public let count: Int
  /// When the file was last written to when it was opened, in nanoseconds.
  package let modified: Int
  /// Whether the pages can be read again from a file.
  private let isBacked: Bool
  private nonisolated(unsafe) let base: UnsafeRawPointer

  /// Maps a file.
  ///
  /// - Throws: `FileError.cannotOpen` when it is missing or not readable, `.notAFile` for a
  ///   folder or device, `.empty` for one of no bytes.
  public init(path: String) throws(FileError) {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .cannotOpen(path: path, code: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else { throw .cannotOpen(path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path: path) }
    let length = Int(status.st_size)
    guard length > 0 else { throw .empty(path: path) }
    let address = unsafe mmap(nil, length, PROT_READ, MAP_SHARED, descriptor, 0)
    guard let address = unsafe address, unsafe address != MAP_FAILED else {
      throw .cannotOpen(path: path, code: errno)
    }
    unsafe Self.useLargePages(address, length)
    self.path = path
    count = length
    modified = status.modified
    isBacked = true
    unsafe base = UnsafeRawPointer(address)
  }

  /// Asks for pages of 2 MB, where Linux and the file system have them: weights are then read half as fast again.
  /// What the page cache already holds in small pieces stays as it is.
  private static func useLargePages(_ address: UnsafeMutableRawPointer, _ length: Int) {
    #if os(Linux)
      if length >= 1 << 22 { _ = unsafe madvise(address, length, MADV_HUGEPAGE) }
    #endif
  }

  /// Bytes in memory that stand for a file, such as tensors made of others. O(n).
  ///
  /// - Parameters:
  ///   - path: what messages call it.
  ///   - bytes: at least one.
  /// - Throws: `FileError.empty`, or `.cannotOpen` when memory is short.
  package init(path: String, bytes: [UInt8]) throws(FileError) {
    guard !bytes.isEmpty else { throw .empty(path: path) }
    let address = unsafe mmap(
      nil, bytes.count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let address = unsafe address, unsafe address != MAP_FAILED else {
      throw .cannotOpen(path: path, code: errno)
    }
    unsafe bytes.withUnsafeBytes {
      unsafe address.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(address), byteCount: $0.count)
    }
    self.path = path
    count = bytes.count
    modified = 0
    isBacked = false
    unsafe base = UnsafeRawPointer(address)
  }

  /// Whether there is a folder at `path`.
  package static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Whether there is a file at `path`, and no folder.
  static func exists(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR
  }

  deinit {
    unsafe munmap(UnsafeMutableRawPointer(mutating: base), count)
  }

  /// Calls `body` with the bytes of `range`, which must lie within the file.
  public func withBytes<R, E: Error>(
    _ range: Range<Int>, _ body: (RawSpan) throws(E) -> R
  ) throws(E) -> R {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside of the mapped file")
    let buffer = unsafe UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    return unsafe try body(RawSpan(_unsafeBytes: buffer))
  }

  /// The bytes of `range` as an array, which must lie within the file. O(n).
  public func bytes(_ range: Range<Int>) -> [UInt8] {
    withBytes(range) { span in
      unsafe span.withUnsafeBytes { unsafe Array($0) }
    }
  }

  /// Lets go of the memory of the whole pages within `range`, which must lie within the file; they are
  /// read again when they are used again. Does nothing where memory stands for a file.
  package func release(_ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside of the mapped file")
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let start = (range.lowerBound + page - 1) / page * page, end = range.upperBound / page * page
    guard isBacked, start < end else { return }
    unsafe madvise(UnsafeMutableRawPointer(mutating: base + start), end - start, MADV_DONTNEED)
  }

  /// The address of `range`, for the kernels; valid while the object lives.
  @unsafe package func pointer(_ range: Range<Int>) -> UnsafeRawPointer {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside of the mapped file")
    return unsafe base + range.lowerBound
  }
}

extension stat {
  /// When the file was last written to, in nanoseconds since 1970; as near as a whole number gets.
  var modified: Int {
    #if canImport(Darwin)
      let time = st_mtimespec
    #else
      let time = st_mtim
    #endif
    return Int(time.tv_sec) &* 1_000_000_000 &+ Int(time.tv_nsec)
  }
}

/// Why a file could not be opened at all.
public enum FileError: Error, Equatable, CustomStringConvertible {
  case cannotOpen(path: String, code: Int32)
  case notAFile(path: String)
  case empty(path: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .cannotOpen(let path, let code):
      "cannot open \(path): \(unsafe String(cString: strerror(code))); check the path and its permissions"
    case .notAFile(let path): "\(path) is not a regular file; give the path of a file"
    case .empty(let path): "\(path) is empty; its download or copy may have been cut short"
    }
  }
}
