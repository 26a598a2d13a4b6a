import GRDB

/// A part of a document, found in the index.
public struct Passage: Identifiable, Equatable, Sendable {
  /// Stays the same while the file's content does; never used for another passage.
  public let id: Int64
  /// The file's path as it was given or found.
  public let path: String
  /// The document's title, or file name, and the headings above the passage: `Guide > Set-up`.
  public let title: String
  /// The passage's place among those of its file, from 0.
  public let ordinal: Int
  /// 1-based lines of the file; paragraphs in a DOCX file.
  public let lines: ClosedRange<Int>
  /// 1-based; nil for formats without pages.
  public let page: Int?
  /// As in the document.
  public let text: String
  /// How well it matches a query, higher is better; 0 without a query.
  public var score = 0.0
  /// The cosine of its meaning and the query's; nil where no encoder has compared them.
  public var similarity: Double?
  /// The words of the query that it holds, in the query's order.
  public var matchedTerms: [String] = []

  /// Where to look it up: `notes.md:12`, or `report.pdf:page 3`.
  public var source: String {
    page.map { "\(path):page \($0)" } ?? "\(path):\(lines.lowerBound)"
  }
}

extension Passage {
  static let selection = """
    SELECT chunks.id, shown_path, title, ordinal, first_line, last_line, page, text
    FROM chunks JOIN files ON files.id = chunks.file_id
    """

  init(row: Row) throws {
    id = try row.value("id")
    path = try row.value("shown_path")
    title = try row.value("title")
    ordinal = try row.value("ordinal")
    let first: Int = try row.value("first_line")
    lines = first...max(first, try row.value("last_line"))
    page = try row.optionalValue("page")
    text = try row.value("text")
  }
}
