/// An adapter as a session uses it.
public struct Tuning: Sendable {
  /// What is added to the model.
  public let adapter: Adapter
  /// How much of it: 1 is as trained, 0 the bare model.
  public let scale: Float

  /// - Throws: `AdapterError.scale` for what is no number from -100 to 100.
  public init(_ adapter: Adapter, scale: Float = 1) throws(AdapterError) {
    guard abs(scale) <= 100 else { throw .scale(scale) }
    self.adapter = adapter
    self.scale = scale
  }

  /// What cache pages made with the tuning belong to; never 0, which stands for the bare model.
  package var salt: UInt64 {
    var digest = Digest(seed: adapter.digest)
    digest.add(UInt64(scale.bitPattern))
    return digest.value | 1
  }
}

extension Tuning: Equatable {
  /// Whether both change the model in the same way.
  public static func == (left: Tuning, right: Tuning) -> Bool {
    left.adapter === right.adapter && left.scale == right.scale
  }
}
