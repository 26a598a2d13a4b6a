/// A value that a template is given.
public enum TemplateValue: Sendable, Equatable {
  case none
  case bool(Bool)
  case integer(Int)
  case float(Double)
  case string(String)
  case list([TemplateValue])
  case dictionary(TemplateDictionary)
}

/// A dictionary that keeps its order, which templates can see.
public struct TemplateDictionary: Sendable, Equatable {
  /// One key with its value.
  public struct Entry: Sendable, Equatable {
    /// The key.
    public var key: String
    /// The value.
    public var value: TemplateValue

    /// A key with its value.
    public init(key: String, value: TemplateValue) {
      self.key = key
      self.value = value
    }
  }

  /// In order; where a key occurs twice the last one counts.
  public var entries: [Entry]

  /// A dictionary of these entries.
  public init(_ entries: [Entry] = []) { self.entries = entries }

  /// The value of a key. O(n).
  public subscript(key: String) -> TemplateValue? { entries.last { $0.key == key }?.value }
}

extension TemplateDictionary: ExpressibleByDictionaryLiteral {
  /// A dictionary in the order of the literal.
  public init(dictionaryLiteral elements: (String, TemplateValue)...) {
    self.init(elements.map { Entry(key: $0, value: $1) })
  }
}

extension TemplateValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
  ExpressibleByNilLiteral
{
  /// A string.
  public init(stringLiteral value: String) { self = .string(value) }
  /// A whole number.
  public init(integerLiteral value: Int) { self = .integer(value) }
  /// True or false.
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  /// A number.
  public init(floatLiteral value: Double) { self = .float(value) }
  /// A list.
  public init(arrayLiteral elements: TemplateValue...) { self = .list(elements) }
  /// A dictionary in the order of the literal.
  public init(dictionaryLiteral elements: (String, TemplateValue)...) {
    self = .dictionary(TemplateDictionary(elements.map { TemplateDictionary.Entry(key: $0, value: $1) }))
  }
  /// `none`.
  public init(nilLiteral: ()) { self = .none }
}

extension Value {
  /// The value as a template holds it. O(n).
  ///
  /// - Throws: where lists nest more than `TemplateLimits.valueDepth` deep.
  init(_ value: TemplateValue, depth: Int = 0) throws(TemplateProblem) {
    guard depth <= TemplateLimits.valueDepth else { throw .limit(.valueDepth) }
    switch value {
    case .none: self = .none
    case .bool(let bool): self = .bool(bool)
    case .integer(let integer): self = .integer(integer)
    case .float(let float): self = .float(float)
    case .string(let string): self = .text(string)
    case .list(let elements):
      var values: [Value] = []
      values.reserveCapacity(elements.count)
      for element in elements { values.append(try Value(element, depth: depth + 1)) }
      self = try .list(values)
    case .dictionary(let dictionary):
      var entries: [(key: Value, value: Value)] = []
      for entry in dictionary.entries {
        entries.append((key: .text(entry.key), value: try Value(entry.value, depth: depth + 1)))
      }
      self = .dictionary(try Mapping(entries))
    }
  }
}
