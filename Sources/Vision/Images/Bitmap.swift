import DuetRuntime

/// A picture in memory: 8-bit RGB, rows from the top without gaps.
public struct Bitmap: Sendable, Equatable {
  /// Pixels a row.
  public let width: Int
  /// Rows.
  public let height: Int
  /// [height, width, 3]
  public let pixels: [UInt8]

  /// A picture of these pixels, [height, width, 3].
  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(width > 0 && height > 0 && pixels.count == width * height * 3, "pixels and size differ")
    self.width = width
    self.height = height
    self.pixels = pixels
  }

  /// The picture as a mirror shows it. O(pixels).
  public var mirrored: Bitmap {
    var pixels: [UInt8] = []
    pixels.reserveCapacity(self.pixels.count)
    for row in 0..<height {
      for column in (0..<width).reversed() {
        let start = (row * width + column) * 3
        pixels += self.pixels[start..<start + 3]
      }
    }
    return Bitmap(width: width, height: height, pixels: pixels)
  }

  /// Reads a JPEG or PNG file, turned upright as its EXIF data say. Transparent pixels are laid on white.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - limits: What the picture may ask for.
  ///   - side: Where given, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size when its shorter side
  ///     keeps at least this many pixels: enough for a reduction to half of that.
  /// - Throws: `ImageError`.
  public init(path: String, limits: ImageLimits = ImageLimits(), atLeast side: Int? = nil) throws(ImageError)
  {
    let file: MappedFile
    do { file = try MappedFile(path: path) } catch { throw .file(error) }
    self = try file.withBytes(0..<file.count) { bytes throws(ImageError) in
      try Bitmap(bytes: bytes, limits: limits, atLeast: side)
    }
  }

  /// The same from the bytes of a file.
  public init(bytes: RawSpan, limits: ImageLimits = ImageLimits(), atLeast side: Int? = nil)
    throws(ImageError)
  {
    guard let format = ImageFormat(bytes) else { throw .unknownFormat }
    let upright = Orientation(bytes, format: format), decoder = ImageDecoder(format: format, limits: limits)
    self = try decoder.decode(bytes, atLeast: side, turns: upright != .upright).turned(upright)
  }

  /// The same from the bytes of a file.
  public init(bytes: [UInt8], limits: ImageLimits = ImageLimits(), atLeast side: Int? = nil)
    throws(ImageError)
  {
    try self.init(bytes: unsafe bytes.span.bytes, limits: limits, atLeast: side)
  }
}
