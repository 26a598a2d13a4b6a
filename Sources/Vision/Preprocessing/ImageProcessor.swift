/// What is done to a picture before an encoder sees it, described by data.
public struct ImageProcessor: Sendable, Equatable {
  /// How a picture of any shape becomes squares.
  public enum Geometry: Sendable, Equatable {
    /// Stretched to the square, whatever its shape.
    case stretched
    /// Its shorter side fitted to the square; what the longer has too much is cut off on both ends.
    case centreCropped
    /// Its longer side fitted to this many pixels, then cut into squares, with the whole picture last
    /// (Idefics 3, arXiv 2408.12637).
    case split(longestSide: Int)
  }

  /// The side of the square that the encoder takes.
  public let side: Int
  /// How a picture becomes squares.
  public let geometry: Geometry
  /// How pixels are weighed.
  public let filter: ResamplingFilter
  /// Subtracted from values of 0 to 1, per channel.
  public let mean: [Float]
  /// What the difference is divided by, per channel.
  public let deviation: [Float]

  /// Any combination; `mean` and `deviation` hold a value for red, green and blue.
  public init(side: Int, geometry: Geometry, filter: ResamplingFilter, mean: [Float], deviation: [Float]) {
    precondition(side > 0 && mean.count == 3 && deviation.count == 3, "a side and three channels are needed")
    self.side = side
    self.geometry = geometry
    self.filter = filter
    self.mean = mean
    self.deviation = deviation
  }

  /// CLIP as published (arXiv 2103.00020).
  public static func clip(side: Int = 336) -> ImageProcessor {
    ImageProcessor(
      side: side, geometry: .centreCropped, filter: .bicubic,
      mean: [0.48145466, 0.4578275, 0.40821073], deviation: [0.26862954, 0.26130258, 0.27577711])
  }

  /// SigLIP (arXiv 2303.15343).
  public static func siglip(side: Int) -> ImageProcessor {
    ImageProcessor(side: side, geometry: .stretched, filter: .bicubic, mean: halves, deviation: halves)
  }

  /// SmolVLM (arXiv 2504.05299), which splits as Idefics 3 does.
  public static func smolVLM(side: Int = 512, longestSide: Int = 2_048) -> ImageProcessor {
    ImageProcessor(
      side: side, geometry: .split(longestSide: longestSide), filter: .lanczos, mean: halves,
      deviation: halves)
  }

  /// Gemma 3 (arXiv 2503.19786), without pan and scan.
  public static func gemma3(side: Int = 896) -> ImageProcessor {
    ImageProcessor(side: side, geometry: .stretched, filter: .bilinear, mean: halves, deviation: halves)
  }

  /// EfficientNet-Lite: (x - 127) / 128. The whole picture counts for a caption, so it is stretched.
  public static func efficientNetLite(side: Int = 224) -> ImageProcessor {
    let mean = [Float](repeating: 127 / 255, count: 3), deviation = [Float](repeating: 128 / 255, count: 3)
    return ImageProcessor(
      side: side, geometry: .stretched, filter: .bicubic, mean: mean, deviation: deviation)
  }

  private static let halves: [Float] = [0.5, 0.5, 0.5]

  /// The squares of a picture.
  ///
  /// - Complexity: O(pixels of the picture and of the squares times the filter's width).
  public func frames(_ picture: Bitmap) -> ImageFrames {
    switch geometry {
    case .stretched:
      return ImageFrames(picture.resized(width: side, height: side, filter: filter))
    case .centreCropped: return ImageFrames(centreCropped(picture))
    case .split(let longestSide): return split(picture, longestSide)
    }
  }

  /// The values that the encoder takes of a square, [side, side, 3].
  public func normalized(_ square: Bitmap) -> [Float] {
    let scale = (0..<3).map { 1 / (255 * deviation[$0]) }
    let shift = (0..<3).map { -mean[$0] / deviation[$0] }
    var values = [Float](repeating: 0, count: square.pixels.count)
    var channel = 0
    for (index, pixel) in square.pixels.enumerated() {
      values[index] = Float(pixel) * scale[channel] + shift[channel]
      channel = channel == 2 ? 0 : channel + 1
    }
    return values
  }

