import DuetTerminal
import Foundation

/// Writes a file that appears under its name only when it is complete.
///
/// The bytes go to a temporary file beside the target. What exists and is no regular file, such as a
/// device, is written as it is.
final class AtomicFile {
  private let path: String
  private let temporary: String
  private let handle: FileHandle
  private var buffer: [UInt8] = []
  private static let bufferBytes = 1 << 20

  /// - Parameter isPrivate: whether only the owner may read the file.
  init(path: String, isPrivate: Bool = false) throws {
    let path = URL(fileURLWithPath: Folders.expanded(path)).resolvingSymlinksInPath().path
    self.path = path
    let type = try? FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType
    if type == .typeDirectory { throw CommandError.cannotWrite(path: path, problem: "it is a folder") }
    let isDevice = type != nil && type != .typeRegular
    let name = URL(fileURLWithPath: path)
    temporary =
      isDevice
      ? path
      : name.deletingLastPathComponent()
        .appendingPathComponent(".\(name.lastPathComponent).\(ProcessInfo.processInfo.processIdentifier).tmp")
        .path
    if !isDevice {
      let attributes: [FileAttributeKey: Any]? = isPrivate ? [.posixPermissions: 0o600] : nil
      _ = FileManager.default.createFile(atPath: temporary, contents: nil, attributes: attributes)
    }
    do { handle = try FileHandle(forWritingTo: URL(fileURLWithPath: temporary)) } catch {
      throw CommandError.cannotWrite(path: path, problem: problem(error))
    }
    if !isDevice {
      Signals.atExit(temporary) { [temporary] in try? FileManager.default.removeItem(atPath: temporary) }
    }
  }

  deinit {
    guard temporary != path else { return }
    try? FileManager.default.removeItem(atPath: temporary)
    Signals.atExit(temporary, nil)
  }

  /// Appends single-precision numbers, little-endian. O(n).
  func write(_ values: Span<Float>) throws {
    buffer.reserveCapacity(buffer.count + 4 * values.count)
    for index in values.indices {
      let bits = values[index].bitPattern
      for shift in stride(from: UInt32(0), to: 32, by: 8) {
        buffer.append(UInt8(truncatingIfNeeded: bits >> shift))
      }
    }
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  /// Appends text.
  func write(_ text: String) throws {
    buffer += text.utf8
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  private func flush() throws {
    do { try handle.write(contentsOf: Data(buffer)) } catch {
      throw CommandError.cannotWrite(path: path, problem: problem(error))
    }
    buffer.removeAll(keepingCapacity: true)
  }

  /// Writes what is left and gives the file its name.
  func finish() throws {
    try flush()
    do {
      if temporary == path { return try handle.close() }
      try handle.synchronize()
      try handle.close()
    } catch { throw CommandError.cannotWrite(path: path, problem: problem(error)) }
    if let problem = renameFile(temporary, to: path) {
      throw CommandError.cannotWrite(path: path, problem: problem)
    }
  }
}
