import CImageCodecs

/// What the decoders write, as RGB.
enum RGB {
  static func pixels(_ source: [UInt8], _ header: duet_image_header) -> [UInt8] {
    switch header.channels {
    case 1: return fromGrey(source, stride: 1)
    case 2: return fromGrey(flattened(source, channels: 2), stride: 1)
    case 4 where header.ink: return fromInk(source, inverted: header.inverted)
    case 4: return flattened(source, channels: 4)
    default: return source
    }
  }

  private static func fromGrey(_ source: [UInt8], stride: Int) -> [UInt8] {
    var pixels = [UInt8](repeating: 0, count: source.count * 3)
    for (index, value) in source.enumerated() {
      pixels[3 * index] = value
      pixels[3 * index + 1] = value
      pixels[3 * index + 2] = value
    }
    return pixels
  }

  /// Colours laid on white by their alpha, the last channel, which is left out.
  private static func flattened(_ source: [UInt8], channels: Int) -> [UInt8] {
    let colours = channels - 1
    var pixels = [UInt8](repeating: 0, count: source.count / channels * colours)
    var out = 0
    for pixel in stride(from: 0, to: source.count, by: channels) {
      let alpha = Int(source[pixel + colours])
      for channel in 0..<colours {
        let value = Int(source[pixel + channel]) * alpha + 255 * (255 - alpha)
        pixels[out] = UInt8((value + 127) / 255)
        out += 1
      }
    }
    return pixels
  }

  /// Each colour is what its ink and the black leave of white.
  private static func fromInk(_ source: [UInt8], inverted: Bool) -> [UInt8] {
    var pixels = [UInt8](repeating: 0, count: source.count / 4 * 3)
    let flip: UInt8 = inverted ? 255 : 0
    for index in 0..<source.count / 4 {
      let light = Int(255 - (source[4 * index + 3] ^ flip))
      for channel in 0..<3 {
        let ink = Int(source[4 * index + channel] ^ flip)
        let product = ink * light + 128
        pixels[3 * index + channel] = UInt8(max(0, light - (product >> 8 + product) >> 8))
      }
    }
    return pixels
  }
}
