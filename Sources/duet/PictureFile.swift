import DuetRuntime
import DuetTerminal
import DuetVision
import Foundation

/// Why a picture was left out.
struct PictureError: Error, CustomStringConvertible {
  let name: String
  let problem: String

  var description: String { "\(name) \(problem)" }
}

/// A picture that was asked about.
struct PictureFile {
  /// As it was given, or as it lies in the folder that was.
  let name: String
  /// Where it lies; nil for standard input.
  let path: String?

  /// - Throws: `PictureError`.
  func bitmap(for encoder: VisionEncoder) throws -> Bitmap {
    // Enough pixels for a reduction to the encoder's side.
    let side = 2 * encoder.processor.side
    do {
      guard let path else { return try Bitmap(bytes: try Input.bytes(nil), atLeast: side) }
      return try Bitmap(path: path, atLeast: side)
    } catch let error as ImageError {
      // A file's own error names it.
      if case .file(let error) = error { throw PictureError(name: name, problem: "cannot be read: \(error)") }
      throw PictureError(name: name, problem: "\(error)")
    }
  }
}

/// Finds the pictures of files and folders.
enum PictureFiles {
  private static let suffixes: Set<String> = ["jpg", "jpeg", "png"]

  /// In the order of `paths`, those of a folder and its subfolders by name.
  static func all(_ paths: [String]) throws -> [PictureFile] {
    var files: [PictureFile] = []
    for path in paths {
      if path == "-" {
        files.append(PictureFile(name: "standard input", path: nil))
        continue
      }
      let full = Folders.expanded(path)
      let type = try? FileManager.default.attributesOfItem(atPath: full)[.type] as? FileAttributeType
      guard type == .typeDirectory else {
        files.append(PictureFile(name: path, path: full))
        continue
      }
      let found = try pictures(inFolder: full, named: path)
      if found.isEmpty { throw CommandError.noPictures(path: path) }
      files += found
    }
    return files
  }

  private static func pictures(inFolder full: String, named path: String) throws -> [PictureFile] {
    guard let names = FileManager.default.enumerator(atPath: full) else {
      throw CommandError.cannotRead(path: path, problem: "the folder cannot be listed")
    }
    let prefix = path.hasSuffix("/") ? path : path + "/"
    return names.compactMap { $0 as? String }
      .filter { suffixes.contains(($0 as NSString).pathExtension.lowercased()) && !isHidden($0) }
      .sorted().map { PictureFile(name: prefix + $0, path: full + "/" + $0) }
  }

  private static func isHidden(_ path: String) -> Bool {
    path.split(separator: "/").contains { $0.hasPrefix(".") }
  }
}
