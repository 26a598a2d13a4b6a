/// Something that a template can call.
enum TemplateFunction {
  case builtin(Builtin)
  /// A method of a string, list, dictionary or loop, with the value it belongs to.
  case method(BoundMethod)
  case macro(Closure)
  case cycler(Cycler)
  case joiner(Joiner)
  /// The `next`, `reset` of a cycler.
  case cyclerMethod(Cycler, String)

  var depth: Int {
    switch self {
    case .method(let method): method.depth
    case .cycler(let cycler), .cyclerMethod(let cycler, _): cycler.depth
    case .builtin, .macro, .joiner: 0
    }
  }
}

/// The functions that every template has.
enum Builtin: String, CaseIterable {
  case range, dict, namespace, joiner, cycler
  case raiseException = "raise_exception"
  case now = "strftime_now"
}

final class BoundMethod {
  let receiver: Value
  let name: String
  let depth: Int

  init(_ receiver: Value, _ name: String) throws(TemplateProblem) {
    self.receiver = receiver
    self.name = name
    depth = try Value.depth(above: [receiver])
  }
}

/// A macro and the variables around its definition.
final class Closure {
  let macro: Macro
  let scope: Scope

  init(_ macro: Macro, _ scope: Scope) {
    self.macro = macro
    self.scope = scope
  }
}

/// Goes round a list of values.
final class Cycler {
  let values: [Value]
  let depth: Int
  var position = 0

  init(_ values: [Value]) throws(TemplateProblem) {
    self.values = values
    depth = try Value.depth(above: values)
  }

  var current: Value { values.isEmpty ? .undefined("the cycler is empty") : values[position] }

  func next() -> Value {
    defer { position = values.isEmpty ? 0 : (position + 1) % values.count }
    return current
  }
}

/// Gives a separator at every call but the first.
final class Joiner {
  private let separator: Text
  private var isUsed = false

  init(_ separator: Text) { self.separator = separator }

  func next() -> Text {
    defer { isUsed = true }
    return isUsed ? separator : ""
  }
}

/// The variables of a block, by the numbers of their names.
final class Scope {
  var values: [Int: Value] = [:]
  private(set) var parent: Scope?

  init(parent: Scope?) { self.parent = parent }

  /// The variable in this block or one around it. O(blocks around).
  subscript(id: Int) -> Value? {
    var scope: Scope? = self
    while let current = scope {
      if let value = current.values[id] { return value }
      scope = current.parent
    }
    return nil
  }

  /// Lets go of all values, which may refer back to this scope.
  func clear() {
    values = [:]
    parent = nil
  }
}

/// The variable `loop`.
final class LoopState {
  let count: Int
  let depth: Int
  private var items: [Value]
  private var lastChanged: [Value]?
  /// The statement and scope to run again by calling a recursive loop.
  private(set) var recursion: (loop: ForLoop, scope: Scope)?
  var index = 0

  init(items: [Value], depth: Int, recursion: (loop: ForLoop, scope: Scope)?) {
    count = items.count
    self.items = items
    self.depth = depth
    self.recursion = recursion
  }

  /// Lets go of everything when the loop is over, so that kept loops do not form chains.
  func finish() {
    items = []
    lastChanged = nil
    recursion = nil
  }

  /// The attribute called `name`, or nil; methods are looked up elsewhere.
  func attribute(_ name: String) -> Value? {
    switch name {
    case "index": .integer(index + 1)
    case "index0": .integer(index)
    case "revindex": .integer(count - index)
    case "revindex0": .integer(count - index - 1)
    case "first": .bool(index == 0)
    case "last": .bool(index == count - 1)
    case "length": .integer(count)
    case "depth": .integer(depth + 1)
    case "depth0": .integer(depth)
    case "previtem": item(index - 1) ?? .undefined("there is no previous item")
    case "nextitem": item(index + 1) ?? .undefined("there is no next item")
    default: nil
    }
  }

  private func item(_ index: Int) -> Value? { items.indices.contains(index) ? items[index] : nil }

  /// Whether the values differ from those of the last call.
  func changed(_ values: [Value], _ budget: TemplateBudget) throws(TemplateProblem) -> Bool {
    if let last = lastChanged, try last.equals(values, budget) { return false }
    lastChanged = values
    return true
  }
}
