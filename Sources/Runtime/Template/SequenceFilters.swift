// Filters on lists and dictionaries.
extension FilterCall {
  func sequenceFilter() throws(TemplateProblem) -> Value {
    switch filter {
    case .first: return try first()
    case .last: return try last()
    case .join: return .string(try joined())
    case .list:
      try none()
      return try .list(try elements())
    case .reverse: return try reversed()
    case .items: return try items()
    case .sort: return try sorted()
    case .dictsort: return try sortedItems()
    case .unique: return try unique()
    case .min, .max: return try extreme()
    case .sum: return try sum()
    case .batch: return try batched()
    case .slice: return try sliced()
    default:
      let attribute = try arguments.bound("name", to: name, required: 1)[0]?.requireText(name) ?? ""
      return try input.member(attribute)
        ?? .undefined("'\(attribute.string)' is undefined in a \(input.typeName)")
    }
  }

  private func first() throws(TemplateProblem) -> Value {
    try none()
    let missing = Value.undefined("there is no first element")
    switch input {
    case .generator(let generator): return generator.next() ?? missing
    case .list(let elements), .tuple(let elements): return elements.values.first ?? missing
    default: return try elements().first ?? missing
    }
  }

  private func last() throws(TemplateProblem) -> Value {
    try none()
    let missing = Value.undefined("there is no last element")
    switch input {
    case .generator: throw .evaluation("\(name) cannot walk a generator backwards")
    case .list(let elements), .tuple(let elements): return elements.values.last ?? missing
    default: return try elements().last ?? missing
    }
  }

  private func reversed() throws(TemplateProblem) -> Value {
    try none()
    guard case .string(let text) = input else { return try .generator(try elements().reversed()) }
    try budget.spend(bytes: text.utf8.count)
    return .string(text.with(Text(scalars: text.scalars.reversed()).utf8))
  }

  private func items() throws(TemplateProblem) -> Value {
    try none()
    if input.isUndefined { return try .generator([]) }
    guard case .dictionary(let mapping) = input else {
      throw .evaluation("\(name) needs a dict, not a \(input.typeName)")
    }
    try budget.spend(mapping.keys.count)
    return try .generator(try mapping.pairs())
  }

  private func joined() throws(TemplateProblem) -> Text {
    let values = try arguments.bound("d", "attribute", to: name)
    let separator =
      try values[0].map { value throws(TemplateProblem) in try Printer.text(value, budget) } ?? ""
    let path = try AttributePath(values[1] ?? .none)
    var result = Text(utf8: [])
    for (index, element) in try elements().enumerated() {
      let text = try Printer.text(try path.value(of: element, default: nil, budget), budget)
      if index > 0 { result.append(separator) }
      try budget.spend(bytes: text.utf8.count + separator.utf8.count)
      result.append(text)
      guard result.utf8.count <= budget.textBytes else { throw .limit(.textBytes) }
    }
    return result
  }

  private func batched() throws(TemplateProblem) -> Value {
    let values = try arguments.bound("linecount", "fill_with", to: name, required: 1)
    let size = try values[0]?.requireInteger(name) ?? 1
    guard size > 0 else { throw .evaluation("\(name) needs a positive size") }
    let elements = try elements()
    var batches: [Value] = []
    for start in stride(from: 0, to: elements.count, by: size) {
      var batch = Array(elements[start...].prefix(size))
      if let fill = values[1], !fill.isNone, batch.count < size {
        try budget.spend(size - batch.count)
        batch += Array(repeating: fill, count: size - batch.count)
      }
      batches.append(try .list(batch))
    }
    return try .generator(batches)
  }

  private func sliced() throws(TemplateProblem) -> Value {
    let values = try arguments.bound("slices", "fill_with", to: name, required: 1)
    let count = try values[0]?.requireInteger(name) ?? 1
    guard count > 0 else { throw .evaluation("\(name) needs a positive number of slices") }
    try budget.spend(count)
    let elements = try elements()
    let (size, extra) = elements.count.quotientAndRemainder(dividingBy: count)
    var slices: [Value] = []
    var start = 0
    for number in 0..<count {
      let length = size + (number < extra ? 1 : 0)
      var slice = Array(elements[start..<start + length])
      if let fill = values[1], !fill.isNone, number >= extra { slice.append(fill) }
      slices.append(try .list(slice))
      start += length
    }
    return try .generator(slices)
  }
}

