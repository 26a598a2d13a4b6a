import DuetRuntime
import Foundation
import Testing

/// Bounds that hold with a wide margin; the figures measured are printed.
@Suite(.serialized) struct TokenizerSpeedTests {
  @Test(
    .enabled(if: ModelFiles.available(ModelFiles.smolLM2, ModelFiles.gemma3), ModelFiles.absent),
    arguments: ReferenceModel.allCases)
  func `a megabyte of anything is encoded in about a second`(_ model: ReferenceModel) throws {
    let tokenizer = try Tokenizer(metadata: ModelFiles.open(model.fileName).metadata)
    _ = tokenizer.encode("")
    let size = 1 << 20
    let texts: [(String, [UInt8])] = [
      ("letters", repeated("a", size)), ("two letters", repeated("ab", size)),
      ("spaces", repeated(" ", size)), ("lines", repeated("\n", size)),
      ("digits", repeated("1", size)), ("quotes", repeated("'", size)),
      ("ideographs", repeated("字", size)), ("tags", repeated("<unused", size)),
      ("invalid", [UInt8](repeating: 0xff, count: size)), ("English", repeated(Self.english, size)),
    ]
    for (name, text) in texts {
      let start = ContinuousClock.now
      let tokens = tokenizer.encode(text, parseSpecial: true)
      let duration = ContinuousClock.now - start
      print("\(model) \(name): \(text.count) bytes, \(tokens.count) tokens, \(duration)")
      #expect(duration < .seconds(5), "\(name)")
    }
  }

  @Test(
    .enabled(if: ModelFiles.available(ModelFiles.smolLM2, ModelFiles.gemma3), ModelFiles.absent),
    arguments: ReferenceModel.allCases)
  func `the tables are made in a moment`(_ model: ReferenceModel) throws {
    for _ in 0..<3 {
      let start = ContinuousClock.now
      let file = try ModelFiles.open(model.fileName)
      let opened = ContinuousClock.now
      let tokenizer = try Tokenizer(metadata: file.metadata)
      let ready = ContinuousClock.now
      _ = tokenizer.encode("Hello")
      let end = ContinuousClock.now
      print("\(model): file \(opened - start), tokenizer \(ready - opened), first text \(end - ready)")
      #expect(end - start < .seconds(2))
    }
  }

  static let speedText = ProcessInfo.processInfo.environment["DUET_SPEED_TEXT"]

  @Test(
    .enabled(if: speedText != nil, "set DUET_SPEED_TEXT to a text file to measure encoding"),
    arguments: ReferenceModel.allCases)
  func `encoding a file`(_ model: ReferenceModel) throws {
    let text = try [UInt8](Data(contentsOf: URL(filePath: Self.speedText ?? "")))
    let tokenizer = try Tokenizer(metadata: ModelFiles.open(model.fileName).metadata)
    _ = tokenizer.encode("")
    for _ in 0..<3 {
      let start = ContinuousClock.now
      let count = tokenizer.encode(text).count
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      print("\(model): \(Double(text.count) / seconds / 1e6) MB/s, \(count) tokens")
      #expect(tokenizer.decode(tokenizer.encode(text)).count == text.count)
    }
  }

  private func repeated(_ text: String, _ size: Int) -> [UInt8] {
    let unit = Array(text.utf8)
    return (0..<size / unit.count).flatMap { _ in unit }
  }

  private static let english =
    "The tower was built between 1887 and 1889 as the entrance to the World's Fair; it's still the tallest. "
}
