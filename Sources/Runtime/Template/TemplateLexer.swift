/// Splits a template into tokens, with white space treated as Jinja does under `trim_blocks` (the
/// newline after a block goes) and `lstrip_blocks` (the indentation before a block goes).
///
/// Jinja documentation, "Whitespace Control", jinja.palletsprojects.com/en/stable/templates.
struct TemplateLexer {
  private let source: TemplateSource
  private var position = 0
  private var tokens: [TemplateToken] = []
  /// Whether the tag before the coming text took the newline after it along.
  private var atLineStart = true
  /// Open parentheses, brackets and braces of the tag being read.
  private var open: [TemplateToken.Symbol] = []

  private var bytes: [UInt8] { source.utf8 }

  /// All tokens of the template, the last one `.end`. O(n).
  static func tokens(_ source: TemplateSource) throws(TemplateError) -> [TemplateToken] {
    var lexer = TemplateLexer(source)
    while lexer.position < source.utf8.count { try lexer.textAndTag() }
    lexer.add(.end, at: source.utf8.count)
    return lexer.tokens
  }

  private init(_ source: TemplateSource) { self.source = source }

  private mutating func add(_ kind: TemplateToken.Kind, at offset: Int) {
    tokens.append(TemplateToken(kind: kind, offset: offset))
  }

  private func syntax(_ problem: String, at offset: Int? = nil) -> TemplateError {
    .syntax(source.position(offset ?? position), problem: problem)
  }

  private func byte(_ offset: Int) -> UInt8? { offset < bytes.count ? bytes[offset] : nil }

  private func matches(_ text: StaticString, at offset: Int) -> Bool {
    bytes.dropFirst(offset).starts(with: text.description.utf8)
  }

  /// The code point at a byte and its length in bytes.
  private func scalar(_ offset: Int) -> (scalar: Unicode.Scalar, length: Int)? {
    guard let lead = byte(offset) else { return nil }
    let length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
    let text = String(decoding: bytes[offset..<min(offset + length, bytes.count)], as: UTF8.self)
    return text.unicodeScalars.first.map { ($0, length) }
  }

  /// The byte after white space, which may be any of Unicode's.
  private func skippingSpace(_ offset: Int) -> Int {
    var offset = offset
    while let next = scalar(offset), next.scalar.isPythonSpace { offset += next.length }
    return offset
  }
}

// Text and what opens and closes a tag.
extension TemplateLexer {
  private enum Opening { case variable, block, comment, raw }

  private mutating func textAndTag() throws(TemplateError) {
    let start = position
    guard let tag = nextTag(from: start) else {
      add(.data(Text(utf8: Array(bytes[start...]))), at: start)
      position = bytes.count
      return
    }
    var next = tag + 2
    let sign = byte(next)
    let hasSign = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
    if hasSign { next += 1 }
    let opening = opening(at: tag, next: next)
    addText(start..<tag, sign: hasSign ? sign : nil, stripsIndentation: opening != .variable)
    position = next
    switch opening {
    case .comment: try comment(from: tag)
    case .raw: try raw(from: tag)
    case .variable: try self.tag(.variableBegin, from: tag)
    case .block: try self.tag(.blockBegin, from: tag)
    }
  }

  private func nextTag(from start: Int) -> Int? {
    var offset = start
    while offset + 1 < bytes.count {
      let next = bytes[offset + 1]
      let opens = next == UInt8(ascii: "{") || next == UInt8(ascii: "%") || next == UInt8(ascii: "#")
      if bytes[offset] == UInt8(ascii: "{"), opens { return offset }
      offset += 1
    }
    return nil
  }

  private func opening(at tag: Int, next: Int) -> Opening {
    switch bytes[tag + 1] {
    case UInt8(ascii: "{"): .variable
    case UInt8(ascii: "#"): .comment
    default: rawEnd(next, word: "raw") == nil ? .block : .raw
    }
  }

  /// Where the tag that is only `word` ends, its `%}` not included.
  private func rawEnd(_ offset: Int, word: StaticString) -> Int? {
    let start = skippingSpace(offset)
    guard matches(word, at: start) else { return nil }
    let end = skippingSpace(start + word.utf8CodeUnitCount)
    return matches("%}", at: end) || matches("-%}", at: end)
      || (word.utf8CodeUnitCount == 6 && matches("+%}", at: end))
      ? end : nil
  }

