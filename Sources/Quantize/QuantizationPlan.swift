import DuetRuntime

/// What becomes of one tensor.
public struct TensorAssignment: Sendable {
  /// The tensor as it is.
  public let source: TensorInfo
  /// The type that it is given.
  public var type: TensorType
  /// The type that was asked for, where rows are no whole blocks of it or an adapter's tensor is kept in more bits; nil
  /// otherwise.
  public var fallenBackFrom: TensorType?
  /// Whether the tensor is one that quantizing is meant for: a matrix, and no norm.
  public var isQuantizable: Bool

  /// Bytes that it takes.
  public var byteCount: Int { plan.byteCount }
  var plan: TensorPlan { TensorPlan(name: source.name, shape: source.shape, type: type) }
}

/// A type for every tensor whose name fits a pattern.
public struct TensorOverride: Sendable {
  /// The name, with `*` for any text.
  public let pattern: String
  /// The type of tensors that fit.
  public let type: TensorType

  /// `PATTERN=TYPE`, or nil.
  public init?(_ text: String) {
    let parts = text.split(separator: "=", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, let type = TensorType(name: String(parts[1])), type.isWeight
    else { return nil }
    pattern = String(parts[0])
    self.type = type
  }

  func fits(_ name: String) -> Bool { Self.fits(Array(name.utf8)[...], Array(pattern.utf8)[...]) }

  /// Greedy matching with one place to come back to: O(name * pattern).
  private static func fits(_ name: ArraySlice<UInt8>, _ pattern: ArraySlice<UInt8>) -> Bool {
    var name = name, pattern = pattern
    var retry: (name: ArraySlice<UInt8>, pattern: ArraySlice<UInt8>)?
    while !name.isEmpty || !pattern.isEmpty {
      if pattern.first == UInt8(ascii: "*") {
        pattern = pattern.dropFirst()
        retry = (name, pattern)
      } else if let next = pattern.first, next == name.first {
        name = name.dropFirst()
        pattern = pattern.dropFirst()
      } else if let again = retry, !again.name.isEmpty {
        name = again.name.dropFirst()
        pattern = again.pattern
        retry = (name, pattern)
      } else {
        return false
      }
    }
    return true
  }
}

/// What is asked of the quantizer.
public struct QuantizationOptions: Sendable {
  /// Types that take precedence over the scheme's, the first that fits.
  public var overrides: [TensorOverride] = []
  /// What inputs say about the importance of columns; nil for all alike.
  public var importance: ImportanceMatrix?
  /// Whether a source that was quantized before may be quantized again.
  public var allowsRequantizing = false
  /// Whether the types that have a plain encoder are searched for smaller errors too. They are when
  /// there is an importance matrix.
  public var searches = false
  /// Threads that compute; nil for one per core.
  public var threads: Int?
  /// A tier of kernels by name; nil for the fastest.
  public var kernels: String?

  /// All columns alike, plain encoders, one thread per core.
  public init() {}
}

/// A type for every tensor of a model, and what the file will hold besides.
public struct QuantizationPlan: Sendable {
  /// The model that is quantized.
  public let file: GGUFFile
  /// The tensors in the order of the file.
  public internal(set) var tensors: [TensorAssignment]
  /// The scheme that the file states.
  public let scheme: QuantizationScheme

  /// Gives every tensor the type that `scheme` and the overrides say, or the one that stands in for it.
  ///
  /// - Throws: `QuantizerError`: a source that was quantized before, an
  ///   override that fits nothing, or an importance matrix that does not belong to the model.
  public init(
    _ file: GGUFFile, scheme: QuantizationScheme, options: QuantizationOptions = QuantizationOptions()
  ) throws(QuantizerError) {
    let rules = MixRules(file, scheme: scheme, hasImportance: options.importance != nil)
    try self.init(file, scheme: scheme, options: options) { tensor in
      rules.type(tensor.name, columns: tensor.columns)
    }
  }

  init(
    _ file: GGUFFile, scheme: QuantizationScheme, options: QuantizationOptions,
    choose: (TensorInfo) -> TensorType
  ) throws(QuantizerError) {
    self.file = file
    self.scheme = scheme
    tensors = file.tensors.map { tensor in
      Self.assignment(tensor, options.overrides.first { $0.fits(tensor.name) }?.type, choose)
    }
    try check(options)
  }

