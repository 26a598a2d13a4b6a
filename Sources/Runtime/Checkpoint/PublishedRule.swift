/// The rules by which byte-level tokenizers cut words, as `tokenizer.json` writes them, and the names
/// that GGUF has for them.
enum PublishedRule {
  private static let contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  private static let rest = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let marked = #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"#
  private static let capital =
    #"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"#
  private static let slashes = #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let ending = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

  /// By the steps, joined by spaces: regular expressions, or names of steps with what they are told.
  private static let names: [String: String] = [
    contraction + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"# + rest: "llama-bpe",
    contraction + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"# + rest: "qwen2",
    contraction
      + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#:
      "qwen35",
    marked + capital + #"|\p{N}"# + slashes: "tekken",
    marked + ending + capital + ending + #"|\p{N}{1,3}"# + slashes: "gpt-4o",
    "digits words": "smollm",
    "words": "gpt-2",
  ]

  /// The name of the rules of a tokenizer.
  ///
  /// - Throws: `CheckpointError.unsupported`, with the rules.
  static func name(of root: JSONValue, path: String) throws(CheckpointError) -> String {
    let parts = steps(root["pre_tokenizer"], "pretokenizers").compactMap(signature)
    let rules = parts.joined(separator: " ")
    // The longest has some 200 bytes; hashing n combining marks takes n² steps.
    guard rules.utf8.count <= 1_024, let name = names[rules] else {
      throw .unsupported(path: path, feature: "words cut by the rules \"\(rules.prefix(200))\"")
    }
    return name
  }

  private static func signature(_ step: JSONValue) -> String? {
    switch step["type"]?.string {
    case "Split": step["pattern"]?["Regex"]?.string ?? step["pattern"]?["String"]?.string ?? "?"
    case "ByteLevel": step["use_regex"]?.bool ?? true ? "words" : nil
    case "Digits": step["individual_digits"]?.bool == true ? "digits" : "numbers"
    case let other: other ?? "?"
    }
  }
}
