/// A tensor that a file is going to hold.
public struct TensorPlan: Sendable, Equatable {
  /// The name in the file, such as `blk.0.attn_q.weight`; at most 64 bytes.
  public var name: String
  /// Elements along each dimension, the contiguous one first (the file's order).
  public var shape: [Int]
  /// How the values are stored.
  public var type: TensorType

  /// A tensor of this name, shape and type.
  public init(name: String, shape: [Int], type: TensorType) {
    self.name = name
    self.shape = shape
    self.type = type
  }

  /// Values in all.
  public var elementCount: Int { shape.reduce(1, *) }
  /// Bytes of the values; rows are whole blocks.
  public var byteCount: Int { shape.isEmpty ? 0 : type.rowBytes(shape[0]) * shape.dropFirst().reduce(1, *) }
}

/// Writes a GGUF file, version 3: the header at once, then the tensors' bytes in the order of their
/// plans (GGUF specification, github.com/ggml-org/ggml, docs/gguf.md).
///
///     let writer = try GGUFWriter(path: "out.gguf", metadata: pairs, tensors: plans)
///     for plan in plans { try writer.write(bytes(of: plan)) }
///     try writer.finish()
///
/// The file appears under its name with `finish`; before, and after an error, there is none.
public final class GGUFWriter {
  private let output: OutputFile
  private let plans: [TensorPlan]
  private let alignment: Int
  private var current = 0
  private var written = 0

  /// Writes the header.
  ///
  /// - Parameters:
  ///   - path: of the file.
  ///   - metadata: the pairs in the order of the file; `general.alignment` is heeded.
  ///   - tensors: what the file will hold, in order.
  ///   - replaces: whether a file that is there already may be replaced.
  /// - Throws: `GGUFWriteError` when the file cannot be written, or a name, shape or pair is no valid one.
  public init(
    path: String, metadata: [(key: String, value: GGUFValue)], tensors: [TensorPlan], replaces: Bool = true
  ) throws(GGUFWriteError) {
    let header = GGUFHeader(path: path)
    alignment = try header.alignment(metadata)
    plans = tensors
    let bytes = try header.bytes(metadata, tensors, alignment: alignment)
    do {
      output = try OutputFile(path: path, replaces: replaces)
      try output.write(bytes)
    } catch { throw .output(error) }
    try pad()
    try skipEmpty()
  }

  /// Bytes written so far, header included.
  public var count: Int { output.count }

  /// Appends bytes to the tensor whose turn it is; they must not reach beyond its end. O(n).
  ///
  /// - Throws: `GGUFWriteError.tooManyBytes`, or `.output`.
  public func write(_ bytes: RawSpan) throws(GGUFWriteError) {
    guard current < plans.count, written + bytes.byteCount <= plans[current].byteCount else {
      throw .tooManyBytes(path: output.path, tensor: current < plans.count ? plans[current].name : nil)
    }
    do { try output.write(bytes) } catch { throw .output(error) }
    written += bytes.byteCount
    if written == plans[current].byteCount { try endTensor() }
  }

  /// Appends bytes to the tensor whose turn it is. O(n).
  public func write(_ bytes: [UInt8]) throws(GGUFWriteError) { try unsafe write(bytes.span.bytes) }

  /// Appends single-precision numbers to the tensor whose turn it is. O(n).
  public func write(_ values: Span<Float>) throws(GGUFWriteError) { try unsafe write(values.bytes) }

  private func endTensor() throws(GGUFWriteError) {
    try pad()
    current += 1
    written = 0
  }

  private func skipEmpty() throws(GGUFWriteError) {
    while current < plans.count, plans[current].byteCount == 0 { try endTensor() }
  }

  private func pad() throws(GGUFWriteError) {
    let missing = (alignment - output.count % alignment) % alignment
    do { try output.write([UInt8](repeating: 0, count: missing)) } catch { throw .output(error) }
  }

  /// Ends the file and gives it its name.
  ///
  /// - Parameter isReproducible: as in `OutputFile.finish`.
  /// - Throws: `GGUFWriteError.missingBytes` when a tensor is not complete, or `.output`.
  public func finish(isReproducible: Bool = false) throws(GGUFWriteError) {
    guard current == plans.count else {
      throw .missingBytes(path: output.path, tensor: plans[current].name)
    }
    do { try output.finish(isReproducible: isReproducible) } catch { throw .output(error) }
  }
}

/// Makes the bytes before the tensors, checked.
private struct GGUFHeader {
  let path: String

  func alignment(_ metadata: [(key: String, value: GGUFValue)]) throws(GGUFWriteError) -> Int {
    guard let pair = metadata.first(where: { $0.key == "general.alignment" }) else { return 32 }
    guard case .integer(let value, _) = pair.value, (1...65_536).contains(value), value & (value - 1) == 0
    else { throw .invalid(path: path, field: pair.key, problem: "is no power of two up to 65536") }
    return value
  }

