/// Where texts stand among the tokens of a prompt.
struct PromptText {
  private let bytes: [UInt8]
  /// [bytes] The token that each byte is of.
  private let owners: [Int]

  /// O(tokens).
  init(_ tokens: [Int32], _ tokenizer: Tokenizer) {
    var bytes: [UInt8] = [], owners: [Int] = []
    for (index, token) in tokens.enumerated() {
      let part = tokenizer.bytes(of: token, special: true)
      bytes += part
      owners += repeatElement(index, count: part.count)
    }
    self.bytes = bytes
    self.owners = owners
  }

  /// The tokens that hold a text, where it last stands; an empty range where it does not. O(prompt · text),
  /// mostly O(prompt).
  func tokens(of text: String) -> Range<Int> {
    let wanted = Array(text.utf8)
    guard !wanted.isEmpty, wanted.count <= bytes.count else { return 0..<0 }
    let start = (0...bytes.count - wanted.count).last { bytes[$0...].starts(with: wanted) }
    return start.map { owners[$0]..<owners[$0 + wanted.count - 1] + 1 } ?? 0..<0
  }
}