  private mutating func addText(_ range: Range<Int>, sign: UInt8?, stripsIndentation: Bool) {
    var text = Text(utf8: Array(bytes[range]))
    if sign == UInt8(ascii: "-") {
      text = text.trimmed(start: false)
    } else if sign == nil, stripsIndentation {
      let line = text.utf8.lastIndex(of: 0x0A).map { $0 + 1 }
      let indentation = text.slice((line ?? 0)..<text.utf8.count)
      if line != nil || atLineStart, indentation.trimmed().isEmpty {
        text = text.slice(0..<(line ?? 0))
      }
    }
    if !text.isEmpty { add(.data(text), at: range.lowerBound) }
  }

  private mutating func comment(from start: Int) throws(TemplateError) {
    var offset = position
    while offset + 1 < bytes.count,
      !(bytes[offset] == UInt8(ascii: "#") && bytes[offset + 1] == UInt8(ascii: "}"))
    {
      offset += 1
    }
    guard offset + 1 < bytes.count else { throw syntax("a comment is not closed", at: start) }
    let sign = offset > position ? bytes[offset - 1] : 0
    close(at: offset + 2, sign: sign, trimsNewline: true)
  }

  private mutating func raw(from start: Int) throws(TemplateError) {
    let opened = rawEnd(position, word: "raw") ?? position
    let strips = bytes[opened] == UInt8(ascii: "-")
    close(at: opened + (strips ? 3 : 2), sign: strips ? bytes[opened] : 0, trimsNewline: false)
    let body = position
    var offset = body
    while offset + 1 < bytes.count {
      if matches("{%", at: offset) {
        let sign = byte(offset + 2) ?? 0
        let hasSign = sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+")
        if let end = rawEnd(offset + (hasSign ? 3 : 2), word: "endraw") {
          addText(body..<offset, sign: hasSign ? sign : nil, stripsIndentation: true)
          let plain = bytes[end] == UInt8(ascii: "%")
          close(at: end + (plain ? 2 : 3), sign: plain ? 0 : bytes[end], trimsNewline: true)
          return
        }
      }
      offset += 1
    }
    throw syntax("a raw block is not closed", at: start)
  }

  /// Goes on after a tag's end, past white space that its sign or `trim_blocks` removes.
  private mutating func close(at end: Int, sign: UInt8, trimsNewline: Bool) {
    position = end
    if sign == UInt8(ascii: "-") {
      position = skippingSpace(end)
    } else if trimsNewline, sign != UInt8(ascii: "+"), byte(end) == 0x0A {
      position = end + 1
    }
    atLineStart = position > end && bytes[position - 1] == 0x0A
  }
}

// What stands inside of a tag.
extension TemplateLexer {
  private mutating func tag(_ begin: TemplateToken.Kind, from start: Int) throws(TemplateError) {
    add(begin, at: start)
    open = []
    let isBlock = begin == .blockBegin
    while true {
      if open.isEmpty, closeTag(isBlock: isBlock) { return }
      let space = skippingSpace(position)
      if space > position {
        position = space
      } else {
        guard position < bytes.count else { throw syntax("a tag is not closed", at: start) }
        try token()
      }
    }
  }

  private mutating func closeTag(isBlock: Bool) -> Bool {
    let sign = byte(position) ?? 0
    let hasSign = sign == UInt8(ascii: "-") || (isBlock && sign == UInt8(ascii: "+"))
    let end = position + (hasSign ? 1 : 0)
    guard isBlock ? matches("%}", at: end) : matches("}}", at: end) else { return false }
    add(isBlock ? .blockEnd : .variableEnd, at: position)
    close(at: end + 2, sign: hasSign ? sign : 0, trimsNewline: isBlock)
    return true
  }