  func bytes(
    _ metadata: [(key: String, value: GGUFValue)], _ tensors: [TensorPlan], alignment: Int
  ) throws(GGUFWriteError) -> [UInt8] {
    var bytes = Array("GGUF".utf8)
    bytes.append(littleEndian: UInt32(3))
    bytes.append(littleEndian: UInt64(tensors.count))
    bytes.append(littleEndian: UInt64(metadata.count))
    var seen: Set<String> = []
    for (key, value) in metadata {
      guard seen.insert(key).inserted else { throw .invalid(path: path, field: key, problem: "occurs twice") }
      try append(key, value, to: &bytes)
    }
    var offset = 0
    seen = []
    for tensor in tensors {
      try check(tensor)
      guard seen.insert(tensor.name).inserted else {
        throw .invalid(path: path, field: "tensor \(tensor.name)", problem: "occurs twice")
      }
      append(tensor, offset: offset, to: &bytes)
      offset += (tensor.byteCount + alignment - 1) / alignment * alignment
    }
    return bytes
  }

  private func append(_ key: String, _ value: GGUFValue, to bytes: inout [UInt8]) throws(GGUFWriteError) {
    guard (1...GGUFCursor.maximumKeyBytes).contains(key.utf8.count), key.utf8.allSatisfy({ $0 < 0x80 }) else {
      throw .invalid(
        path: path, field: "the key \(key.prefix(64))", problem: "is no ASCII text of 1 to 65535 bytes")
    }
    bytes.append(text: key)
    bytes.append(littleEndian: value.type.rawValue)
    guard bytes.append(value) else {
      throw .invalid(path: path, field: key, problem: "does not fit its type")
    }
  }

  private func check(_ tensor: TensorPlan) throws(GGUFWriteError) {
    let field = "tensor \(tensor.name.prefix(64))"
    guard (1...GGUFCursor.maximumNameBytes).contains(tensor.name.utf8.count) else {
      throw .invalid(path: path, field: field, problem: "has a name of no or of more than 64 bytes")
    }
    guard (1...4).contains(tensor.shape.count), tensor.shape.allSatisfy({ $0 > 0 }) else {
      throw .invalid(path: path, field: field, problem: "has the shape \(tensor.shape)")
    }
    guard tensor.shape[0] % tensor.type.blockLength == 0 else {
      throw .invalid(
        path: path, field: field,
        problem:
          "has rows of \(tensor.shape[0]), no multiple of \(tensor.type.name)'s \(tensor.type.blockLength)")
    }
  }

  private func append(_ tensor: TensorPlan, offset: Int, to bytes: inout [UInt8]) {
    bytes.append(text: tensor.name)
    bytes.append(littleEndian: UInt32(tensor.shape.count))
    for size in tensor.shape { bytes.append(littleEndian: UInt64(size)) }
    bytes.append(littleEndian: tensor.type.rawValue)
    bytes.append(littleEndian: UInt64(offset))
  }
}

extension GGUFValue {
  /// The type that the file states.
  public var type: GGUFValueType {
    switch self {
    case .integer(_, let type), .float(_, let type): type
    case .bool: .bool
    case .string: .string
    case .array: .array
    }
  }
}

extension [UInt8] {
  mutating func append<T: FixedWidthInteger>(littleEndian value: T) {
    for shift in stride(from: 0, to: T.bitWidth, by: 8) {
      append(UInt8(truncatingIfNeeded: value >> T(shift)))
    }
  }

  /// A length in 64 bits, then the bytes.
  mutating func append(text: String) {
    append(littleEndian: UInt64(text.utf8.count))
    append(contentsOf: text.utf8)
  }

  /// The bytes of a value without its type.
  ///
  /// - Returns: whether the value fits its type.
  mutating func append(_ value: GGUFValue) -> Bool {
    switch value {
    case .integer(let number, let type): return append(number, type)
    case .float(let number, .float64): append(littleEndian: number.bitPattern)
    case .float(let number, .float32): append(littleEndian: Float(number).bitPattern)
    case .float: return false
    case .bool(let flag): append(flag ? 1 : 0)
    case .string(let text): append(text: text)
    case .array(let array):
      append(littleEndian: array.elementType.rawValue)
      append(littleEndian: UInt64(array.count))
      array.withBytes { bytes in unsafe bytes.withUnsafeBytes { unsafe append(contentsOf: $0) } }
    }
    return true
  }

  private mutating func append(_ number: Int, _ type: GGUFValueType) -> Bool {
    func write<T: FixedWidthInteger>(_ type: T.Type) -> Bool {
      guard let value = T(exactly: number) else { return false }
      append(littleEndian: value)
      return true
    }
    return switch type {
    case .uint8: write(UInt8.self)
    case .int8: write(Int8.self)
    case .uint16: write(UInt16.self)
    case .int16: write(Int16.self)
    case .uint32: write(UInt32.self)
    case .int32: write(Int32.self)
    case .uint64: write(UInt64.self)
    case .int64: write(Int64.self)
    case .float32, .float64, .bool, .string, .array: false
    }
  }
}

/// Why a GGUF file could not be written.
public enum GGUFWriteError: Error, Equatable, CustomStringConvertible {
  case output(OutputError)
  case invalid(path: String, field: String, problem: String)
  case tooManyBytes(path: String, tensor: String?)
  case missingBytes(path: String, tensor: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .output(let error): error.description
    case .invalid(let path, let field, let problem): "cannot write \(path): \(field) \(problem)"
    case .tooManyBytes(let path, let tensor):
      "cannot write \(path): more bytes than \(tensor.map { "tensor \($0)" } ?? "all tensors") can hold"
    case .missingBytes(let path, let tensor): "cannot write \(path): tensor \(tensor) is not complete"
    }
  }
}
