/// How large the passages of an index are.
public struct ChunkOptions: Equatable, Sendable {
  /// Bytes of UTF-8 that a passage is filled up to; about 100 English words.
  public let targetBytes: Int
  /// Bytes that a passage exceeds only for a single word, and then at most fourfold.
  public let maximumBytes: Int

  /// Both are at least 64, and the maximum is no less than the target.
  public init(targetBytes: Int = 600, maximumBytes: Int = 1_000) {
    self.targetBytes = max(64, targetBytes)
    self.maximumBytes = max(64, targetBytes, maximumBytes)
  }

  /// Sections shorter than this share a passage with the next.
  var minimumBytes: Int { targetBytes / 4 }

  /// Changes whenever the same file would be cut differently, also by a change of the method.
  var fingerprint: String { "1:\(targetBytes):\(maximumBytes)" }
}

/// A part of a document small enough to be given to a model with others.
package struct Chunk: Equatable, Sendable {
  /// The headings it stands under, the highest first.
  package let headings: [String]
  /// As in the document.
  package let text: String
  /// 1-based lines of the file.
  package let lines: ClosedRange<Int>
  /// 1-based, for paged formats.
  package let page: Int?
}
