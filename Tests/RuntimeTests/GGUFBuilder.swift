import DuetRuntime
import Foundation

/// Writes small GGUF files for tests, well-formed unless told otherwise.
struct GGUFBuilder {
  /// A value as it is written: the type's number, then its bytes.
  struct Value {
    var type: UInt32
    var bytes: [UInt8]

    static func integer<T: FixedWidthInteger>(_ value: T, _ type: GGUFValueType) -> Self {
      Self(type: type.rawValue, bytes: little(value))
    }
    static func uint8(_ value: UInt8) -> Self { integer(value, .uint8) }
    static func int8(_ value: Int8) -> Self { integer(value, .int8) }
    static func uint16(_ value: UInt16) -> Self { integer(value, .uint16) }
    static func int16(_ value: Int16) -> Self { integer(value, .int16) }
    static func uint32(_ value: UInt32) -> Self { integer(value, .uint32) }
    static func int32(_ value: Int32) -> Self { integer(value, .int32) }
    static func uint64(_ value: UInt64) -> Self { integer(value, .uint64) }
    static func int64(_ value: Int64) -> Self { integer(value, .int64) }
    static func float32(_ value: Float) -> Self { integer(value.bitPattern, .float32) }
    static func float64(_ value: Double) -> Self { integer(value.bitPattern, .float64) }
    static func bool(_ value: Bool) -> Self { integer(UInt8(value ? 1 : 0), .bool) }
    static func string(_ value: String) -> Self { string(Array(value.utf8)) }
    static func string(_ bytes: [UInt8]) -> Self {
      Self(type: GGUFValueType.string.rawValue, bytes: little(UInt64(bytes.count)) + bytes)
    }
    /// An array of `elements`, all of `type`.
    static func array(_ elements: [Self], of type: GGUFValueType) -> Self {
      let head = little(type.rawValue) + little(UInt64(elements.count))
      return Self(type: GGUFValueType.array.rawValue, bytes: head + elements.flatMap(\.bytes))
    }
    static func strings(_ values: [String]) -> Self { array(values.map { string($0) }, of: .string) }
    static func int32s(_ values: [Int32]) -> Self { array(values.map { int32($0) }, of: .int32) }
    static func floats(_ values: [Float]) -> Self { array(values.map { float32($0) }, of: .float32) }
  }

  struct Tensor {
    var name: String
    /// Elements along each dimension, the contiguous one first.
    var shape: [Int]
    /// A `TensorType`'s number.
    var type: UInt32
    var bytes: [UInt8]
  }

  var version: UInt32 = 3
  /// Written as `general.alignment` if it is not 32.
  var alignment = 32
  var pairs: [(key: String, value: Value)] = []
  var tensors: [Tensor] = []

  mutating func set(_ key: String, _ value: Value) {
    pairs.removeAll { $0.key == key }
    pairs.append((key, value))
  }

  mutating func addFloats(_ name: String, shape: [Int], _ values: [Float]) {
    tensors.append(Tensor(name: name, shape: shape, type: 0, bytes: values.flatMap { little($0.bitPattern) }))
  }

  /// The whole file.
  func bytes() -> [UInt8] {
    var pairs = pairs
    if alignment != 32 { pairs.append(("general.alignment", .uint32(UInt32(alignment)))) }
    var result = Array("GGUF".utf8) + little(version)
    result += little(UInt64(tensors.count)) + little(UInt64(pairs.count))
    for (key, value) in pairs { result += Value.string(key).bytes + little(value.type) + value.bytes }
    var data: [UInt8] = []
    for tensor in tensors {
      result += Value.string(tensor.name).bytes + little(UInt32(tensor.shape.count))
      for size in tensor.shape { result += little(UInt64(size)) }
      result += little(tensor.type) + little(UInt64(data.count))
      data += padded(tensor.bytes)
    }
    return padded(result) + data
  }

  private func padded(_ bytes: [UInt8]) -> [UInt8] {
    let count = (bytes.count + alignment - 1) / alignment * alignment
    return bytes + [UInt8](repeating: 0, count: count - bytes.count)
  }

  /// Writes the file to a temporary place, opens it, and removes its name again.
  func open() throws -> GGUFFile { try Self.open(bytes()) }

  /// Opens `bytes` as a file.
  static func open(_ bytes: [UInt8]) throws -> GGUFFile {
    let path = FileManager.default.temporaryDirectory.path + "/duet-\(UUID().uuidString).gguf"
    try Data(bytes).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try GGUFFile(path: path)
  }
}

/// The bytes of `value`, the lowest first.
func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
  (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> T($0 * 8)) }
}
