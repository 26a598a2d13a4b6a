import DuetDocuments
import Testing

@Suite struct RetrievalTests {
  private let folder: TemporaryFolder
  private let collection: DocumentCollection

  init() throws {
    folder = try TemporaryFolder()
    try folder.write("d/bees.md", "# Bees\n\nA hive holds forty thousand workers and one queen.")
    try folder.write("d/copy.md", "# Bees\n\nA hive holds forty thousand workers and one queen!")
    try folder.write("d/wasps.txt", "The wasps of the garden build the nest of paper. The end.")
    try folder.write("d/cafe.txt", "The Café in the Élysée serves the crêpes. NOT AND OR NEAR.")
    try folder.write("d/rain.txt", "The rain in the spring is the best.")
    collection = try DocumentLibrary(path: folder.file("index.sqlite")).add(paths: [folder.file("d")])
      .collection
  }

  private func names(_ question: String) throws -> [String] {
    try collection.passages(matching: question).map { String($0.path.split(separator: "/").last ?? "") }
  }

  @Test func theBestPassageComesFirstWithItsTerms() throws {
    let found = try collection.passages(matching: "Of what do wasps build a nest?")
    let best = try #require(found.first)
    #expect(best.source == folder.file("d/wasps.txt") + ":1")
    #expect(best.matchedTerms.contains("wasps") && best.matchedTerms.contains("nest"))
    #expect(best.score > 0)
    #expect(zip(found, found.dropFirst()).allSatisfy { $0.score >= $1.score })
  }

  @Test func formsAndAccentsOfWordsMatch() throws {
    #expect(try names("worker, hives") == ["bees.md"])
    #expect(try names("elysee crepe") == ["cafe.txt"])
  }

  @Test func nearCopiesAreGivenOnce() throws {
    #expect(try names("forty thousand queen").count == 1)
  }

  @Test func titlesAndHeadingsAreSearched() throws {
    #expect(try names("bees").first == "bees.md")
  }

  @Test(arguments: [
    "\"", "\"\"", "'", "hive\"", "NEAR(hive, 3)", "title: hive", "-hive", "hive*", "^hive", "(", ") OR (",
    "AND", "NOT",
    "a AND", "{title text}: hive", "hive + queen", "\0hive\0", "'; DROP TABLE chunks; --", "\u{301}", "🐝",
    "中文", "",
  ])
  func nothingInAQuestionIsAnOperator(question: String) throws {
    _ = try collection.passages(matching: question)
    if question.contains("hive") { #expect(try names(question).contains("bees.md")) }
  }

  @Test func aVeryLongQuestionIsAnswered() throws {
    let question = (0..<200_000).map { "word\($0)" }.joined(separator: " ")
    #expect(try names("wasps " + question) == ["wasps.txt"])
    #expect(try names(String(repeating: "w", count: 1_000_000)).isEmpty)
  }

  @Test func aQuestionOfCommonWordsAloneIsAnswered() throws {
    #expect(try !names("the").isEmpty)
  }

  @Test func wordsThatAreCommonAreLookedForTogether() throws {
    let filler = String(repeating: "filler text ", count: 14)
    let sections = (0..<20_000).map { number in
      let rest = number == 9_000 ? "alpha beta, and beta" : number < 3_000 ? "no more" : "only then beta"
      return "# Part \(number)\n\nHere is alpha, \(rest) \(filler)"
    }
    try folder.write("common/parts.md", sections.joined(separator: "\n\n"))
    let collection = try DocumentLibrary(path: folder.file("common.sqlite"))
      .add(paths: [folder.file("common")]).collection
    #expect(try collection.passageCount() == 20_000)
    let found = try collection.passages(matching: "alpha beta")
    #expect(found.count == 8 && found.allSatisfy { $0.text.contains("beta") })
    #expect(found.first?.title.hasSuffix("Part 9000") == true)
    #expect(try !collection.passages(matching: "alpha").isEmpty)
    #expect(try collection.passages(matching: "alpha beta 9000").first?.title.hasSuffix("Part 9000") == true)
    #expect(try !collection.passages(matching: "what is here").isEmpty)
  }

  @Test func whatFitsTheBudgetGoesInWholeAndInOrder() throws {
    let context = try DocumentContext(collection, question: "wasps", budget: 10_000) { $0.utf8.count }
    #expect(context.isWhole)
    #expect(context.items.map(\.number) == [1, 2, 3, 4, 5])
    let paths = context.items.map { $0.passage.path.split(separator: "/").last ?? "" }
    #expect(paths == ["bees.md", "cafe.txt", "copy.md", "rain.txt", "wasps.txt"])
    #expect(context.tokenCount == context.text.utf8.count + 2)
    #expect(context.items[0].text == "[1] Bees\n# Bees\n\nA hive holds forty thousand workers and one queen.")
  }

  @Test func aSmallBudgetTakesTheBestPassages() throws {
    let context = try DocumentContext(collection, question: "wasps nest paper", budget: 120) { $0.utf8.count }
    #expect(!context.isWhole)
    #expect(context.items.map(\.passage.path) == [folder.file("d/wasps.txt")])
    #expect(context.items.map(\.citation) == ["[1] \(folder.file("d/wasps.txt")):1"])
    #expect(context.tokenCount <= 120)
    #expect(try DocumentContext(collection, question: "wasps", budget: 0) { $0.utf8.count }.items.isEmpty)
    #expect(try DocumentContext(collection, question: "wasps", budget: -5) { $0.utf8.count }.items.isEmpty)
  }
}
