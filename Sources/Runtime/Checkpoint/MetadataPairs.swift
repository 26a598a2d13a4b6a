/// Metadata in the making: a key that is set again keeps its place.
struct MetadataPairs {
  private(set) var keys: [String] = []
  private(set) var values: [String: GGUFValue] = [:]

  mutating func set(_ key: String, _ value: GGUFValue) {
    if values.updateValue(value, forKey: key) == nil { keys.append(key) }
  }

  /// A whole number of 32 bits without sign; nothing where nil.
  mutating func set(_ key: String, _ value: Int?) {
    if let value { set(key, .integer(value, .uint32)) }
  }

  /// A single-precision number; nothing where nil.
  mutating func set(_ key: String, _ value: Double?) {
    if let value { set(key, .float(Double(Float(value)), .float32)) }
  }

  mutating func set(_ key: String, _ value: Bool?) {
    if let value { set(key, .bool(value)) }
  }

  mutating func set(_ key: String, _ value: String?) {
    if let value { set(key, .string(value)) }
  }
}
