// What `value.name` and `value[item]` give.
extension Value {
  /// `value.name`: an attribute or method, else the element of a dictionary, else undefined.
  func attribute(_ name: Text) throws(TemplateProblem) -> Value {
    try requireDefined()
    if let member = try member(name) { return member }
    if case .dictionary(let mapping) = self, let value = mapping[name] { return value }
    return .undefined("'\(name.string)' is undefined in a \(typeName)")
  }

  /// An attribute or method that the type itself has.
  func member(_ name: Text) throws(TemplateProblem) -> Value? {
    switch self {
    case .dictionary: return try method(MappingMethod(rawValue: name.string)?.rawValue)
    case .string: return try method(TextMethod(rawValue: name.string)?.rawValue)
    case .list, .tuple: return try method(["count", "index", "copy"].first { $0 == name.string })
    case .namespace(let namespace): return namespace.attributes[name]
    case .loop(let loop):
      if let value = loop.attribute(name.string) { return value }
      return try method(["cycle", "changed"].first { $0 == name.string })
    case .function(let function): return try function.attribute(name.string)
    default: return nil
    }
  }

  private func method(_ name: String?) throws(TemplateProblem) -> Value? {
    guard let name else { return nil }
    return .function(.method(try BoundMethod(self, name)))
  }

  /// `value[item]`: an element, else the attribute of that name, else undefined. O(n) for strings.
  func item(_ item: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Value {
    try requireDefined()
    if let element = try element(item, budget) { return element }
    if case .string(let name) = item, let member = try member(name) { return member }
    return .undefined(
      "there is no element \(try Printer.representation(item, budget).string) in a \(typeName)")
  }

  private func element(_ item: Value, _ budget: TemplateBudget) throws(TemplateProblem) -> Value? {
    if case .dictionary(let mapping) = self {
      guard let key = try? MappingKey(item) else { return nil }
      return mapping[key]
    }
    guard let index = item.integer else { return nil }
    switch self {
    case .list(let elements), .tuple(let elements): return elements.values.element(index)
    case .range(let range):
      let place = index < 0 ? index + range.count : index
      return (0..<range.count).contains(place) ? .integer(range[place]) : nil
    case .string(let text):
      try budget.spend(bytes: text.utf8.count)
      return text.scalars.element(index).map { .string(text.with(Array(String($0).utf8))) }
    default: return nil
    }
  }

  /// `value[start:end:step]`. O(n).
  func slice(_ start: Value?, _ end: Value?, _ step: Value?, _ budget: TemplateBudget) throws(TemplateProblem)
    -> Value
  {
    try requireDefined()
    guard let length = isSliceable ? count : nil else {
      return .undefined("a \(typeName) cannot be sliced")
    }
    let bounds = try SliceBounds(start, end, step, count: length)
    try budget.spend(bounds.count)
    switch self {
    case .list(let elements): return try .list(bounds.indices.map { elements.values[$0] })
    case .tuple(let elements): return try .tuple(bounds.indices.map { elements.values[$0] })
    case .string(let text): return .string(try text.slice(bounds, budget))
    case .range(let range):
      let start = bounds.count > 0 ? range[bounds.start] : range.start
      return .range(NumberRange(start: start, step: range.step &* bounds.step, count: bounds.count))
    default: return .undefined("a \(typeName) cannot be sliced")
    }
  }

  private var isSliceable: Bool {
    switch self {
    case .list, .tuple, .string, .range: true
    default: false
    }
  }
}

extension Text {
  func slice(_ bounds: SliceBounds, _ budget: TemplateBudget) throws(TemplateProblem) -> Text {
    try budget.spend(bytes: utf8.count)
    let scalars = string.unicodeScalars
    if bounds.step == 1 {
      return with(Array(Substring(scalars.dropFirst(bounds.start).prefix(bounds.count)).utf8))
    }
    let all = Array(scalars)
    return with(Text(scalars: bounds.indices.map { all[$0] }).utf8)
  }
}

extension Array {
  /// The element at a Python index, where negative ones count from the end.
  func element(_ index: Int) -> Element? {
    let place = index < 0 ? index + count : index
    return indices.contains(place) ? self[place] : nil
  }
}

/// The methods of a dictionary that templates can call.
enum MappingMethod: String {
  case get, items, keys, values, copy
}

extension TemplateFunction {
  func attribute(_ name: String) throws(TemplateProblem) -> Value? {
    switch self {
    case .macro(let closure): return try closure.macro.attribute(name)
    case .cycler(let cycler):
      if name == "current" { return cycler.current }
      return name == "next" || name == "reset" ? .function(.cyclerMethod(cycler, name)) : nil
    default: return nil
    }
  }
}

extension Macro {
  func attribute(_ name: String) throws(TemplateProblem) -> Value? {
    switch name {
    case "name": return .text(symbol.name)
    case "arguments": return try .tuple(parameters.map { .text($0.symbol.name) })
    case "caller": return .bool(usesCaller)
    case "catch_varargs": return .bool(usesVarargs)
    case "catch_kwargs": return .bool(usesKwargs)
    default: return nil
    }
  }
}
