/// The methods of a string that templates can call, by their names in Python.
enum TextMethod: String, CaseIterable {
  case capitalize, casefold, center, count, endswith, expandtabs, find, format, index, isalnum, isalpha,
    isascii
  case isdecimal, isdigit, islower, isnumeric, isprintable, isspace, istitle, isupper, join, ljust, lower,
    lstrip
  case partition, removeprefix, removesuffix, replace, rfind, rindex, rjust, rpartition, rsplit, rstrip, split
  case splitlines, startswith, strip, swapcase, title, upper, zfill
  // Known to Python; calling them is an error that says so.
  case encode, isidentifier, translate
  case makeTranslation = "maketrans"
  case formatMap = "format_map"
}

/// Calls a method of a string (Python library reference, "String Methods").
struct TextCall {
  let method: TextMethod
  let text: Text
  let arguments: CallArguments
  let budget: TemplateBudget

  private var name: String { "str.\(method.rawValue)" }

  func value() throws(TemplateProblem) -> Value {
    try budget.spend(bytes: text.utf8.count)
    switch method {
    case .capitalize, .casefold, .lower, .swapcase, .title, .upper: return .string(try recased())
    case .isalnum, .isalpha, .isascii, .isdecimal, .isdigit, .islower, .isnumeric, .isprintable, .isspace,
      .istitle,
      .isupper:
      return .bool(try classified())
    case .strip, .lstrip, .rstrip: return .string(try stripped())
    case .center, .ljust, .rjust, .zfill: return .string(try padded())
    case .startswith, .endswith: return .bool(try hasAffix())
    case .removeprefix, .removesuffix: return .string(try affixRemoved())
    case .find, .index, .rfind, .rindex, .count: return .integer(try located())
    case .split, .rsplit: return try splitText()
    case .partition, .rpartition: return try partitioned()
    case .splitlines: return try .list(text.lines(keepsEnds: try flag("keepends")).map { .string($0) })
    case .replace: return .string(try replaced())
    case .join: return .string(try joined())
    case .format: return .string(try text.braceFormatted(arguments, budget))
    case .expandtabs: return .string(try tabsExpanded())
    case .encode, .isidentifier, .translate, .makeTranslation, .formatMap:
      throw .unsupported("the method '\(name)'")
    }
  }

  private func none() throws(TemplateProblem) { _ = try arguments.bound(to: name) }

  private func flag(_ parameter: String) throws(TemplateProblem) -> Bool {
    try arguments.bound(parameter, to: name)[0]?.isTrue ?? false
  }

  private func recased() throws(TemplateProblem) -> Text {
    try none()
    switch method {
    case .capitalize: return text.capitalized
    case .upper: return text.uppercased
    case .title: return text.titled
    case .swapcase: return text.caseSwapped
    case .casefold: return text.mapped { $0 == "\u{DF}" ? "ss" : $0.properties.lowercaseMapping }
    default: return text.lowercased
    }
  }

  private func classified() throws(TemplateProblem) -> Bool {
    try none()
    switch method {
    case .isalnum: return text.isAll { $0.isAlphanumeric }
    case .isalpha: return text.isAll { $0.isLetter }
    case .isascii: return text.utf8.allSatisfy { $0 < 0x80 }
    case .isdecimal: return text.isAll { $0.isDecimal }
    case .isdigit: return text.isAll { $0.isDigit }
    case .isnumeric: return text.isAll { $0.properties.numericType != nil }
    case .isprintable: return text.string.unicodeScalars.allSatisfy { $0.isPrintable }
    case .isspace: return text.isAll { $0.isPythonSpace }
    case .istitle: return text.isTitle
    default: return text.isCase(upper: method == .isupper)
    }
  }

  private func stripped() throws(TemplateProblem) -> Text {
    try text.trimmed(
      characters: try arguments.bound("chars", to: name)[0], start: method != .rstrip, end: method != .lstrip,
      name)
  }

  private func padded() throws(TemplateProblem) -> Text {
    let values = try arguments.bound("width", "fillchar", to: name, required: 1)
    let width = try values[0]?.requireInteger(name) ?? 0
    let fill = try values[1]?.requireText(name) ?? (method == .zfill ? "0" : " ")
    guard fill.count == 1 else { throw .evaluation("\(name) fills with one character") }
    let count = text.count
    let missing = width > count ? width - count : 0
    switch method {
    case .ljust: return text.with(text.utf8 + (try fill.repeated(missing, budget)).utf8)
    case .rjust: return text.with((try fill.repeated(missing, budget)).utf8 + text.utf8)
    case .zfill: return try zeroFilled(missing)
    default: return try text.centered(width, fill, budget)
    }
  }

