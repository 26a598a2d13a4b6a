/// Steps through the tags and texts of an XML document (XML 1.0, 5th edition).
///
/// There is no tree and no recursion, and entities that a document declares are not expanded:
/// depth and "billion laughs" cost nothing. Namespaces are ignored; names are local ones.
struct XMLScanner {
  enum Event {
    case start(name: String, attributes: ArraySlice<UInt8>, isEmpty: Bool)
    case end(name: String)
    case text(ArraySlice<UInt8>)
  }

  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The next tag or text, or nil at the end. Character data comes as written, references and all.
  mutating func next() -> Event? {
    while position < bytes.count {
      guard bytes[position] == UInt8(ascii: "<") else { return text() }
      let rest = bytes[(position + 1)...]
      if rest.starts(with: "!--".utf8) {
        skip(past: Array("-->".utf8))
      } else if rest.starts(with: "![CDATA[".utf8) {
        let start = position + 9
        skip(past: Array("]]>".utf8))
        return .text(bytes[min(start, position)..<max(start, position - 3)])
      } else if rest.first == UInt8(ascii: "?") {
        skip(past: Array("?>".utf8))
      } else if rest.first == UInt8(ascii: "!") {
        skip(past: [UInt8(ascii: ">")])
      } else {
        return tag()
      }
    }
    return nil
  }

  private mutating func text() -> Event {
    let end = bytes[position...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
    defer { position = end }
    return .text(bytes[position..<end])
  }

  private mutating func tag() -> Event {
    let end = tagEnd()
    let content = bytes[min(position + 1, end)..<end]
    position = min(bytes.count, end + 1)
    if content.first == UInt8(ascii: "/") { return .end(name: Self.localName(content.dropFirst())) }
    let isEmpty = content.last == UInt8(ascii: "/")
    let attributes = content.drop { !$0.isSpace }
    return .start(name: Self.localName(content), attributes: attributes, isEmpty: isEmpty)
  }

  /// The offset of the `>` that ends the tag at `position`.
  private func tagEnd() -> Int {
    var quote: UInt8?
    for index in position..<bytes.count {
      let byte = bytes[index]
      if byte == quote {
        quote = nil
      } else if quote == nil {
        if byte == UInt8(ascii: ">") { return index }
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { quote = byte }
      }
    }
    return bytes.count
  }

  private mutating func skip(past mark: [UInt8]) {
    var end = position
    while end < bytes.count, !bytes[end...].starts(with: mark) { end += 1 }
    position = min(bytes.count, end + mark.count)
  }

  /// The name at the start of a tag without its prefix.
  private static func localName(_ content: ArraySlice<UInt8>) -> String {
    let name = content.prefix { !$0.isSpace && $0 != UInt8(ascii: "/") }
    let local = name.lastIndex(of: UInt8(ascii: ":")).map { name[($0 + 1)...] } ?? name
    return String(decoding: local.prefix(64), as: UTF8.self)
  }

  /// The value of the attribute whose local name is `name`, or nil.
  static func value(_ name: String, in attributes: ArraySlice<UInt8>) -> String? {
    var rest = attributes
    while let equals = rest.firstIndex(of: UInt8(ascii: "=")) {
      let key = rest[..<equals].split(whereSeparator: { $0.isSpace }).last ?? []
      rest = rest[(equals + 1)...].drop { $0.isSpace }
      guard let quote = rest.first, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
        return nil
      }
      let value = rest.dropFirst().prefix { $0 != quote }
      if localName(key) == name { return String(decoding: HTMLEntities.decoded(value), as: UTF8.self) }
      rest = rest[min(value.endIndex + 1, rest.endIndex)...]
    }
    return nil
  }
}
