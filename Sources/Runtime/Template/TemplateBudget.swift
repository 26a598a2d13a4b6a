/// What a rendering may still spend; a template that comes with a model is not trusted.
final class TemplateBudget {
  private var steps: Int
  let textBytes: Int

  /// Bytes that may be touched per step.
  private static let bytesPerStep = 32

  init(_ limits: TemplateLimits) {
    steps = limits.steps
    textBytes = limits.textBytes
  }

  func spend(_ count: Int = 1) throws(TemplateProblem) {
    guard count <= steps else { throw .limit(.steps) }
    steps -= count
  }

  /// Pays for reading or writing a text, before it is done.
  func spend(bytes: Int) throws(TemplateProblem) {
    guard bytes <= textBytes else { throw .limit(.textBytes) }
    try spend(1 + bytes / Self.bytesPerStep)
  }
}
