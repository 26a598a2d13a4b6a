import DuetRuntime

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A logistic regression over `RouteSignals`: how likely a text helps with a question. A second one also knows
/// how close the two are in meaning, where a sentence encoder has said so.
public struct RouteModel: Sendable, Equatable {
  /// What weighs the signals and the cosine of an encoder's vectors.
  public struct Meaning: Sendable, Equatable {
    /// The encoder's name; cosines of another mean something else.
    public let encoder: String
    /// One per signal, in the order of `RouteSignals.names`, then that of the cosine.
    public let weights: [Float]
    /// Added to the weighted sum.
    public let bias: Float

    /// Weights for one encoder's cosines.
    public init(encoder: String, weights: [Float], bias: Float) {
      precondition(weights.count == RouteSignals.names.count + 1, "one weight per signal, and the cosine's")
      self.encoder = encoder
      self.weights = weights
      self.bias = bias
    }
  }

  /// One per signal, in the order of `RouteSignals.names`.
  public let weights: [Float]
  /// Added to the weighted sum.
  public let bias: Float
  /// What is used where the cosine is known; nil where nothing of the kind was learnt.
  public let meaning: Meaning?

  /// A model of one weight per signal.
  public init(weights: [Float], bias: Float, meaning: Meaning? = nil) {
    precondition(weights.count == RouteSignals.names.count, "one weight per signal")
    self.weights = weights
    self.bias = bias
    self.meaning = meaning
  }

  /// The likelihood that the text helps, 0 to 1.
  ///
  /// Where the cosine is known, the mean of both regressions' log odds: cosines of texts unlike those that it
  /// learnt from (commands, tables) lie lower, and the one that knows them trusts them most.
  ///
  /// - Parameters:
  ///   - signals: of the question and the text.
  ///   - similarity: the cosine of their vectors by the encoder that `meaning` names; nil where it is unknown.
  public func score(_ signals: RouteSignals, similarity: Double? = nil) -> Double {
    var odds = Self.logOdds(signals.values, weights, bias)
    if let similarity, let meaning {
      odds += Self.logOdds(signals.values + [Float(similarity)], meaning.weights, meaning.bias)
      odds /= 2
    }
    return 1 / (1 + exp(-odds))
  }

  private static func logOdds(_ values: [Float], _ weights: [Float], _ bias: Float) -> Double {
    zip(weights, values).reduce(Double(bias)) { $0 + Double($1.0) * Double($1.1) }
  }

  // MARK: Files

  private static let architecture = "duet-router"
  private static let weightName = "router.weight"
  private static let biasName = "router.bias"
  private static let meaningWeightName = "router.meaning.weight"
  private static let meaningBiasName = "router.meaning.bias"
  private static let encoderKey = "\(architecture).encoder"
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
      let places = RouteSignals.names.compactMap { names.firstIndex(of: $0) }
      guard places.count == RouteSignals.names.count, names.count == places.count else {
        throw RouteModelError.otherSignals(path: path, signals: names)
      }
      let values = try Self.floats(Self.weightName, names.count, file)
      let bias = try Self.floats(Self.biasName, 1, file)[0]
      let meaning = try file.metadata.string(Self.encoderKey).map { encoder in
        let values = try Self.floats(Self.meaningWeightName, names.count + 1, file)
        return Meaning(
          encoder: encoder, weights: places.map { values[$0] } + values.suffix(1),
          bias: try Self.floats(Self.meaningBiasName, 1, file)[0])
      }
      self.init(weights: places.map { values[$0] }, bias: bias, meaning: meaning)
    } catch let error as RouteModelError {
      throw error
    } catch let error as GGUFError {
      throw .file(error)
    } catch {
      throw .notARouter(path: path)
    }
  }

  private static func floats(_ name: String, _ count: Int, _ file: GGUFFile) throws -> [Float] {
    let tensor = try file.tensor(name, shape: [count])
    guard tensor.type == .f32 else { throw RouteModelError.notARouter(path: file.path) }
    let bytes = tensor.file.bytes(tensor.range)
    let values = stride(from: 0, to: bytes.count, by: 4).map { at in
      Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) })
    }
    guard values.allSatisfy(\.isFinite) else { throw RouteModelError.notARouter(path: file.path) }
    return values
  }

  /// Writes a router's GGUF file.
  ///
  /// - Parameters:
  ///   - path: of the file, which appears when it is complete.
  ///   - name: what the metadata calls it.
  /// - Throws: `GGUFWriteError`.
  public func write(to path: String, name: String) throws(GGUFWriteError) {
    var tensors = [(Self.weightName, weights), (Self.biasName, [bias])]
    if let meaning {
      tensors += [(Self.meaningWeightName, meaning.weights), (Self.meaningBiasName, [meaning.bias])]
    }
    let writer = try GGUFWriter(
      path: path,
      metadata: [
        ("general.architecture", .string(Self.architecture)), ("general.name", .string(name)),
        (Self.signalsKey, .array(GGUFArray(strings: RouteSignals.names))),
      ] + (meaning.map { [(Self.encoderKey, .string($0.encoder))] } ?? []),
      tensors: tensors.map { TensorPlan(name: $0.0, shape: [$0.1.count], type: .f32) })
    for (_, values) in tensors { try writer.write(values.span) }
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
