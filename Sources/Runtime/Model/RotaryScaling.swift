#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension DecoderConfig.Rotary {
  /// How positions beyond those of the first training are reached.
  public enum Scaling: Sendable, Equatable {
    case none
    /// Positions are divided by this.
    case linear(Double)
    /// The wavelength of each pair is multiplied by its factor, as Llama 3 does.
    case factors([Float])
    /// Likewise, by other factors where the context is longer than `original` (arXiv 2402.13753).
    case byContext(short: [Float], long: [Float], original: Int)
    case yarn(YaRN)
  }

  /// Long wavelengths are divided by a factor, short ones kept, those between blended
  /// (arXiv 2309.00071).
  public struct YaRN: Sendable, Equatable {
    /// How many times longer contexts become.
    public var factor: Double
    /// Tokens of the first training.
    public var original: Int
    /// Pairs that turn at least so many times within `original` are kept.
    public var fast = 32.0
    /// Pairs that turn at most so many times are divided.
    public var slow = 1.0
    /// How much of the blend there is: 1 for all.
    public var extrapolation = 1.0
  }

  /// The same for contexts of up to so many tokens.
  func chosen(contextLength: Int) -> Self {
    guard case .byContext(let short, let long, let original) = scaling else { return self }
    var copy = self
    copy.scaling = .factors(contextLength > original ? long : short)
    return copy
  }

  /// Radians per position, one for each rotated pair.
  var frequencies: [Double] {
    let plain = (0..<dimensions / 2).map { pow(base, -2 * Double($0) / Double(dimensions)) }
    switch scaling {
    case .none: return plain
    case .linear(let factor): return plain.map { $0 / factor }
    case .factors(let factors), .byContext(let factors, _, _):
      return zip(plain, factors).map { $0 / Double($1) }
    case .yarn(let yarn):
      return plain.enumerated().map { pair, frequency in
        let kept = yarn.kept(pair, rotary: self)
        return frequency * (kept + (1 - kept) / yarn.factor)
      }
    }
  }
}

extension DecoderConfig.Rotary.YaRN {
  /// The pair that turns so many times within the original context; between pairs where none does.
  private func pair(turns: Double, _ rotary: DecoderConfig.Rotary) -> Double {
    Double(rotary.dimensions) * log(Double(original) / (turns * 2 * .pi)) / (2 * log(rotary.base))
  }

  /// How much of a pair's own frequency is kept, 0 to 1.
  fileprivate func kept(_ index: Int, rotary: DecoderConfig.Rotary) -> Double {
    let last = Double(rotary.dimensions - 1)
    let low = max(0, pair(turns: fast, rotary).rounded(.down))
    let high = min(last, pair(turns: slow, rotary).rounded(.up))
    let ramp = (Double(index) - low) / max(0.001, high - low)
    return (1 - min(1, max(0, ramp))) * extrapolation
  }
}
