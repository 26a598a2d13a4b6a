/// An expression. Chains of one precedence are flat, so that only parentheses nest deeply.
indirect enum Expression: Sendable {
  case literal(Literal)
  case name(TemplateSymbol, at: Int)
  case list([Expression])
  case tuple([Expression])
  case dictionary([Entry], at: Int)
  case negative(Expression, at: Int)
  case positive(Expression, at: Int)
  case not(Expression)
  /// Operations from left to right.
  case arithmetic(Expression, [Operation])
  case concatenation([Expression], at: Int)
  /// `a < b < c` holds where each neighbouring pair compares so.
  case comparison(Expression, [Comparison])
  case all([Expression])
  case any([Expression])
  case conditional(condition: Expression, then: Expression, otherwise: Expression?)
  case postfix(Expression, [Suffix])

  struct Entry: Sendable {
    let key: Expression
    let value: Expression
  }

  struct Operation: Sendable {
    let operation: Arithmetic
    let operand: Expression
    let offset: Int
  }

  struct Comparison: Sendable {
    let relation: Relation
    let operand: Expression
    let offset: Int
  }
}

/// A constant of the template.
enum Literal: Sendable {
  case none
  case bool(Bool)
  case integer(Int)
  case float(Double)
  case string(Text)
}

enum Arithmetic: Sendable {
  case add, subtract, multiply, divide, floorDivide, modulo, power
}

enum Relation: Sendable {
  case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual, contained, notContained
}

/// A name of the template as a number, and what it is written as.
struct TemplateSymbol: Sendable {
  let id: Int
  let name: String
}

/// What follows an expression: `.name`, `[item]`, `[a:b:c]`, `(…)`, `|filter`, `is test`.
struct Suffix: Sendable {
  enum Kind: Sendable {
    case attribute(Text)
    case item(Expression)
    case slice(Expression?, Expression?, Expression?)
    case call(ArgumentList)
    case filter(TemplateFilter, ArgumentList)
    case test(ValueTest, ArgumentList, negated: Bool)
    /// A filter or test that Jinja does not have, inside of a branch; it fails when reached.
    case unknown(String)
  }

  let kind: Kind
  let offset: Int
}

struct ArgumentList: Sendable {
  struct Keyword: Sendable {
    let name: String
    let value: Expression
  }

  var positional: [Expression] = []
  var keywords: [Keyword] = []
  /// `*rest`
  var spread: Expression?
  /// `**rest`
  var keywordSpread: Expression?
}

/// What a template is made of.
indirect enum Statement: Sendable {
  case text(Text)
  case output(Expression, at: Int)
  case conditional([Branch], otherwise: [Statement])
  case loop(ForLoop)
  case assign(Target, Expression, at: Int)
  case assignBlock(Target, filters: [Suffix], body: [Statement], at: Int)
  case with([Binding], body: [Statement], at: Int)
  case macro(Macro)
  /// `{% call %}`: the body becomes the callee's `caller`.
  case call(Macro, Expression, at: Int)
  case filter([Suffix], body: [Statement], at: Int)
  /// `{% generation %}`, which only marks what the model says.
  case scope([Statement])
  case breakLoop
  case continueLoop

  struct Branch: Sendable {
    let condition: Expression
    let body: [Statement]
  }

  struct Binding: Sendable {
    let target: Target
    let value: Expression
  }
}

/// What a value can be assigned to.
indirect enum Target: Sendable {
  case name(TemplateSymbol)
  case attribute(TemplateSymbol, Text, at: Int)
  case tuple([Target])
}

/// `{% for target in items if condition recursive %}body{% else %}otherwise{% endfor %}`
struct ForLoop: Sendable {
  let target: Target
  let items: Expression
  let condition: Expression?
  let isRecursive: Bool
  let body: [Statement]
  let otherwise: [Statement]
  let offset: Int
}

/// A macro, or the body of a call block, whose name is then `caller`.
struct Macro: Sendable {
  struct Parameter: Sendable {
    let symbol: TemplateSymbol
    let defaultValue: Expression?
  }

  let symbol: TemplateSymbol
  let parameters: [Parameter]
  let body: [Statement]
  /// Special names that the body uses, which decides whether extra arguments are accepted.
  let usesCaller: Bool
  let usesVarargs: Bool
  let usesKwargs: Bool
}

/// The numbers of the names that occur in a template.
struct SymbolTable: Sendable {
  private(set) var ids: [String: Int] = [:]

  static let loop = TemplateSymbol(id: 0, name: "loop")
  static let caller = TemplateSymbol(id: 1, name: "caller")
  static let varargs = TemplateSymbol(id: 2, name: "varargs")
  static let kwargs = TemplateSymbol(id: 3, name: "kwargs")

  init() {
    for symbol in [Self.loop, Self.caller, Self.varargs, Self.kwargs] { ids[symbol.name] = symbol.id }
  }

  mutating func symbol(_ name: String) -> TemplateSymbol {
    if let id = ids[name] { return TemplateSymbol(id: id, name: name) }
    let id = ids.count
    ids[name] = id
    return TemplateSymbol(id: id, name: name)
  }
}