  private mutating func token() throws(TemplateError) {
    let byte = bytes[position]
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
    case UInt8(ascii: "'"), UInt8(ascii: "\""): try string(quote: byte)
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
      0x80...:
      try name()
    default: try symbol()
    }
  }

  private mutating func name() throws(TemplateError) {
    let start = position
    var name = String.UnicodeScalarView()
    while let next = scalar(position), next.scalar.isWordPart || next.scalar.properties.isXIDContinue {
      name.append(next.scalar)
      position += next.length
    }
    guard let first = name.first, first == "_" || first.properties.isXIDStart else {
      throw syntax("unexpected character '\(scalar(start).map { "\($0.scalar)" } ?? "")'", at: start)
    }
    add(.name(String(name)), at: start)
  }

  private mutating func symbol() throws(TemplateError) {
    let text = bytes[position...].prefix(2)
    let long = TemplateToken.Symbol(rawValue: String(decoding: text, as: UTF8.self))
    guard let symbol = long ?? TemplateToken.Symbol(rawValue: String(decoding: text.prefix(1), as: UTF8.self))
    else {
      throw syntax("unexpected character '\(Unicode.Scalar(bytes[position]))'")
    }
    if let closing = symbol.closing {
      open.append(closing)
    } else if symbol.isClosing, open.popLast() != symbol {
      throw syntax("unexpected '\(symbol.rawValue)'")
    }
    add(.symbol(symbol), at: position)
    position += symbol.rawValue.utf8.count
  }

  private mutating func string(quote: UInt8) throws(TemplateError) {
    let start = position
    var end = start + 1
    while let byte = byte(end), byte != quote { end += byte == UInt8(ascii: "\\") ? 2 : 1 }
    guard end < bytes.count else { throw syntax("a string is not closed", at: start) }
    var reader = EscapeReader(bytes: bytes[start + 1..<end])
    guard let text = reader.text() else { throw syntax("a string has an invalid escape", at: start) }
    add(.string(text), at: start)
    position = end + 1
  }
}

// Numbers.
extension TemplateLexer {
  private mutating func number() throws(TemplateError) {
    let start = position
    if let value = try prefixedInteger() {
      add(.integer(value), at: start)
      return
    }
    var digits = readDigits()
    let isFloat = readFraction(&digits)
    if isFloat, let value = Double(digits) {
      add(.float(value), at: start)
    } else if digits.first == "0", digits.contains(where: { $0 != "0" }) {
      // Python has no decimal numbers with leading zeros; the zero is a token of its own.
      throw syntax("a number starts with 0", at: start)
    } else if let value = Int(digits) {
      add(.integer(value), at: start)
    } else {
      throw syntax("the number \(digits) is too large", at: start)
    }
  }

  private mutating func prefixedInteger() throws(TemplateError) -> Int? {
    guard byte(position) == UInt8(ascii: "0"), let letter = byte(position + 1) else { return nil }
    let radix: Int
    switch letter | 0x20 {
    case UInt8(ascii: "x"): radix = 16
    case UInt8(ascii: "o"): radix = 8
    case UInt8(ascii: "b"): radix = 2
    default: return nil
    }
    let start = position
    let digits = bytes[(start + 2)...].prefix {
      Unicode.Scalar($0).properties.isASCIIHexDigit || $0 == UInt8(ascii: "_")
    }
    let text = String(decoding: digits.filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
    guard let value = Int(text, radix: radix) else { throw syntax("invalid number", at: start) }
    position = digits.endIndex
    return value
  }

  /// Digits with `_` between them.
  private mutating func readDigits() -> String {
    var digits = ""
    while let byte = byte(position) {
      if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
        digits.unicodeScalars.append(Unicode.Scalar(byte))
      } else if byte != UInt8(ascii: "_") || !isDigit(position + 1) {
        break
      }
      position += 1
    }
    return digits
  }

  private func isDigit(_ offset: Int) -> Bool {
    byte(offset).map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? false
  }

  /// Reads a fraction and an exponent, where they follow; false where neither does.
  private mutating func readFraction(_ digits: inout String) -> Bool {
    var isFloat = false
    if byte(position) == UInt8(ascii: "."), isDigit(position + 1) {
      position += 1
      digits += "." + readDigits()
      isFloat = true
    }
    guard let letter = byte(position), letter | 0x20 == UInt8(ascii: "e") else { return isFloat }
    var next = position + 1
    let sign = byte(next)
    if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { next += 1 }
    guard isDigit(next) else { return isFloat }
    position = next
    digits += (sign == UInt8(ascii: "-") ? "e-" : "e") + readDigits()
    return true
  }
}
