/// A value of a JSON text; asking it for another kind than it has gives nil.
struct JSONValue: Sendable {
  let document: JSONDocument
  fileprivate let index: Int

  init(document: JSONDocument, index: Int) {
    self.document = document
    self.index = index
  }

  private var node: JSONDocument.Node { document.nodes[index] }

  var isNull: Bool { node.kind == .null }
  var isObject: Bool { node.kind == .object }
  var isArray: Bool { node.kind == .array }

  var bool: Bool? {
    switch node.kind {
    case .yes: true
    case .no: false
    default: nil
    }
  }

  /// A finite number.
  var number: Double? {
    guard node.kind == .number, let value = document.withText(node, { Double($0.text) }), value.isFinite
    else { return nil }
    return value
  }

  /// A whole number, also if written as `1.0`.
  var integer: Int? {
    guard node.kind == .number else { return nil }
    if let value = document.withText(node, { Int($0.text) }) { return value }
    return number.flatMap { Int(exactly: $0) }
  }

  /// Text with its escapes resolved, and invalid UTF-8 repaired. O(length).
  var string: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

  /// The bytes of a text with its escapes resolved. O(length).
  var bytes: [UInt8]? {
    switch node.kind {
    case .string, .escapedString:
      document.withText(node) { text in
        var bytes: [UInt8] = []
        bytes.append(text)
        return node.kind == .string ? bytes : bytes.withoutEscapes()
      }
    default: nil
    }
  }

  /// The value of `key` in an object, of several the last. O(members).
  subscript(key: String) -> JSONValue? {
    let key = Array(key.utf8)
    var found: JSONValue?
    forEachMember { name, value in if name == key { found = value } }
    return found
  }

  /// Calls `body` with each key and value of an object, in order. O(n).
  func forEachMember<E: Error>(_ body: ([UInt8], JSONValue) throws(E) -> Void) throws(E) {
    guard isObject else { return }
    var key = index + 1
    while key < Int(node.end) {
      let name = JSONValue(document: document, index: key)
      try body(name.bytes ?? [], JSONValue(document: document, index: key + 1))
      key = document.next(key + 1)
    }
  }

  /// Calls `body` with each element of an array, in order. O(n).
  func forEachElement<E: Error>(_ body: (JSONValue) throws(E) -> Void) throws(E) {
    guard isArray else { return }
    var element = index + 1
    while element < Int(node.end) {
      try body(JSONValue(document: document, index: element))
      element = document.next(element)
    }
  }

  /// The elements of a short array; none of another value, or of an array of over 4,096.
  var elements: [JSONValue] {
    guard isArray, count <= 4_096 else { return [] }
    var elements: [JSONValue] = []
    forEachElement { elements.append($0) }
    return elements
  }

  /// Elements of an array, or members of an object. O(n).
  var count: Int {
    var count = 0
    forEachElement { _ in count += 1 }
    var member = index + 1
    while isObject, member < Int(node.end) {
      member = document.next(member + 1)
      count += 1
    }
    return count
  }
}

extension [UInt8] {
  /// The bytes with the escapes of a JSON string, which were checked, resolved; halves of surrogate
  /// pairs without their other half become U+FFFD.
  fileprivate func withoutEscapes() -> [UInt8] {
    var result: [UInt8] = []
    var position = 0
    while position < count {
      guard self[position] == UInt8(ascii: "\\"), position + 1 < count else {
        result.append(self[position])
        position += 1
        continue
      }
      position += 2
      switch self[position - 1] {
      case UInt8(ascii: "b"): result.append(0x08)
      case UInt8(ascii: "f"): result.append(0x0C)
      case UInt8(ascii: "n"): result.append(0x0A)
      case UInt8(ascii: "r"): result.append(0x0D)
      case UInt8(ascii: "t"): result.append(0x09)
      case UInt8(ascii: "u"): result.append(contentsOf: Character(scalar(&position)).utf8)
      case let byte: result.append(byte)
      }
    }
    return result
  }

  private func unit(_ position: Int) -> UInt32? {
    guard position + 4 <= count else { return nil }
    return self[position..<position + 4].reduce(0) { $0 << 4 | ($1.hexadecimalValue ?? 0) }
  }

  /// The character of one or two escapes; `position` is that of the first digit.
  private func scalar(_ position: inout Int) -> Unicode.Scalar {
    let high = unit(position) ?? 0xFFFD
    position += 4
    if (0xD800..<0xDC00).contains(high), position + 6 <= count, self[position] == UInt8(ascii: "\\"),
      self[position + 1] == UInt8(ascii: "u"), let low = unit(position + 2), (0xDC00..<0xE000).contains(low)
    {
      position += 6
      return Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00)) ?? "\u{FFFD}"
    }
    return Unicode.Scalar(high) ?? "\u{FFFD}"
  }
}
