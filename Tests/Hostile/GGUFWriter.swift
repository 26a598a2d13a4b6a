import DuetRuntime

/// A GGUF file in the making: pairs and tensors in order, little-endian, version 3.
struct GGUFWriter {
  /// A metadata value of one of the types that models use.
  enum Value {
    case uint32(UInt32)
    case float32(Float)
    case bool(Bool)
    case string(String)
    case strings([String])
    case floats([Float])
    case int32s([Int32])
  }

  static let alignment = 32

  private var pairs: [UInt8] = []
  private var pairCount = 0
  private var entries: [UInt8] = []
  private var tensorCount = 0
  private var data: [UInt8] = []

  mutating func add(_ key: String, _ value: Value) {
    pairs.appendText(key)
    pairs.append(value)
    pairCount += 1
  }

  /// Adds a tensor whose contiguous dimension comes first in `shape`.
  mutating func add(tensor name: String, shape: [Int], type: TensorType, bytes: [UInt8]) {
    entries.appendText(name)
    entries.appendInteger(UInt32(shape.count))
    for size in shape { entries.appendInteger(UInt64(size)) }
    entries.appendInteger(type.rawValue)
    entries.appendInteger(UInt64(data.count))
    data += bytes
    data.pad(to: Self.alignment)
    tensorCount += 1
  }

  /// The whole file.
  var bytes: [UInt8] {
    var file = Array("GGUF".utf8)
    file.appendInteger(UInt32(3))
    file.appendInteger(UInt64(tensorCount))
    file.appendInteger(UInt64(pairCount))
    file += pairs + entries
    file.pad(to: Self.alignment)
    return file + data
  }
}

extension [UInt8] {
  mutating func appendInteger<T: FixedWidthInteger>(_ value: T) {
    for shift in stride(from: 0, to: T.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
  }

  /// Appends the length, then the bytes.
  mutating func appendText(_ text: String) {
    appendInteger(UInt64(text.utf8.count))
    append(contentsOf: text.utf8)
  }

  mutating func pad(to alignment: Int) {
    append(contentsOf: repeatElement(0, count: (alignment - count % alignment) % alignment))
  }

  /// Appends the value's type, then the value.
  mutating func append(_ value: GGUFWriter.Value) {
    switch value {
    case .uint32(let number):
      appendInteger(GGUFValueType.uint32.rawValue)
      appendInteger(number)
    case .float32(let number):
      appendInteger(GGUFValueType.float32.rawValue)
      appendInteger(number.bitPattern)
    case .bool(let flag):
      appendInteger(GGUFValueType.bool.rawValue)
      append(flag ? 1 : 0)
    case .string(let text):
      appendInteger(GGUFValueType.string.rawValue)
      appendText(text)
    case .strings(let texts):
      appendArray(.string, count: texts.count)
      for text in texts { appendText(text) }
    case .floats(let numbers):
      appendArray(.float32, count: numbers.count)
      for number in numbers { appendInteger(number.bitPattern) }
    case .int32s(let numbers):
      appendArray(.int32, count: numbers.count)
      for number in numbers { appendInteger(number) }
    }
  }

  mutating func appendArray(_ type: GGUFValueType, count: Int) {
    appendInteger(GGUFValueType.array.rawValue)
    appendInteger(type.rawValue)
    appendInteger(UInt64(count))
  }
}
