// Filters that make text, or measure it.
extension FilterCall {
  func textFilter() throws(TemplateProblem) -> Value {
    switch filter {
    case .length: return try length()
    case .tojson: return .string(try json())
    case .format: return try formatted()
    case .indent: return .string(try indented())
    case .truncate: return try truncated()
    case .replace: return .string(try replaced())
    default: break
    }
    let text = try Printer.text(input, budget)
    try budget.spend(bytes: text.utf8.count)
    switch filter {
    case .trim:
      let characters = try arguments.bound("chars", to: name)[0]
      return .string(try text.trimmed(characters: characters, start: true, end: true, name))
    case .center:
      let width = try arguments.bound("width", to: name)[0]?.requireInteger(name) ?? 80
      return .string(try text.centered(width, " ", budget))
    default:
      try none()
      return transformed(text)
    }
  }

  private func transformed(_ text: Text) -> Value {
    switch filter {
    case .safe: .string(Text(utf8: text.utf8, isMarkup: true))
    case .escape: .string(text.escaped)
    case .forceescape: .string(Text(utf8: text.utf8).escaped)
    case .lower: .string(text.lowercased)
    case .upper: .string(text.uppercased)
    case .capitalize: .string(text.capitalized)
    case .title: .string(Text(utf8: text.titledWords.utf8))
    case .wordcount: .integer(Self.words(text))
    default: .string(text)
    }
  }

  private static func words(_ text: Text) -> Int {
    var (count, isInWord) = (0, false)
    for scalar in text.string.unicodeScalars {
      if scalar.isWordPart, !isInWord { count += 1 }
      isInWord = scalar.isWordPart
    }
    return count
  }

  private func length() throws(TemplateProblem) -> Value {
    try none()
    if case .string(let text) = input { try budget.spend(bytes: text.utf8.count) }
    guard let count = input.count else { throw .evaluation("a \(input.typeName) has no length") }
    return .integer(count)
  }

  private func json() throws(TemplateProblem) -> Text {
    let values = try arguments.bound("ensure_ascii", "indent", "separators", "sort_keys", to: name)
    var options = JSONWriter.Options()
    options.escapesNonASCII = values[0]?.isTrue ?? false
    if let indent = values[1], !indent.isNone {
      options.itemSeparator = ","
      options.indentation =
        if case .string(let text) = indent { text } else {
          try Text(" ").repeated(max(0, try indent.requireInteger(name)), budget)
        }
    }
    if let separators = values[2], !separators.isNone {
      let pair = try separators.elements()
      guard pair.count == 2 else { throw .evaluation("\(name) needs two separators") }
      options.itemSeparator = try pair[0].requireText(name)
      options.keySeparator = try pair[1].requireText(name)
    }
    options.sortsKeys = values[3]?.isTrue ?? false
    return try JSONWriter.text(input, options, budget)
  }

  private func formatted() throws(TemplateProblem) -> Value {
    let format = try Printer.text(input, budget)
    guard !arguments.keywords.isEmpty else {
      return .string(try format.percentFormatted(try .tuple(arguments.positional), budget))
    }
    guard arguments.positional.isEmpty else {
      throw .evaluation("\(name) takes values with or without names")
    }
    let named = try Mapping(arguments.keywords.map { (key: .text($0.name), value: $0.value) })
    return .string(try format.percentFormatted(.dictionary(named), budget))
  }

  private func replaced() throws(TemplateProblem) -> Text {
    let values = try arguments.bound("old", "new", "count", to: name, required: 2)
    let old = try Printer.text(values[0] ?? .none, budget)
    let new = try Printer.text(values[1] ?? .none, budget)
    var limit = Int.max
    if let count = values[2], !count.isNone { limit = try count.requireInteger(name) }
    let text = Text(utf8: try Printer.text(input, budget).utf8)
    return try text.replacing(old, with: new, limit: limit < 0 ? .max : limit, budget)
  }

  private func indented() throws(TemplateProblem) -> Text {
    let values = try arguments.bound("width", "first", "blank", to: name)
    let text = try input.requireText(name)
    var indentation = try Text(" ").repeated(4, budget)
    if let width = values[0] {
      indentation =
        if case .string(let text) = width { text } else {
          try Text(" ").repeated(max(0, try width.requireInteger(name)), budget)
        }
    }
    var result = text.with([])
    if values[1]?.isTrue ?? false { result.append(indentation) }
    let includesBlank = values[2]?.isTrue ?? false
    var lines = text.lines()
    // Jinja splits the text with a newline added, so that a last line end counts as a line.
    if text.isEmpty || text.string.unicodeScalars.last?.isLineBoundary == true { lines.append("") }
    try budget.spend(bytes: text.utf8.count)
    for (index, line) in lines.enumerated() {
      if index > 0 {
        result.append("\n")
        if includesBlank || !line.isEmpty { result.append(indentation) }
      }
      result.append(line)
      guard result.utf8.count <= budget.textBytes else { throw .limit(.textBytes) }
    }
    try budget.spend(bytes: result.utf8.count)
    return result
  }

  private func truncated() throws(TemplateProblem) -> Value {
    let values = try arguments.bound("length", "killwords", "end", "leeway", to: name)
    let length = try values[0]?.requireInteger(name) ?? 255
    let end = try values[2]?.requireText(name) ?? "..."
    let leeway =
      try values[3].map { value throws(TemplateProblem) in value.isNone ? 5 : try value.requireInteger(name) }
      ?? 5
    let text = try input.requireText(name)
    let scalars = text.scalars
    let kept = length - end.count
    guard kept >= 0, leeway >= 0 else { throw .evaluation("\(name) is given a length that is too small") }
    if scalars.count - leeway <= length { return .string(text) }
    var head = text.with(Text(scalars: scalars.prefix(kept)).utf8)
    if !(values[1]?.isTrue ?? false) { head = head.split(" ", limit: 1, fromEnd: true).first ?? head }
    return .string(head.adding(end))
  }
}
