// What follows a name or literal: attributes, items, calls, filters, tests.
extension TemplateParser {
  mutating func postfix() throws(TemplateError) -> Suffix? {
    let offset = current.offset
    switch current.kind {
    case .symbol(.dot): return try attribute(offset)
    case .symbol(.leftBracket): return Suffix(kind: try subscripted(), offset: offset)
    case .symbol(.leftParenthesis): return Suffix(kind: .call(try arguments()), offset: offset)
    default: return nil
    }
  }

  mutating func filterOrTest() throws(TemplateError) -> Suffix? {
    let offset = current.offset
    switch current.kind {
    case .symbol(.pipe): return try filter()
    case .name("is"): return try test()
    case .symbol(.leftParenthesis): return Suffix(kind: .call(try arguments()), offset: offset)
    default: return nil
    }
  }

  private mutating func attribute(_ offset: Int) throws(TemplateError) -> Suffix {
    advance()
    defer { advance() }
    switch current.kind {
    case .name(let name): return Suffix(kind: .attribute(Text(name)), offset: offset)
    case .integer(let value): return Suffix(kind: .item(.literal(.integer(value))), offset: offset)
    default: throw unexpected("a name or a number")
    }
  }

  private mutating func subscripted() throws(TemplateError) -> Suffix.Kind {
    advance()
    var items: [Expression] = []
    repeat {
      if isSymbol(.colon) { return try slice(from: nil, isFirst: items.isEmpty) }
      let item = try expression()
      if isSymbol(.colon) { return try slice(from: item, isFirst: items.isEmpty) }
      items.append(item)
    } while skip(.comma)
    try expect(.rightBracket)
    if items.count == 1, let item = items.first { return .item(item) }
    return .item(.tuple(items))
  }

  private mutating func slice(from start: Expression?, isFirst: Bool) throws(TemplateError) -> Suffix.Kind {
    try expect(.colon)
    let end = isSymbol(.colon) || isSymbol(.rightBracket) ? nil : try expression()
    let step = skip(.colon) && !isSymbol(.rightBracket) ? try expression() : nil
    guard isFirst, !isSymbol(.comma) else {
      throw .unsupported(source.position(current.offset), feature: "a slice among several subscripts")
    }
    try expect(.rightBracket)
    return .slice(start, end, step)
  }

  mutating func filter() throws(TemplateError) -> Suffix {
    advance()
    return try filterCall()
  }

  /// A filter's name and arguments.
  mutating func filterCall() throws(TemplateError) -> Suffix {
    let offset = current.offset
    let name = try dottedName()
    let arguments = isSymbol(.leftParenthesis) ? try arguments() : ArgumentList()
    if let filter = TemplateFilter(name: name) {
      return Suffix(kind: .filter(filter, arguments), offset: offset)
    }
    return try unknown("filter", name, isKnown: TemplateFilter.unsupported.contains(name), offset)
  }

  private mutating func dottedName() throws(TemplateError) -> String {
    var name = try expectName()
    while skip(.dot) { name += "." + (try expectName()) }
    return name
  }

  private mutating func test() throws(TemplateError) -> Suffix {
    advance()
    let negated = skipName("not")
    let offset = current.offset
    let name = try dottedName()
    let arguments = try testArguments()
    if let test = ValueTest(name: name) {
      return Suffix(kind: .test(test, arguments, negated: negated), offset: offset)
    }
    return try unknown("test", name, isKnown: false, offset)
  }

  private mutating func unknown(
    _ what: String, _ name: String, isKnown: Bool, _ offset: Int
  ) throws(TemplateError) -> Suffix {
    let feature = "the \(what) '\(name)'"
    let error = TemplateError.unsupported(source.position(offset), feature: feature)
    if isKnown { throw error }
    if !isConditional { unknownNames.append(error) }
    return Suffix(kind: .unknown(feature), offset: offset)
  }

  /// `(…)`, or one argument without parentheses, as in `is divisibleby 3`.
  private mutating func testArguments() throws(TemplateError) -> ArgumentList {
    switch current.kind {
    case .symbol(.leftParenthesis): return try arguments()
    case .name("else"), .name("or"), .name("and"): return ArgumentList()
    case .name("is"): throw syntax("tests cannot be chained with 'is'")
    case .name, .string, .integer, .float, .symbol(.leftBracket), .symbol(.leftBrace):
      let value = try nested { parser throws(TemplateError) in try parser.primary() }
      var suffixes: [Suffix] = []
      while let suffix = try postfix() { suffixes.append(suffix) }
      return ArgumentList(positional: [suffixes.isEmpty ? value : .postfix(value, suffixes)])
    default: return ArgumentList()
    }
  }

  private mutating func arguments() throws(TemplateError) -> ArgumentList {
    try expect(.leftParenthesis)
    var list = ArgumentList()
    while !isSymbol(.rightParenthesis) {
      try argument(&list)
      guard skip(.comma) else { break }
    }
    try expect(.rightParenthesis)
    return list
  }

  private mutating func argument(_ list: inout ArgumentList) throws(TemplateError) {
    let offset = current.offset
    let isKeyword = following.kind == .symbol(.assign)
    if skip(.multiply), list.spread == nil, list.keywordSpread == nil {
      list.spread = try expression()
    } else if skip(.power), list.keywordSpread == nil {
      list.keywordSpread = try expression()
    } else if case .name(let name) = current.kind, isKeyword, list.keywordSpread == nil {
      advance()
      advance()
      list.keywords.append(ArgumentList.Keyword(name: name, value: try expression()))
    } else if list.spread == nil, list.keywordSpread == nil, list.keywords.isEmpty {
      list.positional.append(try expression())
    } else {
      throw syntax("an argument follows one that must be last", at: offset)
    }
  }
}
