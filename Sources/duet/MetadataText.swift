import DuetRuntime
import DuetTerminal

/// Metadata values for people.
enum MetadataText {
  private static let columnLimit = 80

  /// One line: long text is cut, arrays show their first elements and their count.
  static func short(_ value: GGUFValue) -> String {
    switch value {
    case .integer(let number, _): "\(number)"
    case .float(let number, let type): type == .float32 ? "\(Float(number))" : "\(number)"
    case .bool(let flag): flag ? "true" : "false"
    case .string(let text): cut(text)
    case .array(let array):
      cut("[\(elements(array, 6).joined(separator: ", "))\(array.count > 6 ? ", …" : "")]")
        + " (\(Figures.grouped(array.count)) \(array.elementType))"
    }
  }

  /// The first elements. Truth values have no preview of their own.
  private static func elements(_ array: GGUFArray, _ limit: Int) -> [String] {
    let items = array.preview(limit)
    return array.elementType == .string ? items.map { "\"\(cut($0, 20))\"" } : items
  }

  private static func cut(_ text: String, _ limit: Int = columnLimit) -> String {
    let start = String(text.unicodeScalars.prefix(4 * limit))
    let line = String(printable(start).map { $0.isNewline ? "⏎" : $0 == "\t" ? " " : $0 })
    let isWhole = start.utf8.count == text.utf8.count && columns(line) <= limit
    return isWhole ? line : String(line.prefix(limit - 1)) + "…"
  }
}

/// A metadata value as JSON: arrays as their type, count and first elements.
struct MetadataRecord: Encodable {
  let value: GGUFValue

  private struct ArrayRecord: Encodable {
    let type: String
    let count: Int
    let first: [String]
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch value {
    case .integer(let number, _): try container.encode(number)
    case .float(let number, .float32) where number.isFinite: try container.encode(Float(number))
    case .float(let number, _): try container.encode(Nullable(finite: number))
    case .bool(let flag): try container.encode(flag)
    case .string(let text): try container.encode(text)
    case .array(let array):
      try container.encode(
        ArrayRecord(type: "\(array.elementType)", count: array.count, first: array.preview(8)))
    }
  }
}
