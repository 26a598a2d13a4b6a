import DuetDocuments
import Foundation
import Testing

/// Ranking by words and by meaning, with an encoder whose meanings are known.
@Suite struct HybridTests {
  /// Texts with one of the words of a group mean the same.
  private final class Meanings: TextEncoder {
    let name: String
    let dimensions = 3
    private let encoded = Counter()
    private static let groups = [["cat", "feline", "kitten"], ["share", "stock", "market"]]

    init(_ name: String = "meanings") { self.name = name }

    var count: Int { encoded.value }

    func vectors(of texts: [String]) -> [[Float]] {
      encoded.add(texts.count)
      return texts.map { text in
        let words = Set(text.lowercased().split { !$0.isLetter }.map(String.init))
        let place = Self.groups.firstIndex { !words.isDisjoint(with: $0) } ?? 2
        return (0..<3).map { $0 == place ? 1 : 0 }
      }
    }
  }

  private final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var count = 0
    var value: Int { lock.withLock { count } }
    func add(_ more: Int) { lock.withLock { count += more } }
  }

  private func library(_ folder: TemporaryFolder) throws -> DocumentLibrary {
    try folder.write("d/a.txt", "The kitten slept on the sofa.")
    try folder.write("d/b.txt", "The stock fell on Monday.")
    try folder.write("d/c.txt", "Bread is baked in the morning.")
    return try DocumentLibrary(path: folder.file("index.sqlite"))
  }

  @Test func `a passage is found by its meaning alone, and words still count`() throws {
    let folder = try TemporaryFolder(), encoder = Meanings()
    let library = try library(folder)
    let plain = try library.add(paths: [folder.file("d")]).collection
    let collection = plain.ranked(by: encoder)
    #expect(try plain.passages(matching: "feline").isEmpty)
    #expect(try collection.passages(matching: "bread").first?.path.hasSuffix("c.txt") == true)
    try collection.encodePassages()
    #expect(try collection.missingVectors() == 0)
    #expect(try collection.passages(matching: "feline").first?.path.hasSuffix("a.txt") == true)
    #expect(try collection.passages(matching: "market").first?.path.hasSuffix("b.txt") == true)
    #expect(try collection.passages(matching: "bread").first?.path.hasSuffix("c.txt") == true)
  }

  @Test func `only new passages are encoded, and vectors go with their passages`() throws {
    let folder = try TemporaryFolder(), encoder = Meanings()
    let library = try library(folder)
    try library.add(paths: [folder.file("d")]).collection.ranked(by: encoder).encodePassages()
    #expect(encoder.count == 3)
    try folder.write("d/d.txt", "Another kitten.")
    try folder.remove("d/b.txt")
    let collection = try library.add(paths: [folder.file("d")]).collection.ranked(by: encoder)
    #expect(try collection.missingVectors() == 1)
    try collection.encodePassages()
    #expect(encoder.count == 4)
    #expect(try collection.passages(matching: "market").allSatisfy { !$0.path.hasSuffix("b.txt") })
    // Vectors of another encoder are not compared with its own.
    #expect(try collection.ranked(by: Meanings("other")).missingVectors() == 3)
  }

  @Test func `encoding goes on where it was stopped`() async throws {
    let folder = try TemporaryFolder(), encoder = Meanings()
    for number in 0..<200 { try folder.write("d/\(number).txt", "Passage \(number) of a cat.") }
    let library = try DocumentLibrary(path: folder.file("index.sqlite"))
    let collection = try library.add(paths: [folder.file("d")]).collection.ranked(by: encoder)
    let task = Task {
      try collection.encodePassages { _, _ in unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    let missing = try collection.missingVectors()
    #expect(missing > 0 && missing < 200)
    try collection.encodePassages()
    #expect(try collection.missingVectors() == 0 && encoder.count == 200)
  }
}
