import DuetRuntime

/// Files of 16 MiB whose lengths are all true, but whose many small parts cost a careless reader
/// many times their size, or time that grows with the square.
enum Amplifier: CaseIterable {
  case tensors, pairs, invalidText, invalidKeys, emptyStrings, emptyArrays, integers
  case combiningKeys, combiningNames

  private static let size = 16 << 20

  var bytes: [UInt8] {
    var file = Header(capacity: Self.size + 1 << 16)
    switch self {
    case .tensors: for number in 0..<Self.size / 36 { file.addTensor(number) }
    case .pairs: for number in 0..<Self.size / 17 { file.addPair(number) }
    case .invalidText: file.addText([0xFF], count: Self.size)
    case .invalidKeys:
      for number in 0..<Self.size / 65_000 { file.addPair(number, suffix: [0xFF], count: 64_990) }
    case .emptyStrings: file.addArray(.string, count: Self.size / 8, elementBytes: 8)
    case .emptyArrays: file.addArray(.array, count: Self.size / 12, elementBytes: 12)
    case .integers: file.addArray(.uint8, count: Self.size, elementBytes: 1)
    case .combiningKeys:
      for number in 0..<Self.size / 65_000 { file.addPair(number, suffix: Self.marks, count: 16_000) }
    case .combiningNames:
      for number in 0..<4 { file.addTensor(number, suffix: Self.marks, count: Self.size / 16) }
    }
    return file.finished()
  }

  /// Combining marks of two classes, which a comparison of texts puts in order.
  private static let marks = Array("\u{0301}\u{0323}".utf8)
}

/// A file's header, written without small pieces that would stay in the heap.
private struct Header {
  private(set) var bytes = Array("GGUF".utf8)
  private var pairs = 0
  private var tensors = 0

  init(capacity: Int) {
    bytes.reserveCapacity(capacity)
    bytes.appendInteger(UInt32(3))
    bytes.appendInteger(UInt64(0))
    bytes.appendInteger(UInt64(0))
  }

  /// Appends a text that begins with four or more digits, different for different numbers.
  private mutating func appendName(_ number: Int, suffix: [UInt8], count: Int) {
    let digits = String(number + 36 * 36 * 36, radix: 36)
    bytes.appendInteger(UInt64(digits.utf8.count + suffix.count * count))
    bytes.append(contentsOf: digits.utf8)
    for _ in 0..<count { bytes.append(contentsOf: suffix) }
  }

  /// Adds a tensor of one float.
  mutating func addTensor(_ number: Int, suffix: [UInt8] = [], count: Int = 0) {
    appendName(number, suffix: suffix, count: count)
    bytes.appendInteger(UInt32(1))
    bytes.appendInteger(UInt64(1))
    bytes.appendInteger(TensorType.f32.rawValue)
    bytes.appendInteger(UInt64(0))
    tensors += 1
    bytes.set(UInt64(tensors), at: 8, width: 8)
  }

  /// The file, with the one value that all tensors share.
  consuming func finished() -> [UInt8] {
    bytes.pad(to: GGUFWriter.alignment)
    bytes.appendInteger(Float(1).bitPattern)
    return bytes
  }

  private mutating func countPair() {
    pairs += 1
    bytes.set(UInt64(pairs), at: 16, width: 8)
  }

  /// Adds a pair whose value is one byte.
  mutating func addPair(_ number: Int, suffix: [UInt8] = [], count: Int = 0) {
    appendName(number, suffix: suffix, count: count)
    bytes.appendInteger(GGUFValueType.uint8.rawValue)
    bytes.append(0)
    countPair()
  }

  mutating func addText(_ text: [UInt8], count: Int) {
    bytes.appendText("text")
    bytes.appendInteger(GGUFValueType.string.rawValue)
    bytes.appendInteger(UInt64(text.count * count))
    for _ in 0..<count { bytes.append(contentsOf: text) }
    countPair()
  }

  /// Adds an array whose elements are all zero bytes: empty strings, empty arrays, zeros.
  mutating func addArray(_ type: GGUFValueType, count: Int, elementBytes: Int) {
    bytes.appendText("array")
    bytes.appendArray(type, count: count)
    bytes.append(contentsOf: repeatElement(0, count: count * elementBytes))
    countPair()
  }
}
