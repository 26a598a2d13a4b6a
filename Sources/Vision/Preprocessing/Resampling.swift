import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How pixels are weighed when a picture is resized.
public enum ResamplingFilter: Sendable {
  case bilinear
  /// Keys' cubic with a = -0.5 (IEEE ASSP 29(6), 1981).
  case bicubic
  /// A sinc windowed by a wider sinc, three lobes.
  case lanczos

  /// How far from its centre the filter is not zero.
  var support: Double {
    switch self {
    case .bilinear: 1
    case .bicubic: 2
    case .lanczos: 3
    }
  }

  func callAsFunction(_ position: Double) -> Double {
    let x = abs(position)
    guard x < support else { return 0 }
    switch self {
    case .bilinear: return 1 - x
    case .bicubic: return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2
    case .lanczos: return Self.sinc(x) * Self.sinc(x / 3)
    }
  }

  private static func sinc(_ x: Double) -> Double {
    x == 0 ? 1 : sin(x * .pi) / (x * .pi)
  }
}

/// For each pixel of a line, which pixels of the source it is made of, and their shares.
struct ResamplingTable {
  /// First source pixel of each output pixel.
  private(set) var starts: [Int32] = []
  /// How many follow.
  private(set) var counts: [Int32] = []
  /// [outputs, taps] in units of 2^-22.
  private(set) var weights: [Int32]
  let taps: Int

  /// Bits after the point: 8 of a pixel and the overshoot of a sum fit beside them into 32.
  static let fractionBits = 22

  /// The pixels `window` of a line of `count` made of a line of `source`. The filter is widened by the
  /// reduction, so that every source pixel counts (antialiasing).
  init(from source: Int, to count: Int, window: Range<Int>, filter: ResamplingFilter) {
    let scale = Double(source) / Double(count), stretch = max(scale, 1)
    let support = filter.support * stretch
    taps = Int(support.rounded(.up)) * 2 + 1
    weights = [Int32](repeating: 0, count: window.count * taps)
    starts.reserveCapacity(window.count)
    counts.reserveCapacity(window.count)
    for (row, index) in window.enumerated() {
      let center = (Double(index) + 0.5) * scale
      let first = max(0, Int(center - support + 0.5))
      let last = min(source, Int(center + support + 0.5))
      let shares = (first..<last).map { filter((Double($0) - center + 0.5) / stretch) }
      let total = shares.reduce(0, +)
      for (tap, share) in shares.enumerated() {
        let weight = total == 0 ? share : share / total
        weights[row * taps + tap] = Int32((weight * Double(1 << Self.fractionBits)).rounded())
      }
      starts.append(Int32(first))
      counts.append(Int32(last - first))
    }
  }
}

extension Bitmap {
  /// The picture in another size, antialiased: each row, then each column, rounded to 8 bits in
  /// between. Columns come first where the height shrinks by more than twice what the width does, which
  /// is what Pillow 13.0 was found to do: the order shows where the first pass over- or undershoots.
  ///
  /// - Complexity: O(pixels of both times the filter's width).
  package func resized(width: Int, height: Int, filter: ResamplingFilter) -> Bitmap {
    resized(width: width, height: height, columns: 0..<width, rows: 0..<height, filter: filter)
  }

  /// A part of the picture in another size: nothing else of it is computed.
  package func resized(
    width: Int, height: Int, columns: Range<Int>, rows: Range<Int>, filter: ResamplingFilter
  ) -> Bitmap {
    precondition(
      columns.lowerBound >= 0 && columns.upperBound <= width && !columns.isEmpty, "columns outside")
    precondition(rows.lowerBound >= 0 && rows.upperBound <= height && !rows.isEmpty, "rows outside")
    if height < self.height && self.height - height > 2 * (self.width - width) {
      return resizedDown(height, rows, filter).resizedAcross(width, columns, filter)
    }
    return resizedAcross(width, columns, filter).resizedDown(height, rows, filter)
  }

  private func resizedAcross(_ target: Int, _ window: Range<Int>, _ filter: ResamplingFilter) -> Bitmap {
    guard target != width || window.count != width else { return self }
    let table = ResamplingTable(from: width, to: target, window: window, filter: filter)
    var out = [UInt8](repeating: 0, count: window.count * height * 3)
    unsafe duet_resample_across(
      pixels, width, height, table.starts, table.counts, table.weights, table.taps, &out, window.count)
    return Bitmap(width: window.count, height: height, pixels: out)
  }

  private func resizedDown(_ target: Int, _ window: Range<Int>, _ filter: ResamplingFilter) -> Bitmap {
    guard target != height || window.count != height else { return self }
    let table = ResamplingTable(from: height, to: target, window: window, filter: filter)
    var out = [UInt8](repeating: 0, count: width * window.count * 3)
    unsafe duet_resample_down(
      pixels, 3 * width, table.starts, table.counts, table.weights, table.taps, &out, window.count)
    return Bitmap(width: width, height: window.count, pixels: out)
  }

  /// A part of the picture.
  package func cropped(x: Int, y: Int, width: Int, height: Int) -> Bitmap {
    precondition(x >= 0 && y >= 0 && x + width <= self.width && y + height <= self.height, "outside")
    var out: [UInt8] = []
    out.reserveCapacity(width * height * 3)
    for row in y..<y + height {
      let start = 3 * (row * self.width + x)
      out += pixels[start..<start + 3 * width]
    }
    return Bitmap(width: width, height: height, pixels: out)
  }

  /// The picture in the middle of a square of its longer side.
  package func paddedToSquare(colour: (red: UInt8, green: UInt8, blue: UInt8)) -> Bitmap {
    let side = max(width, height)
    guard width != height else { return self }
    let left = (side - width) / 2, top = (side - height) / 2
    var out = [UInt8](repeating: 0, count: side * side * 3)
    for index in 0..<side * side {
      let x = index % side - left, y = index / side - top
      let inside = x >= 0 && x < width && y >= 0 && y < height
      let from = inside ? 3 * (y * width + x) : 0
      out[3 * index] = inside ? pixels[from] : colour.red
      out[3 * index + 1] = inside ? pixels[from + 1] : colour.green
      out[3 * index + 2] = inside ? pixels[from + 2] : colour.blue
    }
    return Bitmap(width: side, height: side, pixels: out)
  }
}
