/// Character references of HTML and XML (WHATWG HTML, 13.5): numeric ones and the common names.
enum HTMLEntities {
  /// Bytes of the longest reference that is looked for, with `&` and `;`.
  private static let maximumLength = 12

  /// `bytes` with its references replaced; what is no known reference stays as it is.
  ///
  /// Replacements are never looked at again, so nothing can expand more than once.
  /// - Complexity: O(bytes).
  static func decoded(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var rest = bytes
    while let start = rest.firstIndex(of: UInt8(ascii: "&")) {
      result.append(contentsOf: rest[..<start])
      rest = rest[start...]
      if let (text, length) = reference(rest) {
        result.append(contentsOf: text.utf8)
        rest = rest.dropFirst(length)
      } else {
        result.append(UInt8(ascii: "&"))
        rest = rest.dropFirst()
      }
    }
    result.append(contentsOf: rest)
    return result
  }

  /// What the reference at the start of `bytes` stands for, and its length.
  private static func reference(_ bytes: ArraySlice<UInt8>) -> (String, Int)? {
    let head = bytes.prefix(maximumLength)
    guard let end = head.firstIndex(of: UInt8(ascii: ";")) else { return nil }
    let name = String(decoding: bytes[(bytes.startIndex + 1)..<end], as: UTF8.self)
    let length = end - bytes.startIndex + 1
    if name.hasPrefix("#") { return character(name.dropFirst()).map { ($0, length) } }
    return names[name].map { ($0, length) }
  }

  private static func character(_ number: Substring) -> String? {
    let isHexadecimal = number.first == "x" || number.first == "X"
    let digits = isHexadecimal ? number.dropFirst() : number
    guard let value = UInt32(digits, radix: isHexadecimal ? 16 : 10) else { return nil }
    if (0x80...0x9F).contains(value) { return TextDecoding.windows1252(UInt8(value)) }
    guard value >= 0x20 || value == 0x09 || value == 0x0A, let scalar = Unicode.Scalar(value) else {
      return "\u{FFFD}"
    }
    return String(Character(scalar))
  }

  private static let names: [String: String] = {
    var names = [
      "amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'", "nbsp": " ", "AMP": "&", "LT": "<",
      "GT": ">", "QUOT": "\"", "hellip": "…", "mdash": "—", "ndash": "–", "lsquo": "‘", "rsquo": "’",
      "sbquo": "‚", "ldquo": "“", "rdquo": "”", "bdquo": "„", "laquo": "«", "raquo": "»", "lsaquo": "‹",
      "rsaquo": "›", "bull": "•", "middot": "·", "copy": "©", "reg": "®", "trade": "™", "deg": "°",
      "plusmn": "±", "times": "×", "divide": "÷", "frac12": "½", "frac14": "¼", "frac34": "¾", "sup1": "¹",
      "sup2": "²", "sup3": "³", "micro": "µ", "para": "¶", "sect": "§", "euro": "€", "pound": "£",
      "yen": "¥", "cent": "¢", "curren": "¤", "iexcl": "¡", "iquest": "¿", "ordf": "ª", "ordm": "º",
      "shy": "", "zwnj": "\u{200C}", "zwj": "\u{200D}", "lrm": "\u{200E}", "rlm": "\u{200F}",
      "ensp": " ", "emsp": " ", "thinsp": " ", "larr": "←", "uarr": "↑", "rarr": "→", "darr": "↓",
      "harr": "↔", "rArr": "⇒", "lArr": "⇐", "hArr": "⇔", "minus": "−", "le": "≤", "ge": "≥", "ne": "≠",
      "asymp": "≈", "equiv": "≡", "infin": "∞", "sum": "∑", "prod": "∏", "radic": "√", "int": "∫",
      "part": "∂", "nabla": "∇", "isin": "∈", "notin": "∉", "cap": "∩", "cup": "∪", "sub": "⊂", "sup": "⊃",
      "forall": "∀", "exist": "∃", "empty": "∅", "and": "∧", "or": "∨", "not": "¬", "szlig": "ß",
      "aelig": "æ", "AElig": "Æ", "oelig": "œ", "OElig": "Œ", "oslash": "ø", "Oslash": "Ø", "aring": "å",
      "Aring": "Å", "eth": "ð", "ETH": "Ð", "thorn": "þ", "THORN": "Þ", "ccedil": "ç", "Ccedil": "Ç",
      "scaron": "š", "Scaron": "Š", "dagger": "†", "Dagger": "‡", "permil": "‰", "prime": "′",
    ]
    let accents: [(suffix: String, letters: String, accented: String)] = [
      ("acute", "aeiouyAEIOUY", "áéíóúýÁÉÍÓÚÝ"), ("grave", "aeiouAEIOU", "àèìòùÀÈÌÒÙ"),
      ("circ", "aeiouAEIOU", "âêîôûÂÊÎÔÛ"), ("uml", "aeiouyAEIOU", "äëïöüÿÄËÏÖÜ"),
      ("tilde", "anoANO", "ãñõÃÑÕ"),
    ]
    for accent in accents {
      for (letter, accented) in zip(accent.letters, accent.accented) {
        names["\(letter)\(accent.suffix)"] = String(accented)
      }
    }
    let greek = [
      "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
      "nu", "xi", "omicron", "pi", "rho", "sigmaf", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
    ]
    for (index, name) in greek.enumerated() {
      guard let small = Unicode.Scalar(0x3B1 + UInt32(index)) else { continue }
      names[name] = String(Character(small))
      guard name != "sigmaf", let large = Unicode.Scalar(0x391 + UInt32(index)) else { continue }
      names[name.prefix(1).uppercased() + name.dropFirst()] = String(Character(large))
    }
    return names
  }()
}
