/// The key-value pairs of a GGUF file, in the file's order, with typed look-ups.
public struct GGUFMetadata: Sendable {
  /// Where the pairs came from, for messages.
  public let path: String
  /// The keys in the order of the file.
  public let keys: [String]
  private let values: [String: GGUFValue]

  /// Collects pairs whose keys differ.
  init(path: String, keys: [String], values: [String: GGUFValue]) {
    self.path = path
    self.keys = keys
    self.values = values
  }

  /// The value of `key`, or nil.
  public subscript(key: String) -> GGUFValue? { values[key] }

  /// The text of `key`; nil when there is none.
  public func string(_ key: String) throws(GGUFError) -> String? {
    guard let value = values[key] else { return nil }
    guard case .string(let text) = value else {
      throw .wrongType(path: path, key: key, expected: "a string")
    }
    return text
  }

  /// The whole number of `key`; nil when there is none.
  public func integer(_ key: String) throws(GGUFError) -> Int? {
    guard let value = values[key] else { return nil }
    guard case .integer(let number, _) = value else {
      throw .wrongType(path: path, key: key, expected: "a whole number")
    }
    return number
  }

  /// The whole number of `key`, which must lie in `range`; nil when there is none.
  public func integer(_ key: String, in range: ClosedRange<Int>) throws(GGUFError) -> Int? {
    guard let number = try integer(key) else { return nil }
    guard range.contains(number) else {
      throw .invalid(
        path: path, field: key,
        problem: "is \(number), where \(range.lowerBound) to \(range.upperBound) is allowed")
    }
    return number
  }

  /// The finite number of `key`, whole or not; nil when there is none.
  public func number(_ key: String) throws(GGUFError) -> Double? {
    guard let value = values[key] else { return nil }
    switch value {
    case .float(let number, _) where number.isFinite: return number
    case .integer(let number, _): return Double(number)
    default: throw .wrongType(path: path, key: key, expected: "a finite number")
    }
  }

  /// The truth value of `key`; nil when there is none.
  public func bool(_ key: String) throws(GGUFError) -> Bool? {
    guard let value = values[key] else { return nil }
    guard case .bool(let flag) = value else {
      throw .wrongType(path: path, key: key, expected: "true or false")
    }
    return flag
  }

  /// The array of `key`, whose elements must be of one of `types`; nil when there is none.
  public func array(_ key: String, of types: Set<GGUFValueType>) throws(GGUFError) -> GGUFArray? {
    guard let value = values[key] else { return nil }
    guard case .array(let array) = value, types.contains(array.elementType) else {
      throw .wrongType(path: path, key: key, expected: "an array of another element type")
    }
    return array
  }

  /// What `value` holds, or an error that names the missing `key`.
  public func required<T>(_ key: String, _ value: T?) throws(GGUFError) -> T {
    guard let value else { throw .missing(path: path, key: key) }
    return value
  }
}
