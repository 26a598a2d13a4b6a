/// Turns texts into vectors of unit length whose cosines say how close their meanings are.
///
/// What retrieval knows of a sentence encoder, so that the index depends on no model.
public protocol TextEncoder: Sendable {
  /// Tells encoders apart: vectors of one are never compared with those of another.
  var name: String { get }
  /// Values of a vector.
  var dimensions: Int { get }
  /// The vector of each text, in order.
  func vectors(of texts: [String]) -> [[Float]]
}
