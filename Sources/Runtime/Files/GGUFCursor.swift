/// Reads a GGUF header field by field, checking every count and length against what is left.
///
/// Layout: magic, version, tensor count, key-value count, the pairs, the tensor entries, padding,
/// then data (GGUF specification, github.com/ggml-org/ggml, docs/gguf.md).
struct GGUFCursor {
  let file: MappedFile
  var offset = 0
  private var textBytes = 0

  /// Arrays inside of arrays are legal but used by no model; deeper ones are an attack on the stack.
  static let maximumNesting = 4
  /// The specification's limit for keys, in bytes.
  static let maximumKeyBytes = 65_535
  /// The specification's limit for tensor names, in bytes.
  static let maximumNameBytes = 64
  /// More tensors, or pairs, than any model has; an entry takes many times its bytes in memory.
  static let maximumEntries = 65_536
  /// Bytes of text values in all; text with invalid UTF-8 takes three times its bytes in
  /// memory, and a tenth of a second per megabyte to repair.
  static let maximumTextBytes = 4 << 20

  init(file: MappedFile) { self.file = file }

  var remaining: Int { file.count - offset }

  private func require(_ bytes: Int, _ field: @autoclosure () -> String) throws(GGUFError) {
    guard bytes <= remaining else {
      throw .truncated(path: file.path, field: field(), count: file.count)
    }
  }

  func invalid(_ field: String, _ problem: String) -> GGUFError {
    .invalid(path: file.path, field: field, problem: problem)
  }

  mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
    _ type: T.Type, _ field: @autoclosure () -> String
  ) throws(GGUFError) -> T {
    let size = MemoryLayout<T>.size
    try require(size, field())
    let value = file.withBytes(offset..<offset + size) { $0.littleEndian(T.self, at: 0) }
    offset += size
    return value
  }

  /// A count of things that take at least `minimumBytes` each.
  mutating func count(_ minimumBytes: Int, _ field: @autoclosure () -> String) throws(GGUFError) -> Int {
    let raw = try integer(UInt64.self, field())
    guard let value = Int(exactly: raw), value <= remaining / minimumBytes else {
      throw .truncated(path: file.path, field: "\(field()) (\(raw))", count: file.count)
    }
    return value
  }

  /// A count of pairs or tensors, which take at least `minimumBytes` each.
  mutating func entries(_ minimumBytes: Int, _ field: String) throws(GGUFError) -> Int {
    let value = try count(minimumBytes, field)
    guard value <= Self.maximumEntries else {
      throw invalid(field, "is \(value), where at most \(Self.maximumEntries) are allowed")
    }
    return value
  }

  mutating func string(_ field: @autoclosure () -> String) throws(GGUFError) -> String {
    let length = try count(1, field())
    let text = file.withBytes(offset..<offset + length) { $0.text }
    offset += length
    return text
  }

  mutating func key() throws(GGUFError) -> String {
    let key = try string("a metadata key")
    guard !key.isEmpty, key.utf8.count <= Self.maximumKeyBytes else {
      throw invalid("a metadata key", "is empty or longer than \(Self.maximumKeyBytes) bytes")
    }
    // Also a matter of time: hashing n combining marks takes n² steps.
    guard key.utf8.allSatisfy({ $0 < 0x80 }) else {
      throw invalid("a metadata key", "has characters outside of ASCII")
    }
    return key
  }

  private mutating func valueType(_ field: String) throws(GGUFError) -> GGUFValueType {
    let raw = try integer(UInt32.self, "the type of \(field)")
    guard let type = GGUFValueType(rawValue: raw) else {
      throw invalid(field, "has the unknown type \(raw)")
    }
    return type
  }

  /// The typed value of `key`.
  mutating func value(_ key: String) throws(GGUFError) -> GGUFValue {
    switch try valueType(key) {
    case .string: return .string(try text(key))
    case .array: return .array(try array(key, depth: 1))
    case let type: return try scalar(type, key)
    }
  }

  private mutating func text(_ key: String) throws(GGUFError) -> String {
    let start = offset
    let length = try count(1, key)
    textBytes += length
    guard textBytes <= Self.maximumTextBytes else {
      throw invalid(key, "brings the metadata's text to over \(Self.maximumTextBytes) bytes")
    }
    offset = start
    return try string(key)
  }

  private mutating func scalar(_ type: GGUFValueType, _ key: String) throws(GGUFError) -> GGUFValue {
    let size = type.size ?? 0
    try require(size, key)
    let value = file.withBytes(offset..<offset + size) { $0.scalar(type, at: 0) }
    guard let value else { throw invalid(key, "is too large") }
    offset += size
    return value
  }

  private mutating func array(_ key: String, depth: Int) throws(GGUFError) -> GGUFArray {
    guard depth <= Self.maximumNesting else {
      throw invalid(key, "nests arrays more than \(Self.maximumNesting) deep")
    }
    let type = try valueType(key)
    let count = try count(type.size ?? (type == .string ? 8 : 12), "the elements of \(key)")
    let start = offset
    switch type {
    case .string: try skipStrings(count, key)
    case .array: for _ in 0..<count { _ = try array(key, depth: depth + 1) }
    default: offset += count * (type.size ?? 0)
    }
    return GGUFArray(elementType: type, count: count, range: start..<offset, file: file)
  }

  private mutating func skipStrings(_ count: Int, _ key: String) throws(GGUFError) {
    let start = offset
    let end: Int? = file.withBytes(start..<file.count) { bytes in
      var position = 0
      for _ in 0..<count {
        guard bytes.byteCount - position >= 8 else { return nil }
        let length = bytes.littleEndian(UInt64.self, at: position)
        position += 8
        guard length <= UInt64(bytes.byteCount - position) else { return nil }
        position += Int(length)
      }
      return position
    }
    guard let end else {
      throw .truncated(path: file.path, field: "the elements of \(key)", count: file.count)
    }
    offset = start + end
  }

  /// One tensor entry; its data offset is still relative to the data section.
  mutating func tensor() throws(GGUFError) -> TensorEntry {
    let name = try string("a tensor name")
    guard name.utf8.count <= Self.maximumNameBytes else {
      throw invalid("a tensor name", "is longer than \(Self.maximumNameBytes) bytes")
    }
    let rank = try integer(UInt32.self, "the rank of tensor \(name)")
    guard rank >= 1, rank <= 4 else {
      throw invalid("tensor \(name)", "has \(rank) dimensions, where 1 to 4 are allowed")
    }
    var shape: [Int] = []
    for axis in 0..<rank {
      let raw = try integer(UInt64.self, "the shape of tensor \(name)")
      guard let size = Int(exactly: raw), size > 0 else {
        throw invalid("tensor \(name)", "has \(raw) elements along dimension \(axis)")
      }
      shape.append(size)
    }
    let type = try integer(UInt32.self, "the type of tensor \(name)")
    let start = try integer(UInt64.self, "the offset of tensor \(name)")
    return TensorEntry(name: name, shape: shape, type: type, start: start)
  }

  struct TensorEntry {
    let name: String
    let shape: [Int]
    let type: UInt32
    let start: UInt64
  }
}
