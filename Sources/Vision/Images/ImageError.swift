import DuetRuntime

/// Why a picture could not be read.
public enum ImageError: Error, Equatable, CustomStringConvertible {
  case file(FileError)
  case unknownFormat
  case corrupt(format: ImageFormat, problem: String)
  case truncated(format: ImageFormat)
  case unsupported(format: ImageFormat, problem: String)
  case tooManyPixels(width: Int, height: Int, limit: Int)
  case tooMuchMemory(bytes: Int, limit: Int)
  case tooMuchWork(format: ImageFormat)

  /// What is wrong and what to do; who knows the file's name puts it in front.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .unknownFormat: "is neither a JPEG nor a PNG file; convert it to one of the two"
    case .corrupt(let format, let problem): "is a damaged \(format.name) file (\(problem)); get another copy"
    case .truncated(let format): "is a \(format.name) file that ends early; copy or download it again"
    case .unsupported(let format, let problem):
      "is a \(format.name) file that cannot be read: \(problem); save it as RGB"
    case .tooManyPixels(let width, let height, let limit):
      "has \(width) x \(height) pixels, where \(limit / 1_000_000) million are allowed; make it smaller"
    case .tooMuchMemory(let bytes, let limit):
      "needs \(bytes >> 20) MB to decode, where \(limit >> 20) MB are allowed; make it smaller"
    case .tooMuchWork(let format):
      "is a \(format.name) file made to take long; save it again with other settings"
    }
  }
}

/// The formats that pictures are read from.
public enum ImageFormat: Sendable, Equatable {
  case jpeg
  case png

  /// The name that people know it by.
  public var name: String {
    switch self {
    case .jpeg: "JPEG"
    case .png: "PNG"
    }
  }

  /// The format that the first bytes announce; nil for others.
  public init?(_ bytes: RawSpan) {
    if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
      self = .jpeg
    } else if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
      self = .png
    } else {
      return nil
    }
  }
}

/// What a picture may ask for. Both are checked against the file's header, before any allocation.
public struct ImageLimits: Sendable, Equatable {
  /// Pixels that the file may say it has.
  public var pixels: Int
  /// Bytes for the decoded pixels and what the decoder needs beside them.
  public var memory: Int

  /// 100 million pixels in 256 MB, unless given.
  public init(pixels: Int = 100_000_000, memory: Int = 256 << 20) {
    self.pixels = pixels
    self.memory = memory
  }
}
