/// The filters of Jinja that templates can use
/// (jinja.palletsprojects.com/en/stable/templates, "List of Builtin Filters").
enum TemplateFilter: String, CaseIterable {
  case abs, attr, batch, capitalize, center, `default`, dictsort, escape, first, float, forceescape, format,
    indent
  case int, items, join, last, length, list, lower, map, max, min, reject, rejectattr, replace, reverse,
    round, safe
  case select, selectattr, slice, sort, string, sum, title, tojson, trim, truncate, unique, upper, wordcount

  /// Filters that Jinja has beyond these.
  static let unsupported: Set<String> = [
    "filesizeformat", "groupby", "pprint", "random", "striptags", "urlencode", "urlize", "wordwrap",
    "xmlattr",
  ]

  init?(name: String) {
    switch name {
    case "d": self = .default
    case "e": self = .escape
    case "count": self = .length
    default: self.init(rawValue: name)
    }
  }
}

/// Applies one filter.
struct FilterCall {
  let filter: TemplateFilter
  let input: Value
  let arguments: CallArguments
  let budget: TemplateBudget

  var name: String { "the filter '\(filter.rawValue)'" }

  func value() throws(TemplateProblem) -> Value {
    try budget.spend()
    switch filter {
    case .default: return try defaulted()
    case .safe, .escape, .forceescape, .string, .lower, .upper, .capitalize, .title, .trim, .center, .replace,
      .indent,
      .truncate, .format, .tojson, .wordcount, .length:
      return try textFilter()
    case .abs, .int, .float, .round: return try numberFilter()
    case .map, .select, .reject, .selectattr, .rejectattr: return try applyingFilter()
    default: return try sequenceFilter()
    }
  }

  private func defaulted() throws(TemplateProblem) -> Value {
    let values = try arguments.bound("default_value", "boolean", to: name)
    let replaces = input.isUndefined || (values[1]?.isTrue ?? false && !input.isTrue)
    return replaces ? values[0] ?? .string("") : input
  }

  func none() throws(TemplateProblem) { _ = try arguments.bound(to: name) }

  func elements() throws(TemplateProblem) -> [Value] {
    let elements = try input.elements()
    try budget.spend(elements.count)
    return elements
  }
}

// Filters that apply another filter or test to every element.
extension FilterCall {
  private func applyingFilter() throws(TemplateProblem) -> Value {
    guard input.isTrue else { return try .generator([]) }
    switch filter {
    case .map: return try .generator(try mapped())
    case .select, .reject: return try .generator(try selected(attribute: nil, arguments.positional[...]))
    default:
      guard let attribute = arguments.positional.first else {
        throw .evaluation("\(name) needs an attribute")
      }
      return try .generator(try selected(attribute: attribute, arguments.positional.dropFirst()))
    }
  }

  private func mapped() throws(TemplateProblem) -> [Value] {
    var result: [Value] = []
    if arguments.positional.isEmpty,
      let attribute = arguments.keywords.first(where: { $0.name == "attribute" })
    {
      let path = try AttributePath(attribute.value)
      let fallback = arguments.keywords.first { $0.name == "default" }?.value
      for element in try elements() { result.append(try path.value(of: element, default: fallback, budget)) }
      return result
    }
    guard case .string(let filterName)? = arguments.positional.first else {
      throw .evaluation("\(name) needs a filter or an attribute")
    }
    guard let filter = TemplateFilter(name: filterName.string) else {
      throw .unsupported("the filter '\(filterName.string)'")
    }
    let rest = CallArguments(
      positional: Array(arguments.positional.dropFirst()), keywords: arguments.keywords)
    for element in try elements() {
      result.append(try FilterCall(filter: filter, input: element, arguments: rest, budget: budget).value())
    }
    return result
  }

  private func selected(attribute: Value?, _ rest: ArraySlice<Value>) throws(TemplateProblem) -> [Value] {
    let path = try attribute.map { value throws(TemplateProblem) in try AttributePath(value) }
    let test = try rest.first.map { value throws(TemplateProblem) in try named(value) }
    let testArguments = CallArguments(positional: Array(rest.dropFirst()), keywords: arguments.keywords)
    let keeps = filter == .select || filter == .selectattr
    var result: [Value] = []
    for element in try elements() {
      let value = try path?.value(of: element, default: nil, budget) ?? element
      let holds = try test?.holds(for: value, testArguments, budget) ?? value.isTrue
      if holds == keeps { result.append(element) }
    }
    return result
  }

