/// A file of tensors in the safetensors format, mapped into memory
/// (github.com/huggingface/safetensors, "Format"): eight bytes that say how long the header is, the
/// header, a JSON object of names, types, shapes and places, then the values.
struct SafetensorsFile: Sendable {
  let file: MappedFile
  /// The tensors of types that are weights, in the order of their places.
  let tensors: [TensorInfo]
  /// The types of the others, by name.
  let others: [String: String]

  /// More than any header has; the format's own limit.
  static let maximumHeaderBytes = 100_000_000
  /// Longer names than any checkpoint has.
  static let maximumNameBytes = 256

  /// Maps a file and checks its header against its length; values are not read. O(tensors).
  ///
  /// - Throws: `CheckpointError`, naming the file and the tensor.
  init(path: String) throws(CheckpointError) {
    do { file = try MappedFile(path: path) } catch { throw .file(error) }
    let start = try Self.dataStart(file)
    let header: JSONDocument
    do { header = try JSONDocument(file: file, range: 8..<start) } catch { throw .json(error) }
    guard header.root.isObject else {
      throw .safetensors(path: path, problem: "has a header of another form")
    }
    var reader = SafetensorsReader(file: file, data: start..<file.count)
    try header.root.forEachMember { (name, entry) throws(CheckpointError) in try reader.add(name, entry) }
    tensors = try reader.sorted()
    others = reader.others
  }

  private static func dataStart(_ file: MappedFile) throws(CheckpointError) -> Int {
    guard file.count >= 8 else { throw .safetensors(path: file.path, problem: "ends inside of its header") }
    let length = file.withBytes(0..<8) { $0.littleEndian(UInt64.self, at: 0) }
    guard length <= UInt64(min(maximumHeaderBytes, file.count - 8)) else {
      throw .safetensors(
        path: file.path, problem: "states a header of \(length) bytes, which it does not hold")
    }
    return 8 + Int(length)
  }
}

/// Collects the entries of a header.
private struct SafetensorsReader {
  let file: MappedFile
  let data: Range<Int>
  private(set) var others: [String: String] = [:]
  private var tensors: [TensorInfo] = []

  init(file: MappedFile, data: Range<Int>) {
    self.file = file
    self.data = data
  }

  private func bad(_ name: String, _ problem: String) -> CheckpointError {
    .safetensors(path: file.path, problem: "has a tensor \(name) that \(problem)")
  }

  mutating func add(_ bytes: [UInt8], _ entry: JSONValue) throws(CheckpointError) {
    let name = String(decoding: bytes, as: UTF8.self)
    if name == "__metadata__" { return }
    guard !bytes.isEmpty, bytes.count <= SafetensorsFile.maximumNameBytes, bytes.allSatisfy({ $0 < 0x80 })
    else {
      throw bad(
        "\(name.prefix(64))", "has no name of up to \(SafetensorsFile.maximumNameBytes) ASCII characters")
    }
    guard tensors.count + others.count < GGUFCursor.maximumEntries else {
      throw .safetensors(path: file.path, problem: "has more than \(GGUFCursor.maximumEntries) tensors")
    }
    guard let typeName = entry["dtype"]?.string, let shape = shape(entry), let range = range(entry) else {
      throw bad(name, "lacks a type, a shape or a place within the file")
    }
    guard let type = Self.type(typeName), !shape.contains(0) else {
      others[name] = typeName
      return
    }
    try check(name, shape, type, range)
    // An array without dimensions holds one value. GGUF counts dimensions from the contiguous one.
    let sizes = shape.isEmpty ? [1] : Array(shape.reversed())
    tensors.append(TensorInfo(name: name, shape: sizes, type: type, range: range, file: file))
  }

  private static func type(_ name: String) -> TensorType? {
    switch name {
    case "F32": .f32
    case "F16": .f16
    case "BF16": .bf16
    default: nil
    }
  }

  private func shape(_ entry: JSONValue) -> [Int]? {
    guard let shape = entry["shape"], shape.isArray, shape.count <= 8 else { return nil }
    let sizes = shape.elements.compactMap(\.integer)
    return sizes.count == shape.count && sizes.allSatisfy { $0 >= 0 } ? sizes : nil
  }

  private func range(_ entry: JSONValue) -> Range<Int>? {
    guard let places = entry["data_offsets"], places.isArray, places.count == 2 else { return nil }
    let ends = places.elements.compactMap(\.integer)
    guard ends.count == 2, ends[0] >= 0, ends[0] <= ends[1], ends[1] <= data.count else { return nil }
    return data.lowerBound + ends[0]..<data.lowerBound + ends[1]
  }

  private func check(
    _ name: String, _ shape: [Int], _ type: TensorType, _ range: Range<Int>
  ) throws(CheckpointError) {
    var bytes = type.blockBytes
    for size in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: size)
      guard !overflow else { throw bad(name, "is larger than memory") }
      bytes = product
    }
    guard bytes == range.count else {
      throw bad(name, "of the shape \(shape) takes \(bytes) bytes but has a place of \(range.count)")
    }
  }

  /// The tensors by their places, which must not overlap.
  func sorted() throws(CheckpointError) -> [TensorInfo] {
    let sorted = tensors.sorted { ($0.range.lowerBound, $0.name) < ($1.range.lowerBound, $1.name) }
    for (tensor, next) in zip(sorted, sorted.dropFirst())
    where next.range.lowerBound < tensor.range.upperBound {
      throw bad(next.name, "shares bytes with \(tensor.name)")
    }
    return sorted
  }
}
