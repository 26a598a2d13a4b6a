/// The types of metadata values, numbered as in the GGUF specification.
public enum GGUFValueType: UInt32, Sendable {
  case uint8 = 0
  case int8 = 1
  case uint16 = 2
  case int16 = 3
  case uint32 = 4
  case int32 = 5
  case float32 = 6
  case bool = 7
  case string = 8
  case array = 9
  case uint64 = 10
  case int64 = 11
  case float64 = 12

  /// Bytes of a fixed-size value; nil for strings and arrays.
  var size: Int? {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    case .string, .array: nil
    }
  }
}

/// One metadata value. Whole numbers of every width are `.integer`, save those of 64 bits without
/// sign that exceed `Int.max`, which are refused when the file is read.
public enum GGUFValue: Sendable {
  case integer(Int, GGUFValueType)
  case float(Double, GGUFValueType)
  case bool(Bool)
  case string(String)
  case array(GGUFArray)
}

/// An array in metadata. One of a file is left where it lies: vocabularies have hundreds of thousands
/// of elements and most commands need none of them.
public struct GGUFArray: Sendable {
  /// The type of every element.
  public let elementType: GGUFValueType
  /// How many elements there are.
  public let count: Int
  private let storage: Storage

  /// Where the elements lie, as in a file: checked when a file was opened, made by `init` otherwise.
  private enum Storage: Sendable {
    case mapped(MappedFile, Range<Int>)
    case memory([UInt8])
  }

  init(elementType: GGUFValueType, count: Int, range: Range<Int>, file: MappedFile) {
    self.elementType = elementType
    self.count = count
    storage = .mapped(file, range)
  }

  private init(elementType: GGUFValueType, count: Int, bytes: [UInt8]) {
    self.elementType = elementType
    self.count = count
    storage = .memory(bytes)
  }

  /// Texts, in memory. O(n).
  public init(strings: [String]) {
    var bytes: [UInt8] = []
    for text in strings { bytes.append(text: text) }
    self.init(elementType: .string, count: strings.count, bytes: bytes)
  }

  /// Single-precision numbers, in memory. O(n).
  public init(floats: [Float]) {
    var bytes: [UInt8] = []
    for value in floats { bytes.append(littleEndian: value.bitPattern) }
    self.init(elementType: .float32, count: floats.count, bytes: bytes)
  }

  /// Whole numbers of 32 bits, in memory. O(n).
  public init(integers: [Int32]) {
    var bytes: [UInt8] = []
    for value in integers { bytes.append(littleEndian: value) }
    self.init(elementType: .int32, count: integers.count, bytes: bytes)
  }

  /// Truth values, in memory. O(n).
  public init(bools: [Bool]) {
    self.init(elementType: .bool, count: bools.count, bytes: bools.map { $0 ? 1 : 0 })
  }

  /// Bytes of all elements.
  var byteCount: Int {
    switch storage {
    case .mapped(_, let range): range.count
    case .memory(let bytes): bytes.count
    }
  }

  /// Calls `body` with the bytes of all elements.
  func withBytes<R, E: Error>(_ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    try withBytes(0..<byteCount, body)
  }

  /// Calls `body` with some of the bytes of the elements, which must lie within them.
  @inline(__always)
  func withBytes<R, E: Error>(_ range: Range<Int>, _ body: (RawSpan) throws(E) -> R) throws(E) -> R {
    switch storage {
    case .mapped(let file, let all):
      precondition(range.lowerBound >= 0 && range.upperBound <= all.count, "range outside of the array")
      return try file.withBytes(all.lowerBound + range.lowerBound..<all.lowerBound + range.upperBound, body)
    case .memory(let bytes): return try unsafe body(bytes.span.bytes.extracting(range))
    }
  }

  /// Calls `body` with each element's index and bytes, in order. O(n). Does nothing unless the
  /// elements are strings.
  public func forEachString<E: Error>(_ body: (Int, RawSpan) throws(E) -> Void) throws(E) {
    guard elementType == .string else { return }
    try withBytes { (bytes) throws(E) in
      var offset = 0
      for index in 0..<count {
        let length = Int(bytes.littleEndian(UInt64.self, at: offset))
        offset += 8
        try body(index, bytes.extracting(offset..<offset + length))
        offset += length
      }
    }
  }

