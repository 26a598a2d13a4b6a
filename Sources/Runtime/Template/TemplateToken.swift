/// The smallest part of a template that has a meaning.
struct TemplateToken {
  enum Kind: Equatable {
    case data(Text)
    case variableBegin, variableEnd, blockBegin, blockEnd
    case name(String)
    case string(Text)
    case integer(Int)
    case float(Double)
    case symbol(Symbol)
    case end
  }

  /// Operators and punctuation.
  enum Symbol: String {
    case power = "**"
    case floorDivide = "//"
    case equal = "=="
    case notEqual = "!="
    case lessOrEqual = "<="
    case greaterOrEqual = ">="
    case add = "+"
    case subtract = "-"
    case divide = "/"
    case multiply = "*"
    case modulo = "%"
    case concatenate = "~"
    case leftBracket = "["
    case rightBracket = "]"
    case leftParenthesis = "("
    case rightParenthesis = ")"
    case leftBrace = "{"
    case rightBrace = "}"
    case greater = ">"
    case less = "<"
    case assign = "="
    case dot = "."
    case colon = ":"
    case pipe = "|"
    case comma = ","
    case semicolon = ";"

    /// The symbol that closes this one.
    var closing: Symbol? {
      switch self {
      case .leftBracket: .rightBracket
      case .leftParenthesis: .rightParenthesis
      case .leftBrace: .rightBrace
      default: nil
      }
    }

    var isClosing: Bool { self == .rightBracket || self == .rightParenthesis || self == .rightBrace }
  }

  let kind: Kind
  /// The first byte in the source.
  let offset: Int

  /// How an error names the token.
  var description: String {
    switch kind {
    case .data: "text"
    case .variableBegin: "'{{'"
    case .variableEnd: "'}}'"
    case .blockBegin: "'{%'"
    case .blockEnd: "'%}'"
    case .name(let name): "'\(name)'"
    case .string: "a string"
    case .integer(let value): "\(value)"
    case .float(let value): "\(value)"
    case .symbol(let symbol): "'\(symbol.rawValue)'"
    case .end: "the end of the template"
    }
  }
}
