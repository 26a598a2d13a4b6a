import DuetVision
import Testing

/// Sizes and orders that the processors promise.
struct ProcessorTests {
  private func gradient(_ width: Int, _ height: Int) -> Bitmap {
    let pixels = (0..<width * height * 3).map { UInt8($0 / 3 % width * 255 / max(1, width - 1)) }
    return Bitmap(width: width, height: height, pixels: pixels)
  }

  @Test(arguments: [(640, 480), (1, 900), (3_000, 2), (336, 336), (17, 31)])
  func squaresHaveTheProcessorsSide(width: Int, height: Int) {
    for processor in [ImageProcessor.clip(), .siglip(side: 384), .gemma3(), .efficientNetLite()] {
      let frames = processor.frames(gradient(width, height))
      #expect(
        frames.squares.map(\.width) == [processor.side] && frames.squares.map(\.height) == [processor.side])
      #expect(frames.rows == 0)
    }
  }

  @Test(arguments: [(640, 480, 3, 4), (480, 640, 4, 3), (2_000, 500, 1, 4), (512, 512, 4, 4)])
  func splitsIntoRowsAndColumns(width: Int, height: Int, rows: Int, columns: Int) {
    let frames = ImageProcessor.smolVLM().frames(gradient(width, height))
    #expect(frames.rows == rows && frames.columns == columns)
    #expect(frames.squares.count == rows * columns + 1)
    // A gradient from left to right: each column of parts is brighter than the one before.
    let first = frames.squares[0].pixels[0], last = frames.squares[columns - 1].pixels[0]
    #expect(first < last || columns == 1)
  }

  @Test func normalizesByMeanAndDeviation() {
    let square = Bitmap(width: 1, height: 2, pixels: [0, 127, 255, 255, 0, 127])
    let values = ImageProcessor.efficientNetLite().normalized(square)
    for (value, pixel) in zip(values, square.pixels) {
      #expect(abs(value - (Float(pixel) - 127) / 128) < 1e-6)
    }
  }
}
