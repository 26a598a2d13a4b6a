/// Markdown as plain text. Small models answer fences and headings with more of them.
package enum PlainText {
  /// The text without fences, heading marks and the addresses of links. O(n).
  package static func of(_ markdown: String) -> String {
    markdown.split(separator: "\n", omittingEmptySubsequences: false)
      .filter { !$0.drop(while: \.isWhitespace).hasPrefix("```") && !isRule($0) }
      .map { withoutLinks(withoutMarks($0)) }
      .joined(separator: "\n")
  }

  /// A line of dashes and bars, as below the head of a table.
  private static func isRule(_ line: Substring) -> Bool {
    line.count > 2 && line.allSatisfy { "|-: ".contains($0) } && line.contains("-")
  }

  private static func withoutMarks(_ line: Substring) -> Substring {
    guard line.hasPrefix("#") else { return line }
    return line.drop { $0 == "#" }.drop { $0 == " " }
  }

  /// `[text](address)` becomes `text`.
  private static func withoutLinks(_ line: Substring) -> String {
    var result = ""
    var rest = line
    while let middle = rest.firstRange(of: "]("), let start = rest[..<middle.lowerBound].lastIndex(of: "["),
      let end = rest[middle.upperBound...].firstIndex(of: ")")
    {
      result += rest[..<start]
      result += rest[rest.index(after: start)..<middle.lowerBound]
      rest = rest[rest.index(after: end)...]
    }
    return result + rest
  }
}
