#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// How figures are written for people.
package enum Figures {
  /// A number with so many digits behind the point.
  package static func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<max(0, min(digits, 9)) { scale *= 10 }
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 9e18, digits > 0 else {
      return "\(value < 0 && scaled > 0 ? "-" : "")\(Int(scaled / scale))"
    }
    let whole = Int(scaled) / Int(scale), part = "\(Int(scaled) % Int(scale))"
    let zeros = String(repeating: "0", count: max(0, digits - part.count))
    return "\(value < 0 && scaled > 0 ? "-" : "")\(whole).\(zeros)\(part)"
  }

  /// About three digits: `0.042`, `3.14`, `27.2`, `512`.
  package static func short(_ value: Double) -> String {
    fixed(value, abs(value) >= 99.95 ? 0 : abs(value) >= 9.995 ? 1 : abs(value) >= 0.9995 ? 2 : 3)
  }

  /// Bytes in powers of 1,000: `98.4 MB`.
  package static func bytes(_ count: Int) -> String {
    var value = Double(count), unit = 0
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    while value >= 999.5, unit < units.count - 1 {
      value /= 1_000
      unit += 1
    }
    return unit == 0 ? "\(count) B" : "\(short(value)) \(units[unit])"
  }

  /// Whole numbers with their thousands parted: `134,515,008`.
  package static func grouped(_ count: Int) -> String {
    let digits = "\(count.magnitude)"
    var result = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { result += "," }
      result.append(digit)
    }
    return (count < 0 ? "-" : "") + result
  }

  /// A time to wait: `4 s`, `1:05`, `2:00:10`.
  package static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 3_600_000 else { return "?" }
    let whole = Int(max(0, seconds).rounded(.up))
    if whole < 60 { return "\(whole) s" }
    let tail = padded(whole % 60)
    return whole < 3_600 ? "\(whole / 60):\(tail)" : "\(whole / 3_600):\(padded(whole / 60 % 60)):\(tail)"
  }

  private static func padded(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}

/// Rows of cells under headings, in columns.
package struct Table: Sendable {
  /// Where the cells of a column stand.
  package enum Side: Sendable { case left, right }
  private let columnsOf: [(heading: String, side: Side)]
  package private(set) var rows: [[String]] = []

  package init(_ columns: [(heading: String, side: Side)]) { columnsOf = columns }

  /// Adds a row; missing cells are empty, cells beyond the headings are left out.
  package mutating func append(_ cells: [String]) {
    let missing = Array(repeating: "", count: max(0, columnsOf.count - cells.count))
    rows.append(Array((cells + missing).prefix(columnsOf.count)))
  }

  /// The table as lines, headings first. O(cells).
  package var lines: [String] {
    let headings = columnsOf.map(\.heading)
    let widths = columnsOf.indices.map { index in
      ([headings] + rows).map { columns($0[index]) }.max() ?? 0
    }
    return ([headings] + rows).map { cells in
      let padded = cells.indices.map { index in
        let space = String(repeating: " ", count: max(0, widths[index] - columns(cells[index])))
        return columnsOf[index].side == .left ? cells[index] + space : space + cells[index]
      }
      let line = padded.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
  }
}
