/// How a picture must be turned to stand upright, numbered as in EXIF (CIPA DC-008, tag 274).
package enum Orientation: UInt16, Sendable, CaseIterable {
  case upright = 1
  case mirrored
  case upsideDown
  case flipped
  case transposed
  case turnedLeft
  case transversed
  case turnedRight

  /// Width and height change places.
  var swapsSides: Bool { rawValue >= 5 }

  /// What the file says; upright where it says nothing or what cannot be understood.
  package init(_ bytes: RawSpan, format: ImageFormat) {
    let range =
      switch format {
      case .jpeg: EXIF.jpegSegment(bytes)
      case .png: EXIF.pngChunk(bytes)
      }
    guard let range, let number = EXIF.orientation(bytes, range) else {
      self = .upright
      return
    }
    self = Orientation(rawValue: number) ?? .upright
  }
}

/// Finds the orientation within a file's EXIF data. Offsets come from the file: each is checked, and
/// whatever does not fit ends the search.
enum EXIF {
  /// Segments or chunks that are looked at.
  private static let maximumSteps = 10_000

  /// The whole number at `offset`; what lies beyond the end counts as zeros.
  private static func number(_ bytes: RawSpan, _ offset: Int, width: Int, little: Bool = false) -> Int {
    var sum = 0
    for index in 0..<width {
      let at = offset + (little ? width - 1 - index : index)
      sum = sum << 8 | (at >= 0 && at < bytes.byteCount ? Int(bytes.byte(at: at)) : 0)
    }
    return sum
  }

  /// The TIFF structure within the APP1 segment of a JPEG file.
  static func jpegSegment(_ bytes: RawSpan) -> Range<Int>? {
    var offset = 2
    for _ in 0..<Self.maximumSteps {
      guard offset + 4 <= bytes.byteCount, bytes.byte(at: offset) == 0xFF else { return nil }
      let marker = bytes.byte(at: offset + 1)
      if marker == 0xFF {  // padding before a marker
        offset += 1
        continue
      }
      guard marker != 0xDA, marker != 0xD9 else { return nil }
      let length = number(bytes, offset + 2, width: 2), end = offset + 2 + length
      guard length >= 2, end <= bytes.byteCount else { return nil }
      let data = offset + 4
      if marker == 0xE1, data + 6 <= end, number(bytes, data, width: 6) == 0x4578_6966_0000 {
        return data + 6..<end
      }
      offset = end
    }
    return nil
  }

  /// The TIFF structure within the eXIf chunk of a PNG file.
  static func pngChunk(_ bytes: RawSpan) -> Range<Int>? {
    var offset = 8
    for _ in 0..<Self.maximumSteps {
      guard offset + 12 <= bytes.byteCount else { return nil }
      let length = number(bytes, offset, width: 4)
      guard length <= bytes.byteCount - offset - 12 else { return nil }
      if number(bytes, offset + 4, width: 4) == 0x6558_4966 { return offset + 8..<offset + 8 + length }
      offset += 12 + length
    }
    return nil
  }

  /// Tag 274 of the first directory of a TIFF structure.
  static func orientation(_ bytes: RawSpan, _ range: Range<Int>) -> UInt16? {
    guard range.count >= 14 else { return nil }
    let start = range.lowerBound
    let order = number(bytes, start, width: 2)
    guard order == 0x4949 || order == 0x4D4D else { return nil }
    let little = order == 0x4949
    guard number(bytes, start + 2, width: 2, little: little) == 42 else { return nil }
    let directory = number(bytes, start + 4, width: 4, little: little)
    guard directory >= 8, directory <= range.count - 2 else { return nil }
    let count = number(bytes, start + directory, width: 2, little: little)
    for index in 0..<min(count, (range.count - directory - 2) / 12) {
      let entry = start + directory + 2 + 12 * index
      guard number(bytes, entry, width: 2, little: little) == 274 else { continue }
      guard number(bytes, entry + 2, width: 2, little: little) == 3 else { return nil }
      return UInt16(number(bytes, entry + 8, width: 2, little: little))
    }
    return nil
  }
}

extension RawSpan {
  /// The byte at `offset`, which must lie within the span.
  func byte(at offset: Int) -> UInt8 {
    precondition(offset >= 0 && offset < byteCount, "offset outside of the span")
    return unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
  }

  func starts(with prefix: [UInt8]) -> Bool {
    guard byteCount >= prefix.count else { return false }
    for (index, value) in prefix.enumerated() where byte(at: index) != value { return false }
    return true
  }
}

extension Bitmap {
  /// The picture turned upright. O(pixels).
  package func turned(_ orientation: Orientation) -> Bitmap {
    guard orientation != .upright else { return self }
    let size = orientation.swapsSides ? (width: height, height: width) : (width: width, height: height)
    var turned = [UInt8](repeating: 0, count: pixels.count)
    var out = 0
    for y in 0..<size.height {
      for x in 0..<size.width {
        let from = 3 * source(x, y, orientation)
        turned[out] = pixels[from]
        turned[out + 1] = pixels[from + 1]
        turned[out + 2] = pixels[from + 2]
        out += 3
      }
    }
    return Bitmap(width: size.width, height: size.height, pixels: turned)
  }

  /// The pixel that comes to lie at (x, y).
  private func source(_ x: Int, _ y: Int, _ orientation: Orientation) -> Int {
    let right = width - 1, bottom = height - 1
    return switch orientation {
    case .upright: y * width + x
    case .mirrored: y * width + right - x
    case .upsideDown: (bottom - y) * width + right - x
    case .flipped: (bottom - y) * width + x
    case .transposed: x * width + y
    case .turnedLeft: (bottom - x) * width + y
    case .transversed: (bottom - x) * width + right - y
    case .turnedRight: x * width + right - y
    }
  }
}
