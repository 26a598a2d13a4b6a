import DuetDocuments
import Foundation
import Testing

@Suite struct LibraryTests {
  private let folder: TemporaryFolder
  private var index: String { folder.file("index.sqlite") }

  init() throws { folder = try TemporaryFolder() }

  private func counts(_ report: IndexReport) -> [Int] {
    [report.added, report.updated, report.unchanged, report.removed]
  }

  @Test func indexingIsIncremental() throws {
    try folder.write("d/a.md", "# Bees\n\nA hive holds forty thousand bees.")
    try folder.write("d/b.txt", "Wasps build nests of paper.")
    let library = try DocumentLibrary(path: index)
    let first = try library.add(paths: [folder.file("d")])
    #expect(counts(first) == [2, 0, 0, 0])
    let identifiers = try first.collection.allPassages().map(\.id)

    let second = try library.add(paths: [folder.file("d")])
    #expect(counts(second) == [0, 0, 2, 0])
    #expect(try second.collection.allPassages().map(\.id) == identifiers)

    try folder.write("d/a.md", "# Bees\n\nA hive holds many drones.")
    try folder.remove("d/b.txt")
    try folder.write("d/c.txt", "Hornets hunt.")
    let third = try library.add(paths: [folder.file("d")])
    #expect(counts(third) == [1, 1, 0, 1])
    #expect(try third.collection.passages(matching: "thousand wasps paper").isEmpty)
    #expect(try third.collection.passages(matching: "drones").map(\.path) == [folder.file("d/a.md")])
    let replaced = try third.collection.allPassages().map(\.id)
    #expect(Set(replaced).isDisjoint(with: identifiers))
  }

  @Test func anAddedFileTouchesOnlyItself() throws {
    let dates = [FileAttributeKey.modificationDate: Date(timeIntervalSince1970: 1_000_000)]
    for number in 0..<50 {
      let path = try folder.write("d/\(number).txt", "Words of number \(100 + number).")
      try FileManager.default.setAttributes(dates, ofItemAtPath: path)
    }
    let library = try DocumentLibrary(path: index)
    let before = try library.add(paths: [folder.file("d")]).collection.allPassages()
    // Were another file read again, its new words of the same length would be found.
    for number in 0..<50 {
      let path = try folder.write("d/\(number).txt", "Terms of number \(100 + number).")
      try FileManager.default.setAttributes(dates, ofItemAtPath: path)
    }
    try folder.write("d/new.txt", "Another text.")
    let report = try library.add(paths: [folder.file("d")])
    #expect(counts(report) == [1, 0, 50, 0])
    let after = try report.collection.allPassages()
    #expect(after.filter { !$0.path.hasSuffix("new.txt") } == before && after.count == 51)
  }

