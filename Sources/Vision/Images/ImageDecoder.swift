import CImageCodecs

/// Decodes one file in memory: the header, its limits, then the pixels.
struct ImageDecoder {
  let format: ImageFormat
  let limits: ImageLimits

  /// Blocks that all scans of a progressive JPEG may decode together, about a second's worth.
  private static let maximumBlocks: UInt64 = 40_000_000
  /// Scans that encoders make at most, with room.
  private static let maximumScans: UInt64 = 100
  /// Bytes that a PNG may inflate to, about a second's worth.
  private static let maximumInflated: UInt64 = 512 << 20

  func decode(_ bytes: RawSpan, atLeast side: Int?, turns: Bool) throws(ImageError) -> Bitmap {
    let header = try header(bytes)
    let width = Int(header.width), height = Int(header.height)
    guard width > 0, height > 0 else { throw .corrupt(format: format, problem: "no pixels") }
    guard height <= limits.pixels / width else {
      throw .tooManyPixels(width: width, height: height, limit: limits.pixels)
    }
    let denominator = denominator(min(width, height), atLeast: side)
    let size = (
      width: (width + denominator - 1) / denominator, height: (height + denominator - 1) / denominator
    )
    let count = size.width * size.height
    // Beside what the file holds there may be grey without its alpha, RGB, and RGB turned upright.
    let channels = Int(header.channels)
    let others = (channels == 2 ? 1 : 0) + (channels == 3 ? 0 : 3) + (turns ? 3 : 0)
    let total = count * (channels + others) + Int(header.working_bytes)
    guard total <= limits.memory else { throw .tooMuchMemory(bytes: total, limit: limits.memory) }
    let pixels = try pixels(bytes, header, count: count * channels, denominator: denominator)
    return Bitmap(width: size.width, height: size.height, pixels: RGB.pixels(pixels, header))
  }

  private func denominator(_ shorter: Int, atLeast side: Int?) -> Int {
    guard format == .jpeg, let side, side > 0 else { return 1 }
    return [8, 4, 2].first { shorter / $0 >= side } ?? 1
  }

  private func header(_ bytes: RawSpan) throws(ImageError) -> duet_image_header {
    var header = duet_image_header()
    try unsafe call(bytes) { bytes, count, message in
      switch format {
      case .jpeg: unsafe duet_jpeg_header(bytes, count, &header, message)
      case .png: unsafe duet_png_header(bytes, count, &header, message)
      }
    }
    return header
  }

  private func pixels(
    _ bytes: RawSpan, _ header: duet_image_header, count: Int, denominator: Int
  ) throws(ImageError) -> [UInt8] {
    guard format == .jpeg || header.work <= Self.maximumInflated else { throw .tooMuchWork(format: format) }
    let scans = header.work == 0 ? Self.maximumScans : Self.maximumBlocks / header.work
    let limit = Int32(min(Self.maximumScans, scans)), memory = limits.memory
    var pixels = [UInt8](repeating: 0, count: count)
    try unsafe call(bytes) { bytes, length, message in
      switch format {
      case .jpeg:
        unsafe duet_jpeg_decode(bytes, length, Int32(denominator), limit, memory, &pixels, count, message)
      case .png: unsafe duet_png_decode(bytes, length, &pixels, count, message)
      }
    }
    return pixels
  }

  /// Calls one of the C functions and turns what it says into an error.
  private func call(
    _ bytes: RawSpan,
    _ body: (UnsafePointer<UInt8>, Int, UnsafeMutablePointer<CChar>) -> duet_image_status
  ) throws(ImageError) {
    var message = [CChar](repeating: 0, count: Int(DUET_IMAGE_MESSAGE))
    let status = unsafe bytes.withUnsafeBytes { buffer in
      guard let base = buffer.baseAddress else { return DUET_IMAGE_TRUNCATED }
      return unsafe message.withUnsafeMutableBufferPointer { text in
        guard let text = text.baseAddress else { return DUET_IMAGE_CORRUPT }
        return unsafe body(base.assumingMemoryBound(to: UInt8.self), buffer.count, text)
      }
    }
    guard status != DUET_IMAGE_OK else { return }
    let problem = String(
      decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    switch status {
    case DUET_IMAGE_TRUNCATED: throw .truncated(format: format)
    case DUET_IMAGE_UNSUPPORTED: throw .unsupported(format: format, problem: problem)
    case DUET_IMAGE_TOO_LARGE: throw .tooMuchWork(format: format)
    default: throw .corrupt(format: format, problem: problem)
    }
  }
}