  private func zeroFilled(_ missing: Int) throws(TemplateProblem) -> Text {
    let zeros = try Text("0").repeated(missing, budget).utf8
    guard let sign = text.utf8.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") else {
      return text.with(zeros + text.utf8)
    }
    return text.with([sign] + zeros + text.utf8.dropFirst())
  }

  private func hasAffix() throws(TemplateProblem) -> Bool {
    let values = try arguments.bound("prefix", "start", "end", to: name, required: 1)
    let part = try text.part(values[1], values[2], name)
    let affixes: [Value]
    if case .tuple(let elements)? = values[0] {
      affixes = elements.values
    } else {
      affixes = values[0].map { [$0] } ?? []
    }
    for affix in affixes {
      let affix = try affix.requireText(name)
      if method == .startswith ? part.text.hasPrefix(affix) : part.text.hasSuffix(affix) { return true }
    }
    return false
  }

  private func affixRemoved() throws(TemplateProblem) -> Text {
    let affix = try arguments.bound("affix", to: name, required: 1)[0]?.requireText(name) ?? ""
    if method == .removeprefix {
      return text.hasPrefix(affix) ? text.slice(affix.utf8.count..<text.utf8.count) : text
    }
    return text.hasSuffix(affix) ? text.slice(0..<text.utf8.count - affix.utf8.count) : text
  }

  private func located() throws(TemplateProblem) -> Int {
    let values = try arguments.bound("sub", "start", "end", to: name, required: 1)
    let needle = try values[0]?.requireText(name) ?? ""
    let part = try text.part(values[1], values[2], name)
    if method == .count {
      return needle.isEmpty ? part.text.count + 1 : part.text.indices(of: needle).count
    }
    let isLast = method == .rfind || method == .rindex
    if let found = isLast ? part.text.lastIndex(of: needle) : part.text.firstIndex(of: needle) {
      return part.start + part.text.slice(0..<found).count
    }
    guard method == .find || method == .rfind else { throw .evaluation("\(name) did not find the text") }
    return -1
  }

  private func splitText() throws(TemplateProblem) -> Value {
    let values = try arguments.bound("sep", "maxsplit", to: name)
    let limit = try values[1]?.requireInteger(name) ?? -1
    let fromEnd = method == .rsplit
    let parts: [Text]
    if let separator = values[0], !separator.isNone {
      let separator = try separator.requireText(name)
      guard !separator.isEmpty else { throw .evaluation("\(name) needs a separator that is not empty") }
      parts = text.split(separator, limit: limit < 0 ? .max : limit, fromEnd: fromEnd)
    } else {
      parts = text.splitAtSpace(limit: limit < 0 ? .max : limit, fromEnd: fromEnd)
    }
    try budget.spend(parts.count)
    return try .list(parts.map { .string($0) })
  }

  private func partitioned() throws(TemplateProblem) -> Value {
    let separator = try arguments.bound("sep", to: name, required: 1)[0]?.requireText(name) ?? ""
    guard !separator.isEmpty else { throw .evaluation("\(name) needs a separator that is not empty") }
    let isLast = method == .rpartition
    guard let found = isLast ? text.lastIndex(of: separator) : text.firstIndex(of: separator) else {
      let empty = text.with([])
      return try .tuple((isLast ? [empty, empty, text] : [text, empty, empty]).map { .string($0) })
    }
    let after = text.slice(found + separator.utf8.count..<text.utf8.count)
    return try .tuple([.string(text.slice(0..<found)), .string(separator), .string(after)])
  }

  private func replaced() throws(TemplateProblem) -> Text {
    let values = try arguments.bound("old", "new", "count", to: name, required: 2)
    let old = try values[0]?.requireText(name) ?? ""
    let new = try values[1]?.requireText(name) ?? ""
    let limit = try values[2]?.requireInteger(name) ?? -1
    return try text.replacing(
      old, with: text.isMarkup ? new.escaped : new, limit: limit < 0 ? .max : limit, budget)
  }

  private func joined() throws(TemplateProblem) -> Text {
    let items = try arguments.bound("iterable", to: name, required: 1)[0]?.elements() ?? []
    var result = text.with([])
    for (index, item) in items.enumerated() {
      let item = try item.requireText(name)
      if index > 0 { result.append(text) }
      try budget.spend(bytes: item.utf8.count + text.utf8.count)
      result.append(text.isMarkup ? item.escaped : item)
      guard result.utf8.count <= budget.textBytes else { throw .limit(.textBytes) }
    }
    return result
  }

  private func tabsExpanded() throws(TemplateProblem) -> Text {
    let size = try arguments.bound("tabsize", to: name)[0]?.requireInteger(name) ?? 8
    var (result, column) = (text.with([]), 0)
    for scalar in text.string.unicodeScalars {
      if scalar == "\t" {
        let width = size > 0 ? size - column % size : 0
        result.append(try Text(" ").repeated(width, budget))
        column += width
        guard result.utf8.count <= budget.textBytes else { throw .limit(.textBytes) }
      } else {
        result.append(scalar)
        column = scalar == "\n" || scalar == "\r" ? 0 : column + 1
      }
    }
    return result
  }
}
