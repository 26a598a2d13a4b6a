/// A tensor of a GGUF file: where its values lie and how.
public struct TensorInfo: Sendable {
  /// The name in the file, such as `blk.0.attn_q.weight`.
  public let name: String
  /// Elements along each dimension, the contiguous one first (the file's order).
  public let shape: [Int]
  /// How the values are stored.
  public let type: TensorType
  /// The bytes within `file`, checked against its length.
  public let range: Range<Int>
  /// The part of the model that holds the values.
  public let file: MappedFile
  /// How the rows lie.
  public let rowOrder: RowOrder

  /// A tensor whose values lie in `range` of `file`, which must hold that many.
  package init(
    name: String, shape: [Int], type: TensorType, range: Range<Int>, file: MappedFile,
    rowOrder: RowOrder = .asNamed
  ) {
    self.name = name
    self.shape = shape
    self.type = type
    self.range = range
    self.file = file
    self.rowOrder = rowOrder
  }

  /// Values in all.
  public var elementCount: Int { shape.reduce(1, *) }
  /// Values in a row: the contiguous dimension.
  public var columns: Int { shape[0] }
  /// Rows of `columns` values.
  public var rows: Int { elementCount / columns }
}

/// How the rows of a tensor lie, compared with what GGUF has under its name.
public enum RowOrder: Sendable, Equatable {
  /// As GGUF has them.
  case asNamed
  /// Each of so many heads has the first values of its rotated pairs, then the second ones, as
  /// checkpoints do; GGUF has the two side by side in models of the llama family.
  case halves(heads: Int)

  /// Where row `row` of GGUF's tensor of `count` rows lies.
  public func stored(_ row: Int, of count: Int) -> Int {
    guard case .halves(let heads) = self else { return row }
    let size = count / heads
    let (head, place) = row.quotientAndRemainder(dividingBy: size)
    return head * size + place % 2 * (size / 2) + place / 2
  }
}

/// A model file in the GGUF format, version 2 or 3, mapped into memory; a model that is split over
/// several files opens by its first part. A checkpoint is presented in this form too
/// (`Checkpoint.file`).
public struct GGUFFile: Sendable {
  /// The path that was opened.
  public let path: String
  /// 2 or 3.
  public let version: UInt32
  /// The pairs of the first part.
  public let metadata: GGUFMetadata
  /// All tensors, in the order of the file, those of later parts last.
  public let tensors: [TensorInfo]
  /// The mapped parts; one unless the model is split.
  public let parts: [MappedFile]
  private let index: [String: Int]

  /// Maps a file and checks its header; values are not read.
  ///
  /// - Complexity: O(metadata + tensors).
  /// - Throws: `GGUFError`, naming the file and the field.
  public init(path: String) throws(GGUFError) {
    let first = try GGUFPart(path: path)
    var parts = [first]
    if let count = try first.metadata.integer("split.count", in: 0...9_999), count > 1 {
      parts = try Self.splitParts(first, count: count)
    }
    self.path = path
    version = first.version
    metadata = first.metadata
    tensors = parts.flatMap(\.tensors)
    self.parts = parts.map(\.file)
    index = try Self.index(tensors, path: path)
  }

  /// What is no GGUF file but can be seen as one.
  package init(
    path: String, metadata: GGUFMetadata, tensors: [TensorInfo], parts: [MappedFile]
  ) throws(GGUFError) {
    self.path = path
    version = 3
    self.metadata = metadata
    self.tensors = tensors
    self.parts = parts
    index = try Self.index(tensors, path: path)
  }

  /// The tensor called `name`, or nil.
  public subscript(name: String) -> TensorInfo? { index[name].map { tensors[$0] } }

  /// The tensor called `name`, which must have this shape.
  public func tensor(_ name: String, shape: [Int]) throws(GGUFError) -> TensorInfo {
    guard let info = self[name] else { throw .missingTensor(path: path, tensor: name) }
    guard info.shape == shape else {
      throw .wrongShape(path: path, tensor: name, shape: info.shape, expected: shape)
    }
    return info
  }

  private static func index(_ tensors: [TensorInfo], path: String) throws(GGUFError) -> [String: Int] {
    var index: [String: Int] = [:]
    index.reserveCapacity(tensors.count)
    for (position, tensor) in tensors.enumerated() {
      guard index.updateValue(position, forKey: tensor.name) == nil else {
        throw .invalid(path: path, field: "tensor \(tensor.name)", problem: "occurs twice")
      }
    }
    return index
  }

  /// Opens `NAME-00001-of-0000N.gguf` to `NAME-0000N-of-0000N.gguf`, given the first.
  private static func splitParts(_ first: GGUFPart, count: Int) throws(GGUFError) -> [GGUFPart] {
    let path = first.file.path
    let suffix = "-\(padded(1))-of-\(padded(count)).gguf"
    guard path.hasSuffix(suffix) else {
      throw .splitMismatch(path: path, problem: "it is split over \(count) files but is not named …\(suffix)")
    }
    let stem = path.dropLast(suffix.count)
    var parts = [first]
    for number in 1..<count {
      let part = try GGUFPart(path: "\(stem)-\(padded(number + 1))-of-\(padded(count)).gguf")
      guard try part.metadata.integer("split.no") == number else {
        throw .splitMismatch(path: part.file.path, problem: "it is not part \(number + 1) of the model")
      }
      parts.append(part)
    }
    let total = parts.reduce(0) { $0 + $1.tensors.count }
    if let expected = try first.metadata.integer("split.tensors.count"), expected != total {
      throw .splitMismatch(
        path: path, problem: "its parts hold \(total) tensors, where \(expected) are needed")
    }
    return parts
  }

