import DuetTerminal
import Foundation

/// Prints one JSON value: keys in snake case and sorted, on several lines only before a terminal.
func printJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.keyEncodingStrategy = .convertToSnakeCase
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  if StandardStream.output.isTerminal { encoder.outputFormatting.insert(.prettyPrinted) }
  try say(String(decoding: try encoder.encode(value), as: UTF8.self))
}

/// A value that is written as `null` when there is none, where Swift leaves the key out.
struct Nullable<Value: Encodable>: Encodable {
  let value: Value?
  init(_ value: Value?) { self.value = value }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    guard let value else { return try container.encodeNil() }
    try container.encode(value)
  }
}

extension Nullable<Double> {
  /// JSON has no way to write infinity.
  init(finite value: Double?) { self.init(value.flatMap { $0.isFinite ? $0 : nil }) }
}
