/// A JSON text (RFC 8259) in a mapped file, checked once from end to end; its strings and numbers are
/// left where they lie. A tokenizer's file holds millions of values, of which most are read once.
struct JSONDocument: Sendable {
  /// What a value is and where: for strings and numbers the bytes within the text, for arrays and
  /// objects the place of the first value after them.
  struct Node {
    enum Kind: UInt8 { case null, yes, no, number, string, escapedString, array, object }

    let kind: Kind
    let start: UInt32
    var end: UInt32
  }

  let file: MappedFile
  /// Where the text lies in the file.
  let range: Range<Int>
  let nodes: [Node]

  /// The largest tokenizers take 35 MB and have 2.5 million values.
  static let maximumBytes = 1 << 28
  static let maximumValues = 1 << 22
  static let maximumDepth = 64

  /// Checks the text in `range` of a file, or in all of it. O(n).
  ///
  /// - Throws: `JSONError`, with the place.
  init(file: MappedFile, range: Range<Int>? = nil) throws(JSONError) {
    let range = range ?? 0..<file.count
    guard range.count <= Self.maximumBytes else {
      throw JSONError(path: file.path, offset: 0, problem: .tooLarge)
    }
    self.file = file
    self.range = range
    var reader = JSONReader(bytes: file.bytes(range), path: file.path)
    nodes = try reader.document()
  }

  /// Maps and checks a file.
  ///
  /// - Throws: `CheckpointError`.
  init(path: String) throws(CheckpointError) {
    let file: MappedFile
    do { file = try MappedFile(path: path) } catch { throw .file(error) }
    do { try self.init(file: file) } catch { throw .json(error) }
  }

  /// The value of the whole text.
  var root: JSONValue { JSONValue(document: self, index: 0) }

  /// The place of the value that follows the one at `index` and all within it.
  func next(_ index: Int) -> Int {
    let node = nodes[index]
    return node.kind == .array || node.kind == .object ? Int(node.end) : index + 1
  }

  func withText<R>(_ node: Node, _ body: (RawSpan) -> R) -> R {
    let start = range.lowerBound + Int(node.start)
    return file.withBytes(start..<range.lowerBound + Int(node.end), body)
  }
}

/// What is wrong with a JSON text.
public struct JSONError: Error, Equatable, CustomStringConvertible {
  /// The kinds of problems.
  public enum Problem: String, Sendable {
    case malformed = "is no JSON"
    case tooDeep = "nests more than 64 levels of arrays and objects"
    case tooLarge = "is larger than any such file"
  }

  /// The file.
  public let path: String
  /// The byte at which it was noticed.
  public let offset: Int
  /// What it is.
  public let problem: Problem

  /// What is wrong, where, and what to do.
  public var description: String {
    "\(path) \(problem.rawValue), at byte \(offset); download or copy it again"
  }
}

/// Reads a text value by value.
private struct JSONReader {
  private let bytes: [UInt8]
  private let path: String
  private var position = 0
  private var nodes: [JSONDocument.Node] = []

  init(bytes: [UInt8], path: String) {
    self.bytes = bytes
    self.path = path
  }

  private func fail(_ problem: JSONError.Problem = .malformed) -> JSONError {
    JSONError(path: path, offset: position, problem: problem)
  }

  private var byte: UInt8? { position < bytes.count ? bytes[position] : nil }

  mutating func document() throws(JSONError) -> [JSONDocument.Node] {
    // A value takes two bytes or more. Memory that is not used is not provided.
    nodes.reserveCapacity(min(bytes.count / 2, JSONDocument.maximumValues) + 1)
    try value(depth: 0)
    skipSpace()
    guard byte == nil else { throw fail() }
    return nodes
  }

  private mutating func skipSpace() {
    while let byte, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private mutating func skip(_ expected: UInt8) -> Bool {
    skipSpace()
    guard byte == expected else { return false }
    position += 1
    return true
  }

  private mutating func add(_ kind: JSONDocument.Node.Kind, from start: Int, to end: Int) throws(JSONError) {
    guard nodes.count < JSONDocument.maximumValues else { throw fail(.tooLarge) }
    nodes.append(JSONDocument.Node(kind: kind, start: UInt32(start), end: UInt32(end)))
  }

  private mutating func value(depth: Int) throws(JSONError) {
    guard depth <= JSONDocument.maximumDepth else { throw fail(.tooDeep) }
    skipSpace()
    switch byte {
    case UInt8(ascii: "{"): try container(.object, depth)
    case UInt8(ascii: "["): try container(.array, depth)
    case UInt8(ascii: "\""): try string()
    case UInt8(ascii: "t"): try word("true", .yes)
    case UInt8(ascii: "f"): try word("false", .no)
    case UInt8(ascii: "n"): try word("null", .null)
    default: try number()
    }
  }

  private mutating func container(_ kind: JSONDocument.Node.Kind, _ depth: Int) throws(JSONError) {
    let index = nodes.count
    try add(kind, from: position, to: position)
    let end = kind == .object ? UInt8(ascii: "}") : UInt8(ascii: "]")
    position += 1
    if !skip(end) {
      repeat {
        if kind == .object {
          skipSpace()
          guard byte == UInt8(ascii: "\"") else { throw fail() }
          try string()
          guard skip(UInt8(ascii: ":")) else { throw fail() }
        }
        try value(depth: depth + 1)
      } while skip(UInt8(ascii: ","))
      guard skip(end) else { throw fail() }
    }
    nodes[index].end = UInt32(nodes.count)
  }

  private mutating func string() throws(JSONError) {
    position += 1
    let start = position
    var kind = JSONDocument.Node.Kind.string
    while let byte, byte != UInt8(ascii: "\"") {
      guard byte >= 0x20 else { throw fail() }
      position += 1
      guard byte == UInt8(ascii: "\\") else { continue }
      kind = .escapedString
      try escape()
    }
    guard byte != nil else { throw fail() }
    try add(kind, from: start, to: position)
    position += 1
  }

  /// The part of an escape after its backslash.
  private mutating func escape() throws(JSONError) {
    guard let byte else { throw fail() }
    position += 1
    if byte == UInt8(ascii: "u") {
      for _ in 0..<4 {
        guard let digit = self.byte, digit.hexadecimalValue != nil else { throw fail() }
        position += 1
      }
    } else if !"\"\\/bfnrt".utf8.contains(byte) {
      throw fail()
    }
  }

  private mutating func word(_ word: StaticString, _ kind: JSONDocument.Node.Kind) throws(JSONError) {
    let start = position
    for expected in word.description.utf8 {
      guard byte == expected else { throw fail() }
      position += 1
    }
    try add(kind, from: start, to: position)
  }

  /// Any run of the characters of numbers; whether it is one shows when it is asked for.
  private mutating func number() throws(JSONError) {
    let start = position
    while let byte, byte.isNumberCharacter { position += 1 }
    guard position > start, position - start <= 64 else { throw fail() }
    try add(.number, from: start, to: position)
  }
}

extension UInt8 {
  fileprivate var isNumberCharacter: Bool {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
      UInt8(ascii: "e"), UInt8(ascii: "E"):
      true
    default: false
    }
  }

  /// The value of a hexadecimal digit.
  var hexadecimalValue: UInt32? {
    switch self {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(self - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(self - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(self - UInt8(ascii: "A") + 10)
    default: nil
    }
  }
}
