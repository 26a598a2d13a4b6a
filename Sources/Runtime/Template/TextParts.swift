// Taking strings apart and putting them together, as Python's `str` does.
extension Text {
  /// The code points from `start` to `end` of a Python slice, and the number of the first one.
  func part(_ start: Value?, _ end: Value?, _ name: String) throws(TemplateProblem) -> (
    text: Text, start: Int
  ) {
    let isWhole = (start?.isNone ?? true) && (end?.isNone ?? true)
    guard !isWhole else { return (self, 0) }
    let bounds = try SliceBounds(start, end, nil, count: count)
    let scalars = string.unicodeScalars.dropFirst(bounds.start).prefix(bounds.count)
    return (with(Array(Substring(scalars).utf8)), bounds.start)
  }

  /// Without the given code points, or white space, at its ends.
  func trimmed(characters: Value?, start: Bool, end: Bool, _ name: String) throws(TemplateProblem) -> Text {
    guard let characters, !characters.isNone else { return trimmed(start: start, end: end) }
    let set = Set(try characters.requireText(name).string.unicodeScalars)
    return trimmed(start: start, end: end) { set.contains($0) }
  }

  func split(_ separator: Text, limit: Int, fromEnd: Bool) -> [Text] {
    let places =
      fromEnd ? indicesFromEnd(of: separator, limit: limit).reversed() : indices(of: separator, limit: limit)
    var parts: [Text] = []
    var start = 0
    for place in places {
      parts.append(slice(start..<place))
      start = place + separator.utf8.count
    }
    parts.append(slice(start..<utf8.count))
    return parts
  }

  /// Words between white space; after `limit` splits the rest stays as it is.
  func splitAtSpace(limit: Int, fromEnd: Bool) -> [Text] {
    let scalars = fromEnd ? scalars.reversed() : scalars
    var parts: [Text] = []
    var index = 0
    while true {
      while index < scalars.count, scalars[index].isPythonSpace { index += 1 }
      guard index < scalars.count else { break }
      let start = index
      let isRest = parts.count >= limit
      while index < scalars.count, isRest || !scalars[index].isPythonSpace { index += 1 }
      let word = scalars[start..<index]
      parts.append(with(Text(scalars: fromEnd ? word.reversed() : Array(word)).utf8))
    }
    return fromEnd ? parts.reversed() : parts
  }

  func lines(keepsEnds: Bool = false) -> [Text] {
    let scalars = scalars
    var lines: [Text] = []
    var start = 0
    var index = 0
    while index < scalars.count {
      defer { index += 1 }
      guard scalars[index].isLineBoundary else { continue }
      let end = index
      if scalars[index] == "\r", index + 1 < scalars.count, scalars[index + 1] == "\n" { index += 1 }
      lines.append(with(Text(scalars: scalars[start..<(keepsEnds ? index + 1 : end)]).utf8))
      start = index + 1
    }
    if start < scalars.count { lines.append(with(Text(scalars: scalars[start...]).utf8)) }
    return lines
  }

  /// Replaces the first `limit` occurrences; an empty `old` stands before every code point. O(n).
  func replacing(_ old: Text, with new: Text, limit: Int, _ budget: TemplateBudget) throws(TemplateProblem)
    -> Text
  {
    try budget.spend(bytes: utf8.count)
    let places = old.isEmpty ? boundaries(limit) : indices(of: old, limit: limit)
    guard !places.isEmpty else { return self }
    let (added, overflow) = places.count.multipliedReportingOverflow(by: new.utf8.count)
    guard !overflow else { throw .limit(.textBytes) }
    try budget.spend(bytes: utf8.count + added)
    var result = with([])
    result.utf8.reserveCapacity(utf8.count + added - places.count * old.utf8.count)
    var start = 0
    for place in places {
      result.utf8.append(contentsOf: utf8[start..<place])
      result.append(new)
      start = place + old.utf8.count
    }
    result.utf8.append(contentsOf: utf8[start...])
    return result
  }

  /// The bytes at which code points start, and the end.
  private func boundaries(_ limit: Int) -> [Int] {
    let starts = utf8.indices.filter { utf8[$0] & 0xC0 != 0x80 } + [utf8.count]
    return Array(starts.prefix(limit))
  }

  func centered(_ width: Int, _ fill: Text, _ budget: TemplateBudget) throws(TemplateProblem) -> Text {
    let count = count
    let missing = width > count ? width - count : 0
    let left = missing / 2 + (missing & width & 1)
    let (before, after) = (try fill.repeated(left, budget), try fill.repeated(missing - left, budget))
    return with(before.utf8 + utf8 + after.utf8)
  }
}

/// The elements that a Python slice takes, for a sequence of known length.
struct SliceBounds {
  let start: Int
  let step: Int
  let count: Int

  init(_ start: Value?, _ end: Value?, _ step: Value?, count length: Int) throws(TemplateProblem) {
    func whole(_ value: Value?) throws(TemplateProblem) -> Int? {
      guard let value, !value.isNone else { return nil }
      return try value.requireInteger("a slice")
    }
    let step = try whole(step) ?? 1
    guard step != 0, step != .min else { throw .evaluation("a slice cannot have the step \(step)") }
    func clamped(_ value: Int?, _ missing: Int) -> Int {
      guard let value else { return missing }
      let index = value < 0 ? value + length : value
      return step > 0 ? min(max(index, 0), length) : min(max(index, -1), length - 1)
    }
    let first = clamped(try whole(start), step > 0 ? 0 : length - 1)
    let last = clamped(try whole(end), step > 0 ? length : -1)
    self.start = first
    self.step = step
    let distance = step > 0 ? last - first : first - last
    count = distance > 0 ? (distance - 1) / abs(step) + 1 : 0
  }

  var indices: [Int] { (0..<count).map { start + $0 * step } }
}