// Filters that compare elements.
extension FilterCall {
  /// What an element is compared by; letter case does not count unless asked for.
  private func key(_ element: Value, _ path: AttributePath, _ isCaseSensitive: Bool) throws(TemplateProblem)
    -> Value
  {
    let value = try path.value(of: element, default: nil, budget)
    guard !isCaseSensitive, case .string(let text) = value else { return value }
    try budget.spend(bytes: text.utf8.count)
    return .string(text.lowercased)
  }

  private func sorted() throws(TemplateProblem) -> Value {
    let values = try arguments.bound("reverse", "case_sensitive", "attribute", to: name)
    var paths = [try AttributePath(values[2] ?? .none)]
    if case .string(let text)? = values[2] {
      paths = []
      for part in text.split(",", limit: .max, fromEnd: false) {
        paths.append(try AttributePath(.string(part)))
      }
    }
    var keyed: [(key: [Value], element: Value)] = []
    for element in try elements() {
      var keys: [Value] = []
      for path in paths { keys.append(try key(element, path, values[1]?.isTrue ?? false)) }
      keyed.append((key: keys, element: element))
    }
    return try .list(try ordered(keyed, isReversed: values[0]?.isTrue ?? false))
  }

  private func ordered(
    _ keyed: [(key: [Value], element: Value)], isReversed: Bool
  ) throws(TemplateProblem) -> [Value] {
    let sorted = try keyed.sortedStably(budget) { left, right throws(TemplateProblem) in
      let order = try left.key.order(right.key, budget)
      return isReversed ? order > 0 : order < 0
    }
    return sorted.map(\.element)
  }

  private func sortedItems() throws(TemplateProblem) -> Value {
    let values = try arguments.bound("case_sensitive", "by", "reverse", to: name)
    guard case .dictionary(let mapping) = input else {
      throw .evaluation("\(name) needs a dict, not a \(input.typeName)")
    }
    let by = try values[1]?.requireText(name).string ?? "key"
    guard by == "key" || by == "value" else { throw .evaluation("\(name) sorts by 'key' or 'value'") }
    let path = try AttributePath(.integer(by == "key" ? 0 : 1))
    var keyed: [(key: [Value], element: Value)] = []
    for pair in try mapping.pairs() {
      keyed.append((key: [try key(pair, path, values[0]?.isTrue ?? false)], element: pair))
    }
    return try .list(try ordered(keyed, isReversed: values[2]?.isTrue ?? false))
  }

  private func unique() throws(TemplateProblem) -> Value {
    let values = try arguments.bound("case_sensitive", "attribute", to: name)
    let path = try AttributePath(values[1] ?? .none)
    var seen: Set<MappingKey> = []
    var result: [Value] = []
    for element in try elements() {
      let key = try MappingKey(try key(element, path, values[0]?.isTrue ?? false))
      if seen.insert(key).inserted { result.append(element) }
    }
    return try .generator(result)
  }

  private func extreme() throws(TemplateProblem) -> Value {
    let values = try arguments.bound("case_sensitive", "attribute", to: name)
    let path = try AttributePath(values[1] ?? .none)
    var best: (key: Value, element: Value)?
    for element in try elements() {
      let key = try key(element, path, values[0]?.isTrue ?? false)
      if let current = best {
        let order = try key.order(current.key, budget)
        if filter == .min ? order < 0 : order > 0 { best = (key, element) }
      } else {
        best = (key, element)
      }
    }
    return best?.element ?? .undefined("there is no element to choose from")
  }

  private func sum() throws(TemplateProblem) -> Value {
    let values = try arguments.bound("attribute", "start", to: name)
    let path = try AttributePath(values[0] ?? .none)
    var sum = values[1] ?? .integer(0)
    for element in try elements() {
      sum = try Arithmetic.add.apply(sum, try path.value(of: element, default: nil, budget), budget)
    }
    return sum
  }
}
