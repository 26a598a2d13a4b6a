/// The passages that go into a prompt with a question, numbered as an answer cites them.
public struct DocumentContext: Sendable {
  /// A passage with its number.
  public struct Item: Sendable {
    /// From 1.
    public let number: Int
    /// The text with its place.
    public let passage: Passage

    /// `notes.md:12`, or `report.pdf:page 3`.
    public var source: String { passage.source }

    /// The passage as the prompt shows it: `[1] Guide > Set-up`, then its text.
    public var text: String { "[\(number)] \(passage.title)\n\(passage.text)" }

    /// The line that names the source below an answer: `[1] notes.md:12`.
    public var citation: String { "[\(number)] \(source)" }
  }

  /// In the order of the documents if they are whole, or else the best first.
  public let items: [Item]
  /// Whether the whole collection is in.
  public let isWhole: Bool
  /// Tokens of all items' texts, as counted by the caller.
  public let tokenCount: Int

  /// The items' texts with an empty line between them.
  public var text: String { items.map(\.text).joined(separator: "\n\n") }

  /// Bytes of UTF-8 per token that no text exceeds on average; beyond it nothing need be counted.
  private static let maximumBytesPerToken = 16

  /// Chooses what fits `budget`: everything if it does, or else the best passages for the question.
  ///
  /// - Parameters:
  ///   - collection: what is chosen from.
  ///   - question: plain words.
  ///   - budget: tokens that the texts may take together.
  ///   - limit: passages considered when not everything fits.
  ///   - tokenCount: counts the tokens of a text, as the model does.
  /// - Complexity: O(budget) texts counted.
  public init(
    _ collection: DocumentCollection, question: String, budget: Int, limit: Int = 16,
    tokenCount: (String) -> Int
  ) throws(LibraryError) {
    if try collection.textBytes() / Self.maximumBytesPerToken <= max(0, budget),
      let whole = Self.whole(try collection.allPassages(), budget: budget, tokenCount: tokenCount)
    {
      let passages = try collection.compared(whole.items.map(\.passage), with: question)
      let items = zip(whole.items, passages).map { Item(number: $0.number, passage: $1) }
      self.init(items: items, isWhole: true, tokenCount: whole.tokenCount)
      return
    }
    var items: [Item] = []
    var total = 0
    for passage in try collection.passages(matching: question, limit: limit) {
      let item = Item(number: items.count + 1, passage: passage)
      let count = Self.cost(item, tokenCount)
      guard count <= budget - total else { continue }
      total += count
      items.append(item)
    }
    self.init(items: items, isWhole: false, tokenCount: total)
  }

  private init(items: [Item], isWhole: Bool, tokenCount: Int) {
    self.items = items
    self.isWhole = isWhole
    self.tokenCount = tokenCount
  }

  /// All passages, or nil if they exceed the budget.
  private static func whole(
    _ passages: [Passage], budget: Int, tokenCount: (String) -> Int
  ) -> DocumentContext? {
    var total = 0
    var items: [Item] = []
    for passage in passages {
      let item = Item(number: items.count + 1, passage: passage)
      total += cost(item, tokenCount)
      guard total <= budget else { return nil }
      items.append(item)
    }
    return DocumentContext(items: items, isWhole: true, tokenCount: total)
  }

  /// Tokens of an item with the empty line behind it.
  private static func cost(_ item: Item, _ tokenCount: (String) -> Int) -> Int {
    max(0, tokenCount(item.text + "\n\n"))
  }
}
