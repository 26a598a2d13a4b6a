import ArgumentParser
import DuetVision
import Foundation

/// What the scripts in tools/reference compare with other implementations.
@main
struct VisionCheck: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "duet-vision-check",
    abstract: "Writes what DuetVision makes of pictures, for comparison with other implementations.",
    subcommands: [Frames.self, Encode.self])
}

/// The processors by name.
enum ProcessorName: String, ExpressibleByArgument, CaseIterable {
  case decoded, clip, siglip, smolvlm, gemma3, efficientnet

  var processor: ImageProcessor? {
    switch self {
    case .decoded: nil
    case .clip: .clip()
    case .siglip: .siglip(side: 384)
    case .smolvlm: .smolVLM()
    case .gemma3: .gemma3()
    case .efficientnet: .efficientNetLite()
    }
  }
}

/// Squares of pictures, as a binary file per picture and processor.
struct Frames: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes FILE.NAME.rgb: rows, columns, squares, width, height as int32, then the pixels.")

  @Argument(help: "Pictures.")
  var files: [String]

  @Option(help: "The processor; decoded writes the picture itself.")
  var processor: [ProcessorName] = ProcessorName.allCases

  func run() throws {
    for file in files {
      let picture = try Bitmap(path: file)
      for name in processor {
        let (rows, columns, squares) = parts(picture, name.processor)
        var data = Data()
        for number in [rows, columns, squares.count, squares[0].width, squares[0].height] {
          unsafe withUnsafeBytes(of: Int32(number)) { unsafe data.append(contentsOf: $0) }
        }
        for square in squares { data.append(contentsOf: square.pixels) }
        try data.write(to: URL(filePath: "\(file).\(name.rawValue).rgb"))
      }
    }
  }

  private func parts(_ picture: Bitmap, _ processor: ImageProcessor?) -> (Int, Int, [Bitmap]) {
    guard let frames = processor?.frames(picture) else { return (0, 0, [picture]) }
    return (frames.rows, frames.columns, frames.squares)
  }
}