  private static func assignment(
    _ tensor: TensorInfo, _ override: TensorType?, _ choose: (TensorInfo) -> TensorType
  ) -> TensorAssignment {
    if isAdapter(tensor), override == nil {
      // An adapter is small: eight bits are as far as it goes, and half precision where rows are narrower than blocks.
      let wanted = choose(tensor), least = TensorType.q8_0.fitting(tensor.columns)
      let type = wanted.isQuantized ? least : wanted
      return TensorAssignment(
        source: tensor, type: type, fallenBackFrom: type == wanted ? nil : wanted, isQuantizable: false)
    }
    guard isQuantizable(tensor) || override != nil else {
      return TensorAssignment(source: tensor, type: plainType(tensor), isQuantizable: false)
    }
    let wanted = override ?? choose(tensor), type = wanted.fitting(tensor.columns)
    return TensorAssignment(
      source: tensor, type: type, fallenBackFrom: type == wanted ? nil : wanted, isQuantizable: true)
  }

  /// Parts of names of tensors that are too small, or too sensitive, to be quantized.
  private static let spared = [
    "_norm.weight", "ffn_gate_inp.weight", "position_embd", "token_types", "patch_embd", "ssm_conv1d",
    "altup", "laurel", "attn_rel_b", "rel_pos", "mm.input_projection",
  ]

  static func isQuantizable(_ tensor: TensorInfo) -> Bool {
    tensor.type.isWeight && tensor.shape.count > 1 && tensor.rows > 1 && tensor.name.hasSuffix("weight")
      && !spared.contains(where: tensor.name.contains)
  }

  /// Vectors are kept in single precision, whatever a checkpoint has them in.
  private static func plainType(_ tensor: TensorInfo) -> TensorType {
    guard !tensor.type.isQuantized, tensor.type.isWeight else { return tensor.type }
    let isTable = tensor.name.contains("position_embd") || tensor.name.hasPrefix("token_types")
    if tensor.shape.count == 1 || isTable { return .f32 }
    // Nobody convolves bfloat16, or turns a matrix of it.
    let isVision = tensor.shape.count > 2 || tensor.name == "mm.input_projection.weight"
    return isVision && tensor.type == .bf16 ? .f16 : tensor.type
  }

  private static func isAdapter(_ tensor: TensorInfo) -> Bool {
    tensor.type.isWeight && (tensor.name.hasSuffix(".lora_a") || tensor.name.hasSuffix(".lora_b"))
  }

  private func check(_ options: QuantizationOptions) throws(QuantizerError) {
    for override in options.overrides where !tensors.contains(where: { override.fits($0.source.name) }) {
      throw .noSuchTensor(path: file.path, pattern: override.pattern)
    }
    try options.importance?.check(file)
    guard !options.allowsRequantizing else { return }
    if let lossy = tensors.first(where: { $0.source.type.isQuantized && $0.type != $0.source.type }) {
      throw .quantizedSource(path: file.path, tensor: lossy.source.name, type: lossy.source.type)
    }
  }

  /// Bytes of all tensors.
  public var byteCount: Int { tensors.reduce(0) { $0 + $1.byteCount } }
  /// Bits of a weight on average, over all tensors.
  public var bitsPerWeight: Double {
    8 * Double(byteCount) / Double(max(1, tensors.reduce(0) { $0 + $1.source.elementCount }))
  }
  /// Whether some tensors are quantized a second time.
  public var requantizes: Bool {
    tensors.contains { $0.source.type.isQuantized && $0.type != $0.source.type }
  }

  /// Tensors that got another type than asked for, by the two types, with their number.
  public var fallbacks: [(from: TensorType, to: TensorType, tensors: [String])] {
    var groups: [(from: TensorType, to: TensorType, tensors: [String])] = []
    for tensor in tensors {
      guard let from = tensor.fallenBackFrom else { continue }
      if let index = groups.firstIndex(where: { $0.from == from && $0.to == tensor.type }) {
        groups[index].tensors.append(tensor.source.name)
      } else {
        groups.append((from, tensor.type, [tensor.source.name]))
      }
    }
    return groups
  }

  /// The squared error that values of a normal distribution would have, summed over all.
  var nominalError: Double {
    tensors.reduce(0) {
      $0 + (($1.isQuantizable ? $1.type.nominalError : 0) * Double($1.source.elementCount))
    }
  }