  /// The elements as text, with invalid UTF-8 repaired; empty unless they are strings. O(n).
  public func strings() -> [String] {
    var result: [String] = []
    result.reserveCapacity(elementType == .string ? count : 0)
    forEachString { _, bytes in result.append(bytes.text) }
    return result
  }

  /// The elements as whole numbers; empty unless they are of an integer type. O(n).
  public func integers() -> [Int] { integers(first: count) }

  private func integers(first limit: Int) -> [Int] {
    guard let size = elementType.size else { return [] }
    return withBytes { bytes in
      var result: [Int] = []
      result.reserveCapacity(limit)
      for index in 0..<limit {
        guard case .integer(let value, _)? = bytes.scalar(elementType, at: index * size) else { return [] }
        result.append(value)
      }
      return result
    }
  }

  /// The elements as single-precision numbers; empty unless they are of a float type. O(n).
  public func floats() -> [Float] { floats(first: count) }

  private func floats(first limit: Int) -> [Float] {
    guard let size = elementType.size else { return [] }
    return withBytes { bytes in
      var result: [Float] = []
      result.reserveCapacity(limit)
      for index in 0..<limit {
        guard case .float(let value, _)? = bytes.scalar(elementType, at: index * size) else { return [] }
        result.append(Float(value))
      }
      return result
    }
  }

  /// The first `limit` elements as short text, for display. O(limit).
  public func preview(_ limit: Int) -> [String] {
    let limit = max(0, min(limit, count))
    return switch elementType {
    case .string: previewStrings(limit)
    case .float32, .float64: floats(first: limit).map { "\($0)" }
    case .array: []
    default: integers(first: limit).map { "\($0)" }
    }
  }

  private func previewStrings(_ limit: Int) -> [String] {
    struct Enough: Error {}
    var result: [String] = []
    try? forEachString { (index, bytes) throws(Enough) in
      guard index < limit else { throw Enough() }
      result.append(bytes.text)
    }
    return result
  }
}

extension RawSpan {
  /// The little-endian integer at `offset`, which must lie within the span with its whole width.
  func littleEndian<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: Int) -> T {
    T(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// The bytes as text, with invalid UTF-8 repaired.
  package var text: String {
    unsafe withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
  }

  /// The fixed-size value at `offset`; nil for strings, arrays, truth values and integers that do
  /// not fit `Int`.
  func scalar(_ type: GGUFValueType, at offset: Int) -> GGUFValue? {
    switch type {
    case .uint8: .integer(Int(littleEndian(UInt8.self, at: offset)), type)
    case .int8: .integer(Int(littleEndian(Int8.self, at: offset)), type)
    case .uint16: .integer(Int(littleEndian(UInt16.self, at: offset)), type)
    case .int16: .integer(Int(littleEndian(Int16.self, at: offset)), type)
    case .uint32: .integer(Int(littleEndian(UInt32.self, at: offset)), type)
    case .int32: .integer(Int(littleEndian(Int32.self, at: offset)), type)
    case .int64: .integer(Int(littleEndian(Int64.self, at: offset)), type)
    case .uint64: Int(exactly: littleEndian(UInt64.self, at: offset)).map { .integer($0, type) }
    case .float32:
      .float(Double(Float(bitPattern: littleEndian(UInt32.self, at: offset))), type)
    case .float64: .float(Double(bitPattern: littleEndian(UInt64.self, at: offset)), type)
    case .bool: .bool(littleEndian(UInt8.self, at: offset) != 0)
    case .string, .array: nil
    }
  }
}

extension Span<UInt8> {
  /// Calls `body` with the bytes of `range`, which must lie within the span.
  @inline(__always)
  func withRaw<R>(_ range: Range<Int>, _ body: (RawSpan) -> R) -> R { unsafe body(bytes.extracting(range)) }
}

extension [UInt8] {
  /// Calls `body` with the bytes of the array.
  @inline(__always)
  func withRaw<R>(_ body: (RawSpan) -> R) -> R { span.withRaw(0..<count, body) }
}