  /// Five digits, as in the names of parts.
  private static func padded(_ number: Int) -> String {
    String(repeating: "0", count: max(0, 5 - "\(number)".count)) + "\(number)"
  }
}

/// One file of a model.
struct GGUFPart {
  let file: MappedFile
  let version: UInt32
  let metadata: GGUFMetadata
  let tensors: [TensorInfo]

  init(path: String) throws(GGUFError) {
    do { file = try MappedFile(path: path) } catch { throw .file(error) }
    var cursor = GGUFCursor(file: file)
    version = try Self.version(&cursor)
    // A tensor entry takes at least 24 bytes (length, rank, type, offset), a pair 13.
    let tensorCount = try cursor.entries(24, "the tensor count")
    let pairCount = try cursor.entries(13, "the metadata count")
    metadata = try Self.metadata(&cursor, count: pairCount)
    tensors = try Self.tensors(&cursor, count: tensorCount, metadata: metadata)
  }

  private static func version(_ cursor: inout GGUFCursor) throws(GGUFError) -> UInt32 {
    let path = cursor.file.path
    guard cursor.remaining >= 4, try cursor.integer(UInt32.self, "the magic") == 0x4655_4747 else {
      throw .notGGUF(path: path)
    }
    let version = try cursor.integer(UInt32.self, "the version")
    if version == 2 || version == 3 { return version }
    if version.byteSwapped == 2 || version.byteSwapped == 3 { throw .bigEndian(path: path) }
    throw .unsupportedVersion(path: path, version: version)
  }

  private static func metadata(
    _ cursor: inout GGUFCursor, count: Int
  ) throws(GGUFError) -> GGUFMetadata {
    var keys: [String] = []
    var values: [String: GGUFValue] = [:]
    for _ in 0..<count {
      let key = try cursor.key()
      guard values.updateValue(try cursor.value(key), forKey: key) == nil else {
        throw cursor.invalid(key, "occurs twice")
      }
      keys.append(key)
    }
    return GGUFMetadata(path: cursor.file.path, keys: keys, values: values)
  }

  private static func tensors(
    _ cursor: inout GGUFCursor, count: Int, metadata: GGUFMetadata
  ) throws(GGUFError) -> [TensorInfo] {
    var entries: [GGUFCursor.TensorEntry] = []
    for _ in 0..<count { entries.append(try cursor.tensor()) }
    let alignment = try metadata.integer("general.alignment", in: 1...65_536) ?? 32
    guard alignment & (alignment - 1) == 0 else {
      throw cursor.invalid("general.alignment", "is \(alignment), which is no power of two")
    }
    let data = (cursor.offset + alignment - 1) / alignment * alignment
    var tensors: [TensorInfo] = []
    tensors.reserveCapacity(count)
    for entry in entries {
      tensors.append(try info(entry, data: data, alignment: alignment, cursor: cursor))
    }
    try refuseOverlaps(tensors, cursor)
    return tensors
  }

  /// A small file whose tensors all share their bytes would ask for the memory of a large model.
  private static func refuseOverlaps(_ tensors: [TensorInfo], _ cursor: GGUFCursor) throws(GGUFError) {
    let sorted = tensors.sorted { $0.range.lowerBound < $1.range.lowerBound }
    for (tensor, next) in zip(sorted, sorted.dropFirst())
    where next.range.lowerBound < tensor.range.upperBound {
      throw cursor.invalid("tensor \(next.name)", "shares bytes with \(tensor.name)")
    }
  }

  private static func info(
    _ entry: GGUFCursor.TensorEntry, data: Int, alignment: Int, cursor: GGUFCursor
  ) throws(GGUFError) -> TensorInfo {
    let field = "tensor \(entry.name)"
    guard let type = TensorType(rawValue: entry.type) else {
      throw .unknownTensorType(path: cursor.file.path, tensor: entry.name, type: entry.type)
    }
    guard entry.shape[0] % type.blockLength == 0 else {
      throw cursor.invalid(
        field, "has rows of \(entry.shape[0]), no multiple of \(type.name)'s \(type.blockLength)")
    }
    guard entry.start % UInt64(alignment) == 0 else {
      throw cursor.invalid(field, "starts at \(entry.start), no multiple of \(alignment)")
    }
    var bytes = type.blockBytes
    for size in [entry.shape[0] / type.blockLength] + entry.shape.dropFirst() {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: size)
      guard !overflow else { throw cursor.invalid(field, "is larger than memory") }
      bytes = product
    }
    let available = max(0, cursor.file.count - data)
    guard let start = Int(exactly: entry.start), start <= available, bytes <= available - start else {
      throw .truncated(path: cursor.file.path, field: field, count: cursor.file.count)
    }
    return TensorInfo(
      name: entry.name, shape: entry.shape, type: type,
      range: data + start..<data + start + bytes, file: cursor.file)
  }
}

extension TensorInfo {
  /// The same values with other dimensions, of as many values in all and rows of whole blocks; nil
  /// where they don't fit.
  package func reshaped(_ shape: [Int]) -> TensorInfo? {
    guard let columns = shape.first, columns > 0, columns % type.blockLength == 0,
      shape.reduce(1, *) == elementCount
    else { return nil }
    return TensorInfo(name: name, shape: shape, type: type, range: range, file: file)
  }
}