  @Test func aTouchedFileKeepsItsPassages() throws {
    let path = try folder.write("a.txt", "Same words.")
    let library = try DocumentLibrary(path: index)
    let before = try library.add(paths: [path]).collection.allPassages()
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: path)
    let report = try library.add(paths: [path])
    #expect(report.unchanged == 1)
    #expect(try report.collection.allPassages() == before)
  }

  @Test func foldersAreWalkedInOrderWithoutHiddenFilesAndLoops() throws {
    for name in [
      "d/b/2.txt", "d/a.txt", "d/.hidden.txt", "d/.git/x.txt", "d/node_modules/y.txt", "d/c.txt", "d/e.JPG",
    ] {
      try folder.write(name, "Words of \(name).")
    }
    try FileManager.default.createSymbolicLink(atPath: folder.file("d/b/loop"), withDestinationPath: "..")
    try FileManager.default.createSymbolicLink(atPath: folder.file("d/z.txt"), withDestinationPath: "a.txt")
    let report = try DocumentLibrary(path: index).add(paths: [folder.file("d")])
    let shown = try report.collection.allPassages().map { String($0.path.dropFirst(folder.path.count + 1)) }
    #expect(shown == ["d/a.txt", "d/b/2.txt", "d/c.txt"])
    #expect(report.skipped.isEmpty)
  }

  @Test func unreadableFilesAreNamedAndSkipped() throws {
    try folder.write("d/a.txt", "Good words.")
    try folder.write("d/b.txt", "zero\0byte")
    try folder.write("d/c.pdf", "%PDF-1.4")
    try folder.write("d/d.docx", "no archive")
    try folder.write("d/e.txt", String(repeating: "x ", count: 600))
    unsafe mkfifo(folder.file("d/f.txt"), 0o600)
    try FileManager.default.createSymbolicLink(atPath: folder.file("d/g.txt"), withDestinationPath: "g.txt")
    let library = try DocumentLibrary(path: index, maximumFileBytes: 1_000)
    let report = try library.add(paths: [folder.file("d"), folder.file("missing")])
    #expect(report.added == 1)
    let reasons = Dictionary(
      uniqueKeysWithValues: report.skipped.map { (String($0.path.suffix(6)), $0.reason) })
    #expect(reasons["/b.txt"] == .binary)
    #expect(reasons["/g.txt"] == .missing)
    #expect(reasons["/c.pdf"] == .noPDFExtractor)
    #expect(reasons["d.docx"] == .damaged(format: "ZIP", problem: "has no directory"))
    #expect(reasons["/e.txt"] == .tooLarge(bytes: 1_200, limit: 1_000))
    #expect(reasons["/f.txt"] == .notAFile)
    #expect(reasons["issing"] == .missing)
  }

  @Test func anEmptyCollectionSaysSo() throws {
    try folder.write("d/.hidden", "x")
    let report = try DocumentLibrary(path: index).add(paths: [folder.file("d")])
    #expect(report.isEmpty)
    #expect(try report.collection.passages(matching: "x").isEmpty)
    #expect(try DocumentContext(report.collection, question: "x", budget: 10) { $0.count }.items.isEmpty)
  }

  @Test func collectionsAreSeparate() throws {
    let one = try folder.write("one.txt", "Apples are red.")
    let two = try folder.write("two.txt", "Apples are green.")
    let library = try DocumentLibrary(path: index)
    let first = try library.add(paths: [one]).collection
    let both = try library.add(paths: [two, one]).collection
    #expect(try first.passages(matching: "apples").map(\.text) == ["Apples are red."])
    #expect(try both.passages(matching: "apples").count == 2)
    #expect(try library.collection(paths: [one, two])?.passageCount() == 2)
    try library.remove(paths: [one])
    #expect(try library.collection(paths: [one]) == nil)
    #expect(try both.passages(matching: "apples").count == 2)
  }

  @Test func otherChunkSizesIndexAgain() throws {
    let path = try folder.write("a.txt", String(repeating: "Some words here. ", count: 100))
    let count = try DocumentLibrary(path: index).add(paths: [path]).collection.passageCount()
    let options = ChunkOptions(targetBytes: 100, maximumBytes: 120)
    let report = try DocumentLibrary(path: index, options: options).add(paths: [path])
    #expect(report.added == 1)
    #expect(try report.collection.passageCount() > count)
  }

  @Test func cancellingKeepsWhatWasDoneAndTheRestFollows() async throws {
    for number in 0..<20 { try folder.write("d/\(number).txt", "Number \(number) of the files.") }
    let path = folder.file("d")
    let library = try DocumentLibrary(path: index)
    let task = Task {
      try library.add(paths: [path]) { progress in
        if progress.filesDone == 7 { unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }
      }
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    let report = try DocumentLibrary(path: index).add(paths: [path])
    #expect(counts(report) == [12, 0, 8, 0])
    #expect(try report.collection.passageCount() == 20)
  }

  @Test func anIndexOfAKilledProcessOpensAndGoesOn() throws {
    let filler = String(repeating: "Words that fill the file. ", count: 25_000)
    for number in 0..<20 { try folder.write("d/\(number).txt", "File \(number). " + filler) }
    var copies: [String] = []
    let library = try DocumentLibrary(path: index)
    // The files of an index in use are what a process that is killed leaves behind.
    let whole = try library.add(paths: [folder.file("d")]) { progress in
      guard [0, 1, 8, 19].contains(progress.filesDone) else { return }
      let copy = folder.file("copy\(progress.filesDone).sqlite")
      for suffix in ["", "-wal"] {
        try? FileManager.default.copyItem(atPath: index + suffix, toPath: copy + suffix)
      }
      copies.append(copy)
    }
    for copy in copies {
      let library = try DocumentLibrary(path: copy)
      let report = try library.add(paths: [folder.file("d")])
      #expect(!library.wasRebuilt)
      #expect(report.added + report.unchanged == 20)
      #expect(try report.collection.allPassages().map(\.text) == whole.collection.allPassages().map(\.text))
      try library.close()
    }
  }

  @Test func progressCountsFilesAndBytes() throws {
    try folder.write("d/a.txt", "12345")
    try folder.write("d/b.txt", "123")
    var seen: [[Int]] = []
    _ = try DocumentLibrary(path: index).add(paths: [folder.file("d")]) {
      seen.append([$0.filesDone, $0.filesTotal, $0.bytesDone, $0.bytesTotal])
    }
    #expect(seen == [[0, 2, 0, 8], [1, 2, 5, 8]])
  }

  @Test func aDamagedIndexIsSetAsideAndMadeAgain() throws {
    let path = try folder.write("a.txt", "Words.")
    try folder.write("index.sqlite", String(repeating: "no database ", count: 1_000))
    let library = try DocumentLibrary(path: index)
    #expect(library.wasRebuilt)
    #expect(try library.add(paths: [path]).added == 1)
    #expect(FileManager.default.fileExists(atPath: index + ".damaged"))
  }

  @Test func damageWithinTheIndexIsAnErrorOrHarmless() throws {
    let path = try folder.write("a.txt", String(repeating: "Some words here. ", count: 2_000))
    do {
      let library = try DocumentLibrary(path: index)
      _ = try library.add(paths: [path])
      try library.close()
    }
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: path)
    let sound = [UInt8](try Data(contentsOf: URL(fileURLWithPath: index)))
    var random = SeededGenerator(state: 6)
    #expect(sound.count > 30_000)
    for round in 0..<100 {
      var bytes = sound
      for _ in 0..<Int.random(in: 1...40, using: &random) {
        bytes[Int.random(in: 16..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
      }
      let name = try folder.write("damaged\(round).sqlite", bytes: bytes)
      do {
        let library = try DocumentLibrary(path: name)
        let report = try library.add(paths: [path])
        _ = try report.collection.passages(matching: "some words")
      } catch let error as LibraryError {
        #expect(!error.description.isEmpty)
      }
    }
  }

  @Test func databasesOfOtherProgramsAreLeftAlone() throws {
    // The header of a SQLite file holds its program's identifier at byte 68.
    let library = try DocumentLibrary(path: index)
    try library.close()
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: index)))
    #expect(bytes[68..<72].elementsEqual("DUET".utf8))
    bytes[68] ^= 0xFF
    let foreign = try folder.write("foreign.sqlite", bytes: bytes)
    #expect(throws: LibraryError.foreign(path: foreign)) { try DocumentLibrary(path: foreign) }
    #expect([UInt8](try Data(contentsOf: URL(fileURLWithPath: foreign))) == bytes)
  }

  @Test func anIndexWithoutAFolderCannotBeOpened() {
    let path = folder.file("none/index.sqlite")
    #expect(throws: LibraryError.self) { try DocumentLibrary(path: path) }
  }
}
