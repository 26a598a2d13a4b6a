/// A value while a template runs, with the behaviour of the Python object that Jinja would hold.
enum Value {
  /// Missing; holds what an error says about it.
  case undefined(String)
  case none
  case bool(Bool)
  case integer(Int)
  case float(Double)
  case string(Text)
  case list(Elements)
  case tuple(Elements)
  case dictionary(Mapping)
  case range(NumberRange)
  /// The keys, values or items of a dictionary.
  case view(ViewKind, Elements)
  case generator(Generator)
  case namespace(Namespace)
  case loop(LoopState)
  case function(TemplateFunction)

  enum ViewKind: String { case keys = "dict_keys", values = "dict_values", items = "dict_items" }
}

/// Elements of a list, never changed, with the levels of lists inside of it.
struct Elements {
  let values: [Value]
  let depth: Int

  /// - Complexity: O(n).
  init(_ values: [Value]) throws(TemplateProblem) {
    depth = try Value.depth(above: values)
    self.values = values
  }
}

/// Python's `range`.
struct NumberRange: Equatable {
  let start: Int
  let step: Int
  let count: Int

  /// The element at `index`, which is below `count`; the bounds were checked for overflow.
  subscript(index: Int) -> Int { start &+ step &* index }

  var values: [Value] { (0..<count).map { .integer(self[$0]) } }
}

/// What a filter yields one by one in Jinja: it can be walked through once.
final class Generator {
  private let values: [Value]
  private var position = 0
  let depth: Int

  init(_ values: [Value]) throws(TemplateProblem) {
    self.values = values
    depth = try Value.depth(above: values)
  }

  func next() -> Value? {
    guard position < values.count else { return nil }
    defer { position += 1 }
    return values[position]
  }

  func rest() -> [Value] {
    defer { position = values.count }
    return Array(values[position...])
  }
}

/// The one value that a template can change.
final class Namespace {
  var keys: [Text] = []
  var attributes: [Text: Value] = [:]

  func set(_ key: Text, _ value: Value) {
    if attributes.updateValue(value, forKey: key) == nil { keys.append(key) }
  }
}

/// A dictionary in insertion order, never changed.
final class Mapping {
  let keys: [Value]
  let values: [Value]
  let depth: Int
  private let index: [MappingKey: Int]

  /// Later values replace earlier ones of the same key, which keeps its place. O(n).
  init(_ entries: [(key: Value, value: Value)]) throws(TemplateProblem) {
    var keys: [Value] = []
    var values: [Value] = []
    var index: [MappingKey: Int] = [:]
    keys.reserveCapacity(entries.count)
    values.reserveCapacity(entries.count)
    index.reserveCapacity(entries.count)
    for (key, value) in entries {
      let hashed = try MappingKey(key)
      if let place = index[hashed] {
        values[place] = value
      } else {
        index[hashed] = keys.count
        keys.append(key)
        values.append(value)
      }
    }
    depth = max(try Value.depth(above: values), try Value.depth(above: keys))
    self.keys = keys
    self.values = values
    self.index = index
  }

  subscript(text: Text) -> Value? { index[.text(text)].map { values[$0] } }
  subscript(key: MappingKey) -> Value? { index[key].map { values[$0] } }

  var items: [(key: Value, value: Value)] { zip(keys, values).map { (key: $0, value: $1) } }

  func pairs() throws(TemplateProblem) -> [Value] {
    var pairs: [Value] = []
    pairs.reserveCapacity(keys.count)
    for (key, value) in zip(keys, values) { pairs.append(.tuple(try Elements([key, value]))) }
    return pairs
  }
}

/// A value as a key: numbers of equal value are one key, whatever their type.
enum MappingKey: Hashable {
  case none
  case integer(Int)
  case float(Double)
  case text(Text)
  case tuple([MappingKey])

  init(_ value: Value) throws(TemplateProblem) {
    if case .tuple(let elements) = value {
      var keys: [MappingKey] = []
      for element in elements.values { keys.append(try MappingKey(scalar: element)) }
      self = .tuple(keys)
    } else {
      try self.init(scalar: value)
    }
  }

