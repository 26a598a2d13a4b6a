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
  /// The words of the query that it holds, in the query's order.
  public var matchedTerms: [String] = []

  /// Where to look it up: `notes.md:12`, or `report.pdf:page 3`.
  public var source: String {
    page.map { "\(path):page \($0)" } ?? "\(path):\(lines.lowerBound)"
  }
}

extension Passage {
  static let selection = """
    SELECT chunks.*, files.shown_path FROM chunks JOIN files ON files.id = chunks.file_id
    """

  init(row: Row) {
    id = row["id"]
    path = row["shown_path"]
    title = row["title"]
    ordinal = row["ordinal"]
    let first: Int = row["first_line"]
    lines = first...max(first, row["last_line"])
    page = row["page"]
    text = row["text"]
  }
}
