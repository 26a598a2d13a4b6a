/// What a user did at the keyboard.
package enum Key: Equatable, Sendable {
  case text(String)
  /// Text from the clipboard, with its line breaks as `\n`.
  case paste(String)
  case enter, backspace, delete
  case left, right, up, down, home, end, wordLeft, wordRight
  case deleteToEnd, deleteToStart, deleteWord
  case clearScreen, suspend, interrupt, endOfInput
}

/// Turns the bytes of a terminal in raw mode into keys: UTF-8, control characters, and the escape
/// sequences of xterm and its kin (ECMA-48, section 5.4; bracketed paste as xterm has it).
package struct KeyDecoder: Sendable {
  /// Bytes of one paste; the rest is dropped.
  package static let maximumPaste = 4 << 20
  private enum State { case ground, escape, sequence, function, paste }
  private var state = State.ground
  private var bytes: [UInt8] = []
  private static let pasteEnd = Array("\u{1B}[201~".utf8)

  package init() {}

  /// Takes one byte and gives the key that it completes, if any.
  package mutating func decode(_ byte: UInt8) -> Key? {
    switch state {
    case .ground: return ground(byte)
    case .escape: return escape(byte)
    case .sequence: return sequence(byte)
    case .function:
      state = .ground
      return Self.letterKeys[byte]
    case .paste: return paste(byte)
    }
  }

  private mutating func ground(_ byte: UInt8) -> Key? {
    if byte >= 0x80 || !bytes.isEmpty { return character(byte) }
    if byte == 0x1B {
      state = .escape
      return nil
    }
    if let key = Self.controlKeys[byte] { return key }
    if byte == 0x09 { return .text(" ") }
    return byte < 0x20 ? nil : .text(String(UnicodeScalar(byte)))
  }

  /// Collects the bytes of a UTF-8 character.
  private mutating func character(_ byte: UInt8) -> Key? {
    if byte & 0xC0 != 0x80, !bytes.isEmpty {  // the last one was cut short
      bytes = []
      return ground(byte)
    }
    bytes.append(byte)
    let length = bytes[0] >= 0xF0 ? 4 : bytes[0] >= 0xE0 ? 3 : bytes[0] >= 0xC0 ? 2 : 1
    guard bytes.count >= length else { return nil }
    defer { bytes = [] }
    return .text(String(decoding: bytes, as: UTF8.self))
  }

  private mutating func escape(_ byte: UInt8) -> Key? {
    state = .ground
    switch byte {
    case UInt8(ascii: "["): state = .sequence
    case UInt8(ascii: "O"): state = .function
    case 0x1B: state = .escape
    case UInt8(ascii: "b"): return .wordLeft
    case UInt8(ascii: "f"): return .wordRight
    case 0x7F: return .deleteWord
    case 0x0D: return .paste("\n")
    default: break
    }
    return nil
  }

  private mutating func sequence(_ byte: UInt8) -> Key? {
    guard (0x40...0x7E).contains(byte) else {
      if bytes.count < 16 { bytes.append(byte) }
      return nil
    }
    let parameters = String(decoding: bytes, as: UTF8.self)
    bytes = []
    state = .ground
    guard byte == UInt8(ascii: "~") else {
      let modified = parameters.hasSuffix(";5") || parameters.hasSuffix(";3")
      let key = Self.letterKeys[byte]
      return modified ? key.map { $0 == .left ? .wordLeft : $0 == .right ? .wordRight : $0 } : key
    }
    if parameters == "200" { state = .paste }
    return Self.numberKeys[parameters]
  }

  private mutating func paste(_ byte: UInt8) -> Key? {
    bytes.append(byte)
    guard byte == UInt8(ascii: "~"), bytes.suffix(6).elementsEqual(Self.pasteEnd) else {
      if bytes.count > Self.maximumPaste { bytes.removeSubrange(Self.maximumPaste - 8..<bytes.count - 6) }
      return nil
    }
    let text = String(decoding: bytes.dropLast(6), as: UTF8.self)
    bytes = []
    state = .ground
    return .paste(printable(text))
  }

  private static let controlKeys: [UInt8: Key] = [
    0x01: .home, 0x02: .left, 0x03: .interrupt, 0x04: .endOfInput, 0x05: .end, 0x06: .right, 0x08: .backspace,
    0x0A: .enter, 0x0B: .deleteToEnd, 0x0C: .clearScreen, 0x0D: .enter, 0x0E: .down, 0x10: .up,
    0x15: .deleteToStart, 0x17: .deleteWord, 0x1A: .suspend, 0x7F: .backspace,
  ]
  private static let letterKeys: [UInt8: Key] = [
    UInt8(ascii: "A"): .up, UInt8(ascii: "B"): .down, UInt8(ascii: "C"): .right, UInt8(ascii: "D"): .left,
    UInt8(ascii: "H"): .home, UInt8(ascii: "F"): .end,
  ]
  private static let numberKeys: [String: Key] = [
    "1": .home, "7": .home, "4": .end, "8": .end, "3": .delete,
  ]
}

/// Text without what a terminal would obey: control characters other than line breaks and tabs are
/// left out, and every kind of line break becomes `\n`.
package func printable(_ text: String) -> String {
  var result = String.UnicodeScalarView()
  var afterReturn = false
  for scalar in text.unicodeScalars {
    defer { afterReturn = scalar == "\r" }
    switch scalar.value {
    case 0x0D: result.append("\n")
    case 0x0A: if !afterReturn { result.append(scalar) }
    case 0x09: result.append(scalar)
    case 0..<0x20, 0x7F..<0xA0: break
    default: result.append(scalar)
    }
  }
  return String(result)
}
