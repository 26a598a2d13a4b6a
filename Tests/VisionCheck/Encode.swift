import ArgumentParser
import DuetRuntime
import DuetVision
import Foundation

/// The embeddings of normalized values, and how long they take.
struct Encode: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Writes the embeddings of a square, [tokens, width] float32.")

  @Argument(help: "An mmproj GGUF file.")
  var model: String

  @Argument(help: "The square's normalized values, [side, side, 3] float32.")
  var values: String

  @Option(help: "Where the embeddings are written.")
  var output: String?

  @Option(help: "How often; the fastest and the median time are printed.")
  var runs = 1

  @Option(help: "Threads; all cores unless given.")
  var threads: Int?

  @Option(help: "The kernels: generic, avx2 or avx512.")
  var tier: String?

  @Option(help: "What quantized convolutions are multiplied by: f32 or int8.")
  var precision = "f32"

  func run() throws {
    let precision = ActivationType(rawValue: precision) ?? .float32
    let encoder = try VisionEncoder(path: model, threads: threads, tier: tier, precision: precision)
    let bytes = try Data(contentsOf: URL(filePath: values))
    let floats = stride(from: 0, to: bytes.count - 3, by: 4).map { offset in
      Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) })
    }
    var result: [Float] = []
    var times: [Double] = []
    for _ in 0..<max(1, runs) {
      let duration = ContinuousClock().measure { result = encoder.encode(values: floats) }
      times.append(duration / .milliseconds(1))
    }
    times.sort()
    print(
      "\(encoder.tokenCount) x \(encoder.width), ms: fastest \(times[0]), median \(times[times.count / 2])")
    guard let output else { return }
    var data = Data()
    for value in result {
      unsafe withUnsafeBytes(of: value.bitPattern) { unsafe data.append(contentsOf: $0) }
    }
    try data.write(to: URL(filePath: output))
  }
}
