import DuetTerminal
import Foundation

/// The SHA-256 of models that came from addresses, in the form of `sha256sum`, in the models folder.
enum ModelSums {
  private static var path: String { Folders.models + "/SHA256SUMS" }

  /// Digests by file name.
  static func all() -> [String: String] {
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    let pairs = text.split(separator: "\n").compactMap { line -> (String, String)? in
      let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
      guard parts.count == 2, parts[0].count == 64 else { return nil }
      return (String(parts[1].drop { $0 == " " || $0 == "*" }), String(parts[0]))
    }
    return Dictionary(pairs) { $1 }
  }

  static func add(_ name: String, _ digest: String) throws { try write(all().merging([name: digest]) { $1 }) }

  static func remove(_ name: String) throws {
    var sums = all()
    if sums.removeValue(forKey: name) != nil { try write(sums) }
  }

  private static func write(_ sums: [String: String]) throws {
    let lines = sums.sorted { $0.key < $1.key }.map { "\($0.value)  \($0.key)\n" }
    do { try lines.joined().write(toFile: path, atomically: true, encoding: .utf8) } catch {
      throw CommandError.cannotWrite(path: path, problem: problem(error))
    }
  }
}