  private init(scalar value: Value) throws(TemplateProblem) {
    switch value {
    case .none: self = .none
    case .bool(let bool): self = .integer(bool ? 1 : 0)
    case .integer(let integer): self = .integer(integer)
    case .float(let float): self = Int(exactly: float).map { .integer($0) } ?? .float(float)
    case .string(let text): self = .text(text)
    default: throw .evaluation("a \(value.typeName) cannot be a key")
    }
  }
}

extension Value {
  /// Levels of containers; what a namespace holds does not count, since it is freed on its own.
  var depth: Int {
    switch self {
    case .list(let elements), .tuple(let elements), .view(_, let elements): elements.depth
    case .dictionary(let mapping): mapping.depth
    case .generator(let generator): generator.depth
    case .function(let function): function.depth
    default: 0
    }
  }

  static func depth(above values: [Value]) throws(TemplateProblem) -> Int {
    var depth = 0
    for value in values { depth = max(depth, value.depth) }
    guard depth < TemplateLimits.valueDepth else { throw .limit(.valueDepth) }
    return depth + 1
  }

  /// Python's name of the type.
  var typeName: String {
    switch self {
    case .undefined: "undefined value"
    case .none: "NoneType"
    case .bool: "bool"
    case .integer: "int"
    case .float: "float"
    case .string: "str"
    case .list: "list"
    case .tuple: "tuple"
    case .dictionary: "dict"
    case .range: "range"
    case .view(let kind, _): kind.rawValue
    case .generator: "generator"
    case .namespace: "namespace"
    case .loop: "loop"
    case .function: "function"
    }
  }

  /// Whether the value counts as true.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let bool): bool
    case .integer(let integer): integer != 0
    case .float(let float): float != 0
    case .string(let text): !text.isEmpty
    case .list(let elements), .tuple(let elements), .view(_, let elements): !elements.values.isEmpty
    case .dictionary(let mapping): !mapping.keys.isEmpty
    case .range(let range): range.count > 0
    case .loop(let loop): loop.count > 0
    case .generator, .namespace, .function: true
    }
  }

  var isUndefined: Bool {
    if case .undefined = self { true } else { false }
  }

  var isNone: Bool {
    if case .none = self { true } else { false }
  }

  /// The value as a number without fraction, where Python takes it as one.
  var integer: Int? {
    switch self {
    case .integer(let integer): integer
    case .bool(let bool): bool ? 1 : 0
    default: nil
    }
  }

  /// The value as a number.
  var number: Double? {
    if case .float(let float) = self { float } else { integer.map(Double.init) }
  }

  /// Fails where the value is missing.
  func requireDefined() throws(TemplateProblem) {
    if case .undefined(let what) = self { throw .evaluation(what) }
  }

  /// The number of elements, or nil where there is none.
  var count: Int? {
    switch self {
    case .undefined: 0
    case .string(let text): text.count
    case .list(let elements), .tuple(let elements), .view(_, let elements): elements.values.count
    case .dictionary(let mapping): mapping.keys.count
    case .range(let range): range.count
    case .loop(let loop): loop.count
    default: nil
    }
  }

  /// What a loop over the value yields; a generator is used up. O(n).
  func elements() throws(TemplateProblem) -> [Value] {
    switch self {
    case .undefined: return []
    case .string(let text):
      return text.string.unicodeScalars.map {
        .string(Text(utf8: Array(String($0).utf8), isMarkup: text.isMarkup))
      }
    case .list(let elements), .tuple(let elements), .view(_, let elements): return elements.values
    case .dictionary(let mapping): return mapping.keys
    case .range(let range): return range.values
    case .generator(let generator): return generator.rest()
    default: throw .evaluation("a \(typeName) cannot be looped over")
    }
  }

  var isIterable: Bool {
    switch self {
    case .undefined, .string, .list, .tuple, .view, .dictionary, .range, .generator, .loop: true
    default: false
    }
  }
}

extension Value {
  static func list(_ values: [Value]) throws(TemplateProblem) -> Value { .list(try Elements(values)) }
  static func tuple(_ values: [Value]) throws(TemplateProblem) -> Value { .tuple(try Elements(values)) }
  static func generator(_ values: [Value]) throws(TemplateProblem) -> Value {
    .generator(try Generator(values))
  }
  static func text(_ string: String) -> Value { .string(Text(string)) }
}
