#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A file that was found, before it is read.
struct FoundFile {
  /// Absolute, without symbolic links; names the file in the index.
  let path: String
  /// As the user gave it, or the folder it was found in.
  let shownPath: String
  let size: Int
  /// Seconds; only compared for equality.
  let modified: Double
}

/// Finds the files under the given paths, folders in the order of their names.
///
/// Hidden entries, folders that tools fill, and pictures, sounds and films are left out unless given
/// themselves. Symbolic links are followed, but no folder or file is visited twice, so loops end.
struct FileWalker {
  private(set) var files: [FoundFile] = []
  private(set) var skipped: [SkippedFile] = []
  private var visited: Set<String> = []
  private let isCancelled: () -> Bool

  private static let ignoredFolders: Set<String> = ["node_modules", "__pycache__", "DerivedData"]

  private static func isIgnored(_ name: String) -> Bool {
    name.hasPrefix(".") || ignoredFolders.contains(name) || FileFormat(path: name) == .media
  }

  /// - Complexity: O(entries).
  init(roots: [String], isCancelled: @escaping () -> Bool) {
    self.isCancelled = isCancelled
    for root in roots { visit(root, Self.resolved(root), isRoot: true) }
  }

  /// The absolute path without symbolic links.
  static func resolved(_ path: String) -> String {
    let path = URL(filePath: path).resolvingSymlinksInPath().path
    return path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
  }

  /// Visits a file or folder; a stack keeps deep folders off the call stack.
  private mutating func visit(_ shown: String, _ path: String, isRoot: Bool) {
    var stack = [(shown: shown, path: path)]
    while let entry = stack.popLast(), !isCancelled() {
      guard visited.insert(entry.path).inserted else { continue }
      guard let attributes = try? FileManager.default.attributesOfItem(atPath: entry.path) else {
        skipped.append(SkippedFile(path: entry.shown, reason: isRoot ? .missing : .unreadable))
        continue
      }
      switch attributes[.type] as? FileAttributeType {
      case .typeRegular?: add(entry.shown, entry.path, attributes)
      case .typeDirectory?: stack += children(entry.shown, entry.path).reversed()
      case .typeSymbolicLink?:
        let target = Self.resolved(entry.path)
        guard target != entry.path else {
          skipped.append(SkippedFile(path: entry.shown, reason: .missing))
          continue
        }
        stack.append((entry.shown, target))
      default: skipped.append(SkippedFile(path: entry.shown, reason: .notAFile))
      }
    }
  }

  private mutating func add(_ shown: String, _ path: String, _ attributes: [FileAttributeKey: Any]) {
    // The number's type differs between the builds of Foundation; its text does not.
    let size = attributes[.size].flatMap { Int("\($0)") } ?? 0
    let modified = (attributes[.modificationDate] as? Date)?.timeIntervalSinceReferenceDate ?? 0
    files.append(FoundFile(path: path, shownPath: shown, size: size, modified: modified))
  }

  private mutating func children(_ shown: String, _ path: String) -> [(shown: String, path: String)] {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
      skipped.append(SkippedFile(path: shown, reason: .unreadable))
      return []
    }
    let separator = shown.hasSuffix("/") ? "" : "/"
    return names.sorted().filter { !Self.isIgnored($0) }
      .map { (shown + separator + $0, path == "/" ? "/" + $0 : path + "/" + $0) }
  }
}