  private func named(_ value: Value) throws(TemplateProblem) -> ValueTest {
    let testName = try value.requireText(name).string
    guard let test = ValueTest(name: testName) else { throw .unsupported("the test '\(testName)'") }
    return test
  }
}

/// `a.b.0` as the filters' `attribute` argument has it.
struct AttributePath {
  private let parts: [Value]

  init(_ attribute: Value) throws(TemplateProblem) {
    guard case .string(let text) = attribute else {
      parts = attribute.isNone ? [] : [attribute]
      return
    }
    parts = text.split(".", limit: .max, fromEnd: false).map { part in
      let isNumber = part.isAll { $0.isDigit }
      return (isNumber ? Int(part.string).map { .integer($0) } : nil) ?? .string(part)
    }
  }

  func value(of element: Value, default fallback: Value?, _ budget: TemplateBudget) throws(TemplateProblem)
    -> Value
  {
    var value = element
    for part in parts {
      value = try value.item(part, budget)
      if let fallback, !fallback.isNone, value.isUndefined { value = fallback }
    }
    return value
  }
}

// Filters on numbers.
extension FilterCall {
  private func numberFilter() throws(TemplateProblem) -> Value {
    switch filter {
    case .abs: return try absolute()
    case .int: return try whole()
    case .float:
      let fallback = try arguments.bound("default", to: name)[0]
      return float(input).map { .float($0) } ?? fallback ?? .float(0)
    default: return try rounded()
    }
  }

  private func absolute() throws(TemplateProblem) -> Value {
    try none()
    if let integer = input.integer {
      guard integer != .min else { throw .evaluation("a number is too large for 64 bits") }
      return .integer(Swift.abs(integer))
    }
    guard let number = input.number else {
      throw .evaluation("\(name) needs a number, not a \(input.typeName)")
    }
    return .float(number.magnitude)
  }

  private func whole() throws(TemplateProblem) -> Value {
    let values = try arguments.bound("default", "base", to: name)
    if let integer = input.integer { return .integer(integer) }
    let base = try values[1]?.requireInteger(name) ?? 10
    guard (2...36).contains(base) else { throw .unsupported("the base \(base)") }
    if case .string(let text) = input, let integer = Self.integer(text, base) { return .integer(integer) }
    if let float = float(input), let integer = Int(exactly: float.rounded(.towardZero)) {
      return .integer(integer)
    }
    return values[0] ?? .integer(0)
  }

  private static func integer(_ text: Text, _ base: Int) -> Int? {
    var digits = plain(text.trimmed())
    let prefix = base == 16 ? "0x" : base == 8 ? "0o" : base == 2 ? "0b" : nil
    if let prefix, digits.lowercased().hasPrefix(prefix) { digits = String(digits.dropFirst(2)) }
    return Int(digits, radix: base)
  }

  /// Digits without the `_` between them; other uses of `_` are left, and so are no number.
  private static func plain(_ text: Text) -> String {
    var result: [UInt8] = []
    for (index, byte) in text.utf8.enumerated() {
      let isBetween =
        index > 0 && text.utf8.indices.contains(index + 1)
        && [index - 1, index + 1].allSatisfy { Unicode.Scalar(text.utf8[$0]).properties.numericType != nil }
      if byte != UInt8(ascii: "_") || !isBetween { result.append(byte) }
    }
    return String(decoding: result, as: UTF8.self)
  }

  private func float(_ value: Value) -> Double? {
    guard case .string(let text) = value else { return value.number }
    let digits = Self.plain(text.trimmed())
    return digits.lowercased().contains("x") ? nil : Double(digits)
  }

  private func rounded() throws(TemplateProblem) -> Value {
    let values = try arguments.bound("precision", "method", to: name)
    let precision = try values[0]?.requireInteger(name) ?? 0
    let method = try values[1]?.requireText(name).string ?? "common"
    guard let number = input.number else {
      throw .evaluation("\(name) needs a number, not a \(input.typeName)")
    }
    guard (0...300).contains(precision) else { throw .unsupported("rounding to \(precision) digits") }
    if method == "common" { return rounded(number, precision) }
    guard method == "ceil" || method == "floor" else {
      throw .evaluation("\(name) has no method '\(method)'")
    }
    let scale = (0..<precision).reduce(1.0) { product, _ in product * 10 }
    let scaled = number * scale
    return .float((method == "ceil" ? scaled.rounded(.up) : scaled.rounded(.down)) / scale)
  }

  private func rounded(_ number: Double, _ precision: Int) -> Value {
    if let integer = input.integer { return .integer(integer) }
    let digits = Double(number.fixed(precision)) ?? number
    return .float(number.sign == .minus ? -digits : digits)
  }
}
