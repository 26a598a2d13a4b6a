import DuetRuntime

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// One line of a run's metrics.
public struct MetricsLine: Codable, Sendable, Equatable {
  /// Steps made.
  public var step: Int
  /// Tokens trained on.
  public var tokens: Int
  /// Nats per token that counts, of the step's rows before it.
  public var loss: Double?
  /// The learning rate.
  public var rate: Double?
  /// Of the gradient, before clipping.
  public var norm: Double?
  /// Tokens trained on per second, of this step.
  public var tokensPerSecond: Double?
  /// Nats per token that counts, of the held-out rows.
  public var heldOutLoss: Double?
  /// CIDEr-D of the captions that the step drew, 0 to 10.
  public var agreement: Double?
  /// CIDEr-D of the likeliest captions of the held-out pictures, 0 to 10.
  public var heldOutAgreement: Double?

  /// A line without figures.
  public init(step: Int, tokens: Int) {
    self.step = step
    self.tokens = tokens
  }
}

/// The metrics of a run as JSON lines, and the curve that they make.
///
/// The file is replaced as a whole, so that it is never cut within a line: at most every few seconds,
/// and less often the longer it is.
public final class MetricsLog {
  /// Every line so far.
  public private(set) var lines: [MetricsLine] = []
  private let path: String
  private var written = ContinuousClock.now

  /// A log at `path`, with the lines that are there already up to a step.
  ///
  /// - Parameters:
  ///   - path: the file of JSON lines, made by the first line that is written.
  ///   - step: the step that a run goes on from; lines after it are forgotten.
  public init(path: String, upTo step: Int) {
    self.path = path
    guard step > 0, let file = try? MappedFile(path: path) else { return }
    let decoder = Self.decoder
    lines = file.bytes(0..<file.count).split(separator: 0x0a).compactMap {
      try? decoder.decode(MetricsLine.self, from: Data($0))
    }.filter { $0.step <= step }
  }

  private static var decoder: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return decoder
  }

  /// Appends a line.
  ///
  /// - Throws: `TrainingError.output`.
  public func append(_ line: MetricsLine) throws(TrainingError) {
    lines.append(line)
    if ContinuousClock.now - written >= .seconds(2 + lines.count / 1_000) { try write() }
  }

  /// Writes all lines. O(lines).
  ///
  /// - Throws: `TrainingError.output`.
  public func write() throws(TrainingError) {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys]
    do {
      let file = try OutputFile(path: path)
      for line in lines {
        guard let data = try? encoder.encode(line) else { continue }
        try file.write(Array(data) + [0x0a])
      }
      try file.finish()
    } catch {
      throw .output(error)
    }
    written = .now
  }

  /// Writes the loss by step as a picture.
  ///
  /// - Throws: `TrainingError.output`.
  public func writeCurve(_ path: String, title: String) throws(TrainingError) {
    do {
      let file = try OutputFile(path: path)
      try file.write(LossCurve(lines: lines, title: title).svg)
      try file.finish()
    } catch {
      throw .output(error)
    }
  }
}
