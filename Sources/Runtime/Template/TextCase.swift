// Letter case and classes of code points, as in Python's `str`.
extension Text {
  func mapped(_ transform: (Unicode.Scalar) -> String) -> Text {
    var result = with([])
    result.utf8.reserveCapacity(utf8.count)
    for scalar in string.unicodeScalars { result.append(transform(scalar)) }
    return result
  }

  var uppercased: Text { mapped { $0.properties.uppercaseMapping } }

  /// Lower case; a capital sigma at the end of a word becomes the final form.
  var lowercased: Text {
    guard utf8.contains(0xCE) else { return mapped { $0.properties.lowercaseMapping } }
    let scalars = scalars
    var result = with([])
    for (index, scalar) in scalars.enumerated() {
      let isFinal = scalar.value == 0x3A3 && Self.endsWord(scalars, at: index)
      result.append(isFinal ? "\u{3C2}" : scalar.properties.lowercaseMapping)
    }
    return result
  }

  private static func endsWord(_ scalars: [Unicode.Scalar], at index: Int) -> Bool {
    let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
    let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
    return before?.properties.isCased == true && after?.properties.isCased != true
  }

  var capitalized: Text {
    guard let first = string.unicodeScalars.first else { return self }
    let head = first.properties.titlecaseMapping
    return with(Array(head.utf8) + Text(scalars: string.unicodeScalars.dropFirst()).lowercased.utf8)
  }

  var caseSwapped: Text {
    mapped { scalar in
      scalar.properties.isUppercase
        ? scalar.properties.lowercaseMapping
        : scalar.properties.isLowercase ? scalar.properties.uppercaseMapping : "\(scalar)"
    }
  }

  /// `str.title`: a capital after everything that has no case.
  var titled: Text {
    var isInWord = false
    return mapped { scalar in
      defer { isInWord = scalar.properties.isCased }
      return isInWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
    }
  }

  /// Jinja's `title` filter: a capital after white space, `-` and opening brackets.
  var titledWords: Text {
    var result = with([])
    var word: [Unicode.Scalar] = []
    for scalar in string.unicodeScalars {
      if scalar.isPythonSpace || "-({[<".unicodeScalars.contains(scalar) {
        result.append(Self.titled(word))
        word = []
        result.append(scalar)
      } else {
        word.append(scalar)
      }
    }
    result.append(Self.titled(word))
    return result
  }

  private static func titled(_ word: [Unicode.Scalar]) -> Text {
    guard let first = word.first else { return "" }
    var result = Text(first.properties.uppercaseMapping)
    result.append(Text(scalars: word.dropFirst()).lowercased)
    return result
  }

  /// True where there is a cased code point and all cased ones are of this case.
  func isCase(upper: Bool) -> Bool {
    var isCased = false
    for scalar in string.unicodeScalars {
      let properties = scalar.properties
      if upper ? properties.isLowercase : properties.isUppercase { return false }
      if properties.generalCategory == .titlecaseLetter { return false }
      isCased = isCased || properties.isUppercase || properties.isLowercase
    }
    return isCased
  }

  var isTitle: Bool {
    var (isInWord, isCased) = (false, false)
    for scalar in string.unicodeScalars {
      let isUpper = scalar.properties.isUppercase || scalar.properties.generalCategory == .titlecaseLetter
      if isUpper ? isInWord : (scalar.properties.isLowercase && !isInWord) { return false }
      isInWord = isUpper || scalar.properties.isLowercase
      isCased = isCased || isInWord
    }
    return isCased
  }

  /// True where there is a code point and all satisfy `condition`.
  func isAll(_ condition: (Unicode.Scalar) -> Bool) -> Bool {
    !isEmpty && string.unicodeScalars.allSatisfy(condition)
  }
}
