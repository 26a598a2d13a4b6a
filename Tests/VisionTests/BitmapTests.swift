import DuetVision
import Foundation
import Testing

/// Pictures of every kind, as Pillow decodes and resizes them (tools/reference/record_images.py).
struct BitmapTests {
  struct Recording: Decodable {
    let cases: [[String: Text]]
  }

  /// A text or a number of the recording.
  enum Text: Decodable {
    case number(Int)
    case text(String)

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let number = try? container.decode(Int.self) {
        self = .number(number)
      } else {
        self = .text(try container.decode(String.self))
      }
    }

    var text: String { if case .text(let text) = self { text } else { "" } }
    var number: Int { if case .number(let number) = self { number } else { 0 } }
    var bytes: [UInt8] {
      let digits = Array(text.utf8)
      return stride(from: 0, to: digits.count, by: 2).map {
        Self.value(digits[$0]) << 4 | Self.value(digits[$0 + 1])
      }
    }

    private static func value(_ digit: UInt8) -> UInt8 { digit < 58 ? digit - 48 : digit - 87 }
  }

  static let recording = Result {
    try JSONDecoder().decode(Recording.self, from: fixture("pictures.json"))
  }

  @Test func decodesEveryKindAsPillowDoes() throws {
    for entry in try Self.recording.get().cases {
      let name = entry["file"]?.text ?? ""
      let picture = try Bitmap(bytes: [UInt8](fixture(name)))
      #expect(picture.width == entry["width"]?.number && picture.height == entry["height"]?.number, "\(name)")
      #expect(difference(picture.pixels, entry["pixels"]?.bytes ?? []) <= 1, "\(name)")
    }
  }

  @Test(arguments: ["bilinear", "bicubic", "lanczos"])
  func resizesAsPillowDoes(name: String) throws {
    let filters: [String: ResamplingFilter] = [
      "bilinear": .bilinear, "bicubic": .bicubic, "lanczos": .lanczos,
    ]
    let filter = try #require(filters[name])
    for entry in try Self.recording.get().cases {
      let picture = try Bitmap(bytes: [UInt8](fixture(entry["file"]?.text ?? "")))
      for (width, height) in [(5, 7), (31, 9)] {
        let expected = entry["\(name) \(width)x\(height)"]?.bytes ?? []
        let resized = picture.resized(width: width, height: height, filter: filter)
        #expect(difference(resized.pixels, expected) <= 1)
      }
    }
  }

  @Test func windowIsAPartOfTheWhole() throws {
    let picture = try Bitmap(bytes: [UInt8](fixture("png.png")))
    let whole = picture.resized(width: 40, height: 30, filter: .lanczos)
    let part = picture.resized(width: 40, height: 30, columns: 7..<29, rows: 11..<20, filter: .lanczos)
    #expect(part == whole.cropped(x: 7, y: 11, width: 22, height: 9))
  }

  @Test func oneColourStaysOneColour() {
    let picture = Bitmap(width: 37, height: 11, pixels: Array(repeating: 201, count: 37 * 11 * 3))
    for filter in [ResamplingFilter.bilinear, .bicubic, .lanczos] {
      #expect(picture.resized(width: 13, height: 90, filter: filter).pixels.allSatisfy { $0 == 201 })
    }
  }

  @Test(arguments: Orientation.allCases)
  func turnsBackAndForth(orientation: Orientation) {
    let picture = Bitmap(width: 3, height: 2, pixels: (0..<18).map { UInt8($0) })
    let back: Orientation =
      switch orientation {
      case .turnedLeft: .turnedRight
      case .turnedRight: .turnedLeft
      default: orientation
      }
    #expect(picture.turned(orientation).turned(back) == picture)
  }

  @Test func largePhotosAreDecodedSmaller() throws {
    let bytes = [UInt8](fixture("bomb-progressive.jpg"))
    let picture = try Bitmap(bytes: bytes, atLeast: 448)
    #expect(picture.width == 1_000 && picture.height == 500)
  }
}

/// What is refused, and how.
struct ImageRefusalTests {
  @Test func unknownFilesAreNamed() {
    #expect(throws: ImageError.unknownFormat) { try Bitmap(bytes: Array("GIF89a".utf8)) }
    #expect(throws: ImageError.unknownFormat) { try Bitmap(bytes: [UInt8]()) }
  }

  @Test(arguments: ["jpeg.jpg", "jpeg-progressive.jpg", "png.png", "png-interlaced.png"])
  func cutFilesAreRefused(name: String) {
    let bytes = [UInt8](fixture(name))
    for length in [12, bytes.count / 3, bytes.count / 2, bytes.count - bytes.count / 8] {
      #expect(throws: ImageError.self) { try Bitmap(bytes: Array(bytes.prefix(length))) }
    }
  }

  @Test func pixelsAreLimited() {
    let bytes = [UInt8](fixture("png.png"))
    #expect(throws: ImageError.tooManyPixels(width: 21, height: 12, limit: 100)) {
      try Bitmap(bytes: bytes, limits: ImageLimits(pixels: 100))
    }
  }

  @Test func memoryIsLimitedBeforeItIsTaken() {
    for name in ["bomb-grey.png", "bomb-progressive.jpg", "bomb-interlaced.png"] {
      #expect(throws: ImageError.self, "\(name)") {
        try Bitmap(bytes: [UInt8](fixture(name)), limits: ImageLimits(memory: 8 << 20))
      }
    }
  }

  @Test func textThatInflatesIsSkipped() throws {
    let picture = try Bitmap(bytes: [UInt8](fixture("bomb-text.png")))
    #expect(picture.width == 8)
  }

  @Test func messagesFitOneLine() {
    let errors: [ImageError] = [
      .unknownFormat, .truncated(format: .png), .corrupt(format: .jpeg, problem: "x"),
      .tooManyPixels(width: 1, height: 2, limit: 3), .tooMuchMemory(bytes: 1, limit: 2),
      .tooMuchWork(format: .jpeg),
    ]
    for error in errors { #expect(!error.description.isEmpty && !error.description.contains("\n")) }
  }
}
