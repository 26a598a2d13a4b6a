/// The arguments of a call, a filter or a test.
struct CallArguments {
  struct Keyword {
    let name: String
    let value: Value
  }

  var positional: [Value] = []
  var keywords: [Keyword] = []

  /// The arguments in the order of `names`, nil where one is left out.
  func bound(_ names: String..., to function: String, required: Int = 0) throws(TemplateProblem) -> [Value?] {
    guard positional.count <= names.count else {
      throw .evaluation("\(function) takes \(names.count) arguments, not \(positional.count)")
    }
    var values: [Value?] = positional + Array(repeating: nil, count: names.count - positional.count)
    for keyword in keywords {
      guard let place = names.firstIndex(of: keyword.name), values[place] == nil else {
        throw .evaluation("\(function) does not take the argument '\(keyword.name)'")
      }
      values[place] = keyword.value
    }
    for (name, value) in zip(names, values).prefix(required) where value == nil {
      throw .evaluation("\(function) needs the argument '\(name)'")
    }
    return values
  }
}

extension Value {
  /// A whole number, which an argument of `function` must be.
  func requireInteger(_ function: String) throws(TemplateProblem) -> Int {
    guard let integer else { throw .evaluation("\(function) needs a whole number, not a \(typeName)") }
    return integer
  }

  func requireText(_ function: String) throws(TemplateProblem) -> Text {
    guard case .string(let text) = self else {
      try requireDefined()
      throw .evaluation("\(function) needs a str, not a \(typeName)")
    }
    return text
  }
}
