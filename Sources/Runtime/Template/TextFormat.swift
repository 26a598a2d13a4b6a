// `'…'.format(…)` and `'…' % …`.
extension Text {
  /// Fills the fields `{}`, `{0}`, `{name}`, `{name.attribute[item]!r:format}`.
  func braceFormatted(_ arguments: CallArguments, _ budget: TemplateBudget) throws(TemplateProblem) -> Text {
    guard !isMarkup else { throw .unsupported("'format' of markup") }
    var formatter = BraceFormatter(arguments: arguments, budget: budget, rest: scalars[...])
    return try formatter.text()
  }

  /// Fills conversions such as `%s`, `%5d`, `%.2f` and `%(name)s`.
  func percentFormatted(_ argument: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Text {
    guard !isMarkup else { throw .unsupported("'%' of markup") }
    var formatter = PercentFormatter(argument: argument, budget: budget, rest: scalars[...])
    return try formatter.text()
  }
}

private struct BraceFormatter {
  let arguments: CallArguments
  let budget: TemplateBudget
  var rest: ArraySlice<Unicode.Scalar>
  var result = Text(utf8: [])
  var next = 0

  init(arguments: CallArguments, budget: TemplateBudget, rest: ArraySlice<Unicode.Scalar>) {
    self.arguments = arguments
    self.budget = budget
    self.rest = rest
  }

  mutating func text() throws(TemplateProblem) -> Text {
    while let scalar = rest.popFirst() {
      if scalar == "{", rest.first != "{" {
        try append(try field())
      } else if scalar == "{" || scalar == "}" {
        guard rest.popFirst() == scalar else { throw .evaluation("a format has a single '}'") }
        result.append(scalar)
      } else {
        result.append(scalar)
      }
    }
    return result
  }

  private mutating func append(_ part: Text) throws(TemplateProblem) {
    try budget.spend(bytes: part.utf8.count)
    result.append(part)
    guard result.utf8.count <= budget.textBytes else { throw .limit(.textBytes) }
  }

  private mutating func field() throws(TemplateProblem) -> Text {
    guard let end = rest.firstIndex(of: "}") else { throw .evaluation("a format has a single '{'") }
    let inside = rest[..<end]
    rest = rest[(end + 1)...]
    guard !inside.contains("{") else { throw .unsupported("a format within a format") }
    let colon = inside.firstIndex(of: ":")
    var name = inside[..<(colon ?? end)]
    let specification = colon.map { inside[($0 + 1)...] } ?? []
    let conversion = name.firstIndex(of: "!").map { name[($0 + 1)...] }
    if let conversion { name = name[..<(conversion.startIndex - 1)] }
    var value = try argument(name)
    if let conversion { value = .string(try convert(value, conversion)) }
    return try NumberFormat(specification: Text(scalars: specification)).text(value, budget)
  }

  private func convert(_ value: Value, _ conversion: ArraySlice<Unicode.Scalar>) throws(TemplateProblem)
    -> Text
  {
    switch Array(conversion) {
    case ["r"]: return try Printer.representation(value, budget)
    case ["s"]: return try Printer.text(value, budget)
    default: throw .unsupported("the conversion '!\(Text(scalars: conversion).string)'")
    }
  }

  private mutating func argument(_ name: ArraySlice<Unicode.Scalar>) throws(TemplateProblem) -> Value {
    let head = name.prefix { $0 != "." && $0 != "[" }
    var value = try argument(Text(scalars: head).string)
    var path = name[head.endIndex...]
    while let mark = path.popFirst() {
      if mark == "." {
        let attribute = path.prefix { $0 != "." && $0 != "[" }
        path = path[attribute.endIndex...]
        value = try value.attribute(Text(scalars: attribute))
      } else {
        let item = path.prefix { $0 != "]" }
        path = path[item.endIndex...].dropFirst()
        let key = Text(scalars: item)
        value = try value.item(Int(key.string).map { .integer($0) } ?? .string(key), budget)
      }
    }
    return value
  }

