import DuetRuntime

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A picture's file and what is said of it.
public struct CaptionedPicture: Sendable, Equatable {
  /// The file.
  public let path: String
  /// At least one sentence, tidied up.
  public let captions: [String]

  /// Reads pictures with their captions. O(text).
  ///
  /// - Parameter path: of a file of JSON lines `{"image": "photo.jpg", "captions": ["…"]}`, names relative to its
  ///   folder; or of a folder of pictures, each with a text file of the same name, a caption on each line.
  /// - Returns: the pictures in order, and what was left out.
  /// - Throws: `TrainingError.unreadableRows`.
  package static func read(_ path: String) throws(TrainingError) -> (
    pictures: [CaptionedPicture], skips: Skips
  ) {
    var isFolder = false
    if let type = try? FileManager.default.attributesOfItem(atPath: path)[.type] as? FileAttributeType {
      isFolder = type == .typeDirectory
    }
    return try isFolder ? folder(path) : lines(path)
  }

  private struct Record: Decodable {
    let image: String
    let captions: [String]
  }

  private static func lines(
    _ path: String
  ) throws(TrainingError) -> (pictures: [CaptionedPicture], skips: Skips) {
    var skips = Skips(), pictures: [CaptionedPicture] = []
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    for line in try bytes(path).split(separator: 0x0a) where !line.allSatisfy({ $0 <= 0x20 }) {
      guard let record = try? JSONDecoder().decode(Record.self, from: Data(line)) else {
        skips.add("no JSON object with image and captions")
        continue
      }
      let file = record.image.hasPrefix("/") ? record.image : folder + record.image
      append(file, record.captions, to: &pictures, &skips)
    }
    return (pictures, skips)
  }

  private static let suffixes = [".jpg", ".jpeg", ".png"]

  private static func folder(
    _ path: String
  ) throws(TrainingError) -> (pictures: [CaptionedPicture], skips: Skips) {
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: path).sorted() } catch {
      throw .unreadableRows(path: path, problem: "the folder cannot be listed")
    }
    var skips = Skips(), pictures: [CaptionedPicture] = []
    for name in names {
      guard let suffix = suffixes.first(where: { name.lowercased().hasSuffix($0) }) else { continue }
      let text = "\(path)/\(name.dropLast(suffix.count)).txt"
      guard let bytes = try? bytes(text) else {
        skips.add("picture without a text file")
        continue
      }
      let captions = bytes.split(separator: 0x0a).map { String(decoding: $0, as: UTF8.self) }
      append("\(path)/\(name)", captions, to: &pictures, &skips)
    }
    return (pictures, skips)
  }

  private static func append(
    _ file: String, _ captions: [String], to pictures: inout [CaptionedPicture], _ skips: inout Skips
  ) {
    let captions = captions.map(tidied).filter { !$0.isEmpty }
    if captions.isEmpty { return skips.add("picture without a caption") }
    pictures.append(CaptionedPicture(path: file, captions: captions))
  }

  private static func bytes(_ path: String) throws(TrainingError) -> [UInt8] {
    do {
      let file = try MappedFile(path: path)
      return file.bytes(0..<file.count)
    } catch {
      throw .unreadableRows(path: path, problem: error.description)
    }
  }

  /// A sentence as one writes it: captions of data sets are often cut into words ("a dog runs .").
  static func tidied(_ caption: String) -> String {
    var text = ""
    for word in caption.split(whereSeparator: \.isWhitespace) {
      let isMark = word.allSatisfy { ".,;:!?".contains($0) }
      text += (text.isEmpty || isMark ? "" : " ") + word
    }
    guard let first = text.first, text.contains(where: \.isLetter) else { return "" }
    text.replaceSubrange(...text.startIndex, with: first.uppercased())
    return ".!?".contains(text.last ?? " ") ? text : text + "."
  }
}