  private func centreCropped(_ picture: Bitmap) -> Bitmap {
    let short = min(picture.width, picture.height), long = max(picture.width, picture.height)
    let longTarget = side * long / short
    let landscape = picture.width > picture.height
    let size = landscape ? (width: longTarget, height: side) : (width: side, height: longTarget)
    let left = (size.width - side) / 2, top = (size.height - side) / 2
    return picture.resized(
      width: size.width, height: size.height, columns: left..<left + side, rows: top..<top + side,
      filter: filter)
  }
}

/// The squares that a picture became.
public struct ImageFrames: Sendable, Equatable {
  /// The parts, row by row, then the whole picture; the whole picture alone where it was not cut.
  public let squares: [Bitmap]
  /// Rows of parts; 0 where it was not cut.
  public let rows: Int
  /// Parts a row.
  public let columns: Int

  init(_ whole: Bitmap) {
    squares = [whole]
    rows = 0
    columns = 0
  }

  init(squares: [Bitmap], rows: Int, columns: Int) {
    self.squares = squares
    self.rows = rows
    self.columns = columns
  }
}

// MARK: Splitting

extension ImageProcessor {
  private typealias Size = (width: Int, height: Int)

  /// The longest side that a picture is enlarged to, whatever is asked for.
  private static let absoluteSide = 4_096

  private func split(_ picture: Bitmap, _ longestSide: Int) -> ImageFrames {
    let fitted = Self.fitted((picture.width, picture.height), longestSide)
    let first = picture.resized(width: fitted.width, height: fitted.height, filter: filter)
    let whole = wholeSquares(fitted)
    let enlarged = first.resized(width: whole.width, height: whole.height, filter: filter)
    guard whole.width > side || whole.height > side else { return ImageFrames(enlarged) }
    let rows = whole.height / side, columns = whole.width / side
    var squares: [Bitmap] = []
    for row in 0..<rows {
      for column in 0..<columns {
        squares.append(enlarged.cropped(x: column * side, y: row * side, width: side, height: side))
      }
    }
    squares.append(enlarged.resized(width: side, height: side, filter: filter))
    return ImageFrames(squares: squares, rows: rows, columns: columns)
  }

  /// The longer side at `longest`, the shorter even, neither above the absolute limit.
  private static func fitted(_ size: Size, _ longest: Int) -> Size {
    let ratio = Double(size.width) / Double(size.height)
    var fitted = size
    if size.width >= size.height {
      fitted = (longest, even(Int(Double(longest) / ratio)))
    } else {
      fitted = (even(Int(Double(longest) * ratio)), longest)
    }
    fitted = (max(1, fitted.width), max(1, fitted.height))
    guard max(fitted.width, fitted.height) > absoluteSide else { return fitted }
    let again = Double(fitted.width) / Double(fitted.height)
    return fitted.width >= fitted.height
      ? (absoluteSide, max(1, Int(Double(absoluteSide) / again)))
      : (max(1, Int(Double(absoluteSide) * again)), absoluteSide)
  }

  private static func even(_ value: Int) -> Int { value + value % 2 }

  /// Both sides rounded up to multiples of the square, the longer one first.
  private func wholeSquares(_ size: Size) -> Size {
    let ratio = Double(size.width) / Double(size.height)
    if size.width >= size.height {
      let width = roundedUp(size.width)
      return (width, roundedUp(Int(Double(width) / ratio)))
    }
    let height = roundedUp(size.height)
    return (roundedUp(Int(Double(height) * ratio)), height)
  }

  private func roundedUp(_ value: Int) -> Int { max(1, (value + side - 1) / side) * side }
}