  private mutating func argument(_ name: String) throws(TemplateProblem) -> Value {
    if let keyword = arguments.keywords.first(where: { $0.name == name }) { return keyword.value }
    let index = name.isEmpty ? next : Int(name)
    if name.isEmpty { next += 1 }
    guard let index, arguments.positional.indices.contains(index) else {
      throw .evaluation("a format has no value for '{\(name)}'")
    }
    return arguments.positional[index]
  }
}

private struct PercentFormatter {
  let argument: Value
  let budget: TemplateBudget
  var rest: ArraySlice<Unicode.Scalar>
  var result = Text(utf8: [])
  var next = 0

  init(argument: Value, budget: TemplateBudget, rest: ArraySlice<Unicode.Scalar>) {
    self.argument = argument
    self.budget = budget
    self.rest = rest
  }

  private var values: [Value] {
    if case .tuple(let elements) = argument { elements.values } else { [argument] }
  }

  mutating func text() throws(TemplateProblem) -> Text {
    while let scalar = rest.popFirst() {
      if scalar == "%" {
        try append(try conversion())
      } else {
        result.append(scalar)
      }
    }
    if case .dictionary = argument { return result }
    guard next == values.count else { throw .evaluation("a format has fewer fields than values") }
    return result
  }

  private mutating func append(_ part: Text) throws(TemplateProblem) {
    try budget.spend(bytes: part.utf8.count)
    result.append(part)
    guard result.utf8.count <= budget.textBytes else { throw .limit(.textBytes) }
  }

  private mutating func conversion() throws(TemplateProblem) -> Text {
    let key = rest.first == "(" ? name() : nil
    var format = try flags()
    guard let type = rest.popFirst() else { throw .evaluation("a format ends in '%'") }
    if type == "%" { return "%" }
    let value = try value(key)
    switch type {
    case "s": return try format.text(.string(try Printer.text(value, budget)), budget)
    case "r": return try format.text(.string(try Printer.representation(value, budget)), budget)
    case "d", "i", "u":
      format.type = "d"
      return try format.text(Self.truncated(value), budget)
    case "f", "F", "x", "X", "o":
      format.type = type
      return try format.text(value, budget)
    default: throw .unsupported("the conversion '%\(type)'")
    }
  }

  private static func truncated(_ value: Value) -> Value {
    guard case .float(let float) = value, let integer = Int(exactly: float.rounded(.towardZero)) else {
      return value
    }
    return .integer(integer)
  }

  private mutating func name() -> Text {
    let name = rest.dropFirst().prefix { $0 != ")" }
    rest = rest[name.endIndex...].dropFirst()
    return Text(scalars: name)
  }

  private mutating func flags() throws(TemplateProblem) -> NumberFormat {
    var format = NumberFormat()
    format.alignment = ">"
    while let flag = rest.first, "-+ 0#".unicodeScalars.contains(flag) {
      rest.removeFirst()
      switch flag {
      case "-": format.alignment = "<"
      case "0": if format.alignment == ">" { (format.fill, format.alignment) = ("0", "=") }
      case "#": format.isAlternate = true
      default: format.sign = flag
      }
    }
    if format.alignment == "<" { format.fill = " " }
    format.width = try NumberFormat.number(&rest) ?? 0
    if rest.first == "." {
      rest.removeFirst()
      format.precision = try NumberFormat.number(&rest) ?? 0
    }
    return format
  }

  private mutating func value(_ key: Text?) throws(TemplateProblem) -> Value {
    if let key {
      guard case .dictionary(let mapping) = argument, let value = mapping[key] else {
        throw .evaluation("a format has no value for '\(key.string)'")
      }
      return value
    }
    guard values.indices.contains(next) else { throw .evaluation("a format has more fields than values") }
    defer { next += 1 }
    return values[next]
  }
}
