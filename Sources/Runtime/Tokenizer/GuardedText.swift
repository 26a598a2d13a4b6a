/// Text in which some names of control tokens are only text: after the first character of such a
/// name stands a guard, U+FDD0 and U+FDD1, which Unicode sets aside for use within a program (The
/// Unicode Standard, section 23.7). U+FDD0 that is itself part of the text is doubled.
///
/// Guards pass through a chat template, so that what a user wrote stays apart from what the
/// template wrote.
package struct GuardedText {
  /// U+FDD0
  package static let escape: [UInt8] = [0xef, 0xb7, 0x90]
  /// U+FDD0, U+FDD1
  package static let mark: [UInt8] = [0xef, 0xb7, 0x90, 0xef, 0xb7, 0x91]
  /// U+FDD0, U+FDD2: stands for a picture.
  static let picture: [UInt8] = [0xef, 0xb7, 0x90, 0xef, 0xb7, 0x92]

  /// The text without guards.
  package private(set) var bytes: [UInt8] = []
  /// Places in `bytes` that had a guard, rising.
  private(set) var places: [Int] = []

  /// Takes the guards out of `text`. O(n).
  package init(_ text: [UInt8]) {
    var position = 0
    while position < text.count {
      if Self.starts(text, position, with: Self.mark) {
        places.append(bytes.count)
        position += Self.mark.count
        continue
      }
      if Self.starts(text, position, with: Self.escape + Self.escape) { position += Self.escape.count }
      let length = Self.starts(text, position, with: Self.escape) ? Self.escape.count : 1
      bytes += text[position..<position + length]
      position += length
    }
  }

  /// The guarded texts before, between and after the pictures of a guarded text. O(n).
  static func partsAroundPictures(_ text: [UInt8]) -> [ArraySlice<UInt8>] {
    var parts: [ArraySlice<UInt8>] = []
    var start = 0, position = 0
    while position < text.count {
      if starts(text, position, with: picture) {
        parts.append(text[start..<position])
        position += picture.count
        start = position
      } else {
        position += starts(text, position, with: escape + escape) ? 2 * escape.count : 1
      }
    }
    return parts + [text[start...]]
  }

  static func starts(_ text: [UInt8], _ position: Int, with prefix: [UInt8]) -> Bool {
    text[position] == prefix[0] && text[position...].starts(with: prefix)
  }

  /// Bytes of the character that starts at `position`, as its first byte has it.
  static func characterLength(_ text: [UInt8], _ position: Int) -> Int {
    let lead = text[position]
    let length = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    return min(length, text.count - position)
  }
}

extension SpecialTokens {
  /// `text` with a guard in every name of a control token, in every beginning of one at its end,
  /// and every U+FDD0 doubled; nil where nothing needs one. O(n).
  func guarded(_ text: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    var copied = 0
    for position in text.indices {
      if GuardedText.starts(text, position, with: GuardedText.escape) {
        result += text[copied..<position] + GuardedText.escape
        copied = position
      }
      guard mayBeControl(text.span, position) else { continue }
      let end = max(copied, position + GuardedText.characterLength(text, position))
      result += text[copied..<end] + GuardedText.mark
      copied = end
    }
    return result.isEmpty ? nil : result + text[copied...]
  }
}