  /// Schemes that make this model smaller without being expected to be worse, or better without being
  /// larger, the most accurate first. They are what to use where much has fallen back.
  public func betterSchemes(_ options: QuantizationOptions) -> [(scheme: QuantizationScheme, bytes: Int)] {
    let open = tensors.filter(\.isQuantizable)
    let error = nominalError, size = byteCount, fixed = size - open.reduce(0) { $0 + $1.byteCount }
    var found: [(scheme: QuantizationScheme, bytes: Int, error: Double)] = []
    for other in QuantizationScheme.allCases where other != scheme {
      let rules = MixRules(file, scheme: other, hasImportance: options.importance != nil)
      var bytes = fixed, expected = 0.0
      for tensor in open {
        let override = options.overrides.first { $0.fits(tensor.source.name) }?.type,
          columns = tensor.source.columns
        let type = (override ?? rules.type(tensor.source.name, columns: columns)).fitting(columns)
        bytes += type.rowBytes(columns) * tensor.source.rows
        expected += type.nominalError * Double(tensor.source.elementCount)
      }
      guard bytes < size, expected <= error * 1.01 else { continue }
      found.append((other, bytes, expected))
    }
    return found.sorted { ($0.error, $0.bytes) < ($1.error, $1.bytes) }.map { ($0.scheme, $0.bytes) }
  }

  /// The pairs of the file: the source's, without what is about its parts, and with its new types.
  var metadata: [(key: String, value: GGUFValue)] {
    let own = ["general.file_type", "general.quantization_version"]
    let kept = file.metadata.keys.filter { !own.contains($0) && !$0.hasPrefix("split.") }
    var pairs = kept.compactMap { key in file.metadata[key].map { (key: key, value: $0) } }
    let place = pairs.firstIndex { !$0.key.hasPrefix("general.") } ?? pairs.count
    pairs.insert(("general.file_type", .integer(scheme.fileType, .uint32)), at: place)
    pairs.append(("general.quantization_version", .integer(2, .uint32)))
    return pairs
  }
}

extension MixRules {
  /// What the rules need to know about a model; of files that are no decoder, nothing.
  init(_ file: GGUFFile, scheme: QuantizationScheme, hasImportance: Bool) {
    let architecture = (try? file.metadata.string("general.architecture")) ?? ""
    func integer(_ key: String) -> Int? { try? file.metadata.integer("\(architecture).\(key)") }
    let heads = integer("attention.head_count") ?? 1
    let layers = file.tensors.reduce(0) { max($0, (layerIndex($1.name) ?? -1) + 1) }
    self.init(
      scheme: scheme, layers: integer("block_count") ?? layers,
      valueTensors: file.tensors.count(where: { TensorRole($0.name).makesValues }),
      headsPerGroup: heads / max(1, integer("attention.head_count_kv") ?? heads),
      isTied: file["output.weight"] == nil, hasImportance: hasImportance)
  }
}

/// Why a model could not be quantized.
public enum QuantizerError: Error, CustomStringConvertible {
  case quantizedSource(path: String, tensor: String, type: TensorType)
  case noSuchTensor(path: String, pattern: String)
  case notFinite(path: String, tensor: String, row: Int)
  case importance(path: String, tensor: String, problem: String)
  case budgetTooSmall(least: Int, wanted: Int)
  case cancelled
  case source(GGUFError)
  case output(GGUFWriteError)
  case model(ModelError)
  case kernels(KernelError)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .quantizedSource(let path, let tensor, let type):
      "\(path) was quantized before (\(tensor) is \(type.name)), which adds a second error; quantize the original, or give --allow-requantize"
    case .noSuchTensor(let path, let pattern):
      "no tensor of \(path) fits \(pattern); duet inspect --tensors lists them"
    case .notFinite(let path, let tensor, let row):
      "\(path): tensor \(tensor) has a value in row \(row) that is infinite or NaN; the file is damaged, or its training failed"
    case .importance(let path, let tensor, let problem):
      "the importance matrix \(path): \(tensor) \(problem); collect it with this model"
    case .budgetTooSmall(let least, let wanted):
      "the tensors take at least \(least) bytes, where \(wanted) are allowed; allow more"
    case .cancelled: "interrupted"
    case .source(let error): error.description
    case .output(let error): error.description
    case .model(let error): error.description
    case .kernels(let error): error.description
    }
  }
}
