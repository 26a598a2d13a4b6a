import DuetRuntime

/// A sound GGUF file taken apart: where its fields lie, for lies told in place, and its pieces, for
/// edits that change lengths. Reads by itself, not through the reader that is on trial.
struct GGUFAnatomy {
  /// What a number in the header says.
  enum Kind: CaseIterable {
    case version, tensorCount, pairCount, keyLength, valueType, scalar, float, stringLength
    case arrayType, arrayCount, nameLength, rank, dimension, tensorType, dataOffset
  }

  struct Field {
    let kind: Kind
    let offset: Int
    let width: Int
  }

  struct Unsound: Error {}

  let bytes: [UInt8]
  /// The numbers of each kind.
  private(set) var fields: [Kind: [Field]] = [:]
  /// Where strings lie, without their lengths.
  private(set) var texts: [Range<Int>] = []
  private(set) var pieces = Pieces()
  /// Where the data section begins.
  private(set) var dataStart = 0
  private var offset = 0

  init(_ bytes: [UInt8]) throws {
    self.bytes = bytes
    guard try take(4).elementsEqual("GGUF".utf8) else { throw Unsound() }
    _ = try number(4, .version)
    let tensorCount = try number(8, .tensorCount)
    let pairCount = try number(8, .pairCount)
    for _ in 0..<pairCount { try readPair() }
    for _ in 0..<tensorCount { try readTensor() }
    let alignment = GGUFWriter.alignment
    dataStart = min(bytes.count, (offset + alignment - 1) / alignment * alignment)
    pieces.prefix = Array(bytes[4..<8])
    pieces.data = bytes[dataStart...]
  }

  private mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
    guard count >= 0, count <= bytes.count - offset else { throw Unsound() }
    defer { offset += count }
    return bytes[offset..<offset + count]
  }

  private mutating func number(_ width: Int, _ kind: Kind) throws -> Int {
    fields[kind, default: []].append(Field(kind: kind, offset: offset, width: width))
    let value = try take(width).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return Int(truncatingIfNeeded: value)
  }

  private mutating func text(_ kind: Kind) throws {
    let length = try number(8, kind)
    let start = offset
    _ = try take(length)
    if length > 0 { texts.append(start..<offset) }
  }

  private mutating func readPair() throws {
    let start = offset
    try text(.keyLength)
    let middle = offset
    try value(of: type(number(4, .valueType)))
    pieces.pairs.append(Pieces.Pair(key: Array(bytes[start..<middle]), value: Array(bytes[middle..<offset])))
  }

  private func type(_ raw: Int) throws -> GGUFValueType {
    guard let type = UInt32(exactly: raw).flatMap(GGUFValueType.init(rawValue:)) else { throw Unsound() }
    return type
  }

  private mutating func value(of type: GGUFValueType) throws {
    switch type {
    case .uint8, .int8, .bool: _ = try number(1, .scalar)
    case .uint16, .int16: _ = try number(2, .scalar)
    case .uint32, .int32: _ = try number(4, .scalar)
    case .uint64, .int64: _ = try number(8, .scalar)
    case .float32: _ = try number(4, .float)
    case .float64: _ = try number(8, .float)
    case .string: try text(.stringLength)
    case .array:
      let element = try self.type(number(4, .arrayType))
      for _ in 0..<(try number(8, .arrayCount)) { try value(of: element) }
    }
  }

  private mutating func readTensor() throws {
    let start = offset
    try text(.nameLength)
    let middle = offset
    for _ in 0..<(try number(4, .rank)) { _ = try number(8, .dimension) }
    _ = try number(4, .tensorType)
    _ = try number(8, .dataOffset)
    pieces.tensors.append(
      Pieces.Tensor(name: Array(bytes[start..<middle]), rest: Array(bytes[middle..<offset])))
  }
}

/// The parts of a GGUF file, to be put together again in another order or number.
struct Pieces {
  struct Pair {
    var key: [UInt8]
    /// Type and payload.
    var value: [UInt8]
  }

  struct Tensor {
    var name: [UInt8]
    /// Rank, shape, type and offset.
    var rest: [UInt8]
  }

  /// The version.
  var prefix: [UInt8] = []
  var pairs: [Pair] = []
  var tensors: [Tensor] = []
  var data: ArraySlice<UInt8> = []

  /// A file whose counts and padding fit its pieces.
  func assembled() -> [UInt8] {
    var file = Array("GGUF".utf8) + prefix
    file.appendInteger(UInt64(tensors.count))
    file.appendInteger(UInt64(pairs.count))
    for pair in pairs { file += pair.key + pair.value }
    for tensor in tensors { file += tensor.name + tensor.rest }
    file.pad(to: GGUFWriter.alignment)
    return file + data
  }
}
