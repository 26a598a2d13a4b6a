import DuetRuntime

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A logistic regression over `RouteSignals`: how likely a text helps with a question.
public struct RouteModel: Sendable, Equatable {
  /// One per signal, in the order of `RouteSignals.names`.
  public let weights: [Float]
  /// Added to the weighted sum.
  public let bias: Float

  /// A model of one weight per signal.
  public init(weights: [Float], bias: Float) {
    precondition(weights.count == RouteSignals.names.count, "one weight per signal")
    self.weights = weights
    self.bias = bias
  }

  /// The likelihood that the text helps, 0 to 1.
  public func score(_ signals: RouteSignals) -> Double {
    var sum = Double(bias)
    for (weight, value) in zip(weights, signals.values) { sum += Double(weight) * Double(value) }
    return 1 / (1 + exp(-sum))
  }

  // MARK: Files

  private static let architecture = "duet-router"
  private static let weightName = "router.weight"
  private static let biasName = "router.bias"
  private static let signalsKey = "\(architecture).signals"

  /// Reads a router's GGUF file. Its weights are matched to the signals by name.
  ///
  /// - Throws: `RouteModelError`.
  public init(path: String) throws(RouteModelError) {
    do {
      let file = try GGUFFile(path: path)
      guard try file.metadata.string("general.architecture") == Self.architecture else {
        throw RouteModelError.notARouter(path: path)
      }
      let names = try file.metadata.array(Self.signalsKey, of: [.string])?.strings() ?? []
      let weight = try file.tensor(Self.weightName, shape: [names.count])
      let bias = try file.tensor(Self.biasName, shape: [1])
      let values = try Self.floats(weight, file), first = try Self.floats(bias, file)[0]
      let byName = Dictionary(zip(names, values)) { first, _ in first }
      guard byName.count == names.count, Set(names) == Set(RouteSignals.names) else {
        throw RouteModelError.otherSignals(path: path, signals: names)
      }
      self.init(weights: RouteSignals.names.compactMap { byName[$0] }, bias: first)
    } catch let error as RouteModelError {
      throw error
    } catch let error as GGUFError {
      throw .file(error)
    } catch {
      throw .notARouter(path: path)
    }
  }

  private static func floats(_ tensor: TensorInfo, _ file: GGUFFile) throws(RouteModelError) -> [Float] {
    guard tensor.type == .f32 else { throw .notARouter(path: file.path) }
    let bytes = tensor.file.bytes(tensor.range)
    let values = stride(from: 0, to: bytes.count, by: 4).map { at in
      Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) })
    }
    guard values.allSatisfy(\.isFinite) else { throw .notARouter(path: file.path) }
    return values
  }

  /// Writes a router's GGUF file.
  ///
  /// - Parameters:
  ///   - path: of the file, which appears when it is complete.
  ///   - name: what the metadata calls it.
  /// - Throws: `GGUFWriteError`.
  public func write(to path: String, name: String) throws(GGUFWriteError) {
    let writer = try GGUFWriter(
      path: path,
      metadata: [
        ("general.architecture", .string(Self.architecture)), ("general.name", .string(name)),
        (Self.signalsKey, .array(GGUFArray(strings: RouteSignals.names))),
      ],
      tensors: [
        TensorPlan(name: Self.weightName, shape: [weights.count], type: .f32),
        TensorPlan(name: Self.biasName, shape: [1], type: .f32),
      ])
    try writer.write(weights.span)
    try writer.write([bias].span)
    try writer.finish()
  }
}

/// Why a file is no router that can be used.
public enum RouteModelError: Error, Equatable, CustomStringConvertible {
  case file(GGUFError)
  case notARouter(path: String)
  case otherSignals(path: String, signals: [String])

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .file(let error): error.description
    case .notARouter(let path): "\(path) holds no router; give a file that duet pair train-router made"
    case .otherSignals(let path, let signals):
      "\(path) was trained on other signals (\(signals.joined(separator: ", "))); train it again with duet pair train-router"
    }
  }
}
