/// Why the tokenizer of a model file was refused.
public enum TokenizerError: Error, Equatable, CustomStringConvertible {
  /// A key is missing or of the wrong type.
  case metadata(GGUFError)
  /// `tokenizer.ggml.model` names a kind that is not built.
  case unknownModel(path: String, name: String, known: [String])
  /// `tokenizer.ggml.pre` names rules that are not known.
  case unknownPreTokenizer(path: String, name: String, known: [String])
  /// An array does not have one element for each token.
  case countMismatch(path: String, key: String, count: Int, expected: Int)
  /// A special token's number is not that of a token.
  case tokenOutOfRange(path: String, key: String, token: Int, count: Int)
  /// There are no tokens, or an array is larger than that of any model.
  case unusableSize(path: String, key: String, count: Int, limit: Int)

  /// One line: what is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .metadata(let error): error.description
    case .unknownModel(let path, let name, let known):
      "\(path): tokenizers of the kind \"\(name)\" are not supported; use a model with one of "
        + known.joined(separator: ", ")
    case .unknownPreTokenizer(let path, let name, let known):
      "\(path): the pre-tokenizer \"\(name)\" is not supported; use a model with one of "
        + known.joined(separator: ", ")
    case .countMismatch(let path, let key, let count, let expected):
      "\(path): \(key) has \(count) elements for \(expected) tokens; the file is damaged, convert it again"
    case .tokenOutOfRange(let path, let key, let token, let count):
      "\(path): \(key) is \(token), where the vocabulary has tokens 0 to \(count - 1); convert it again"
    case .unusableSize(let path, let key, let count, let limit):
      "\(path): \(key) has \(count) elements, where 1 to \(limit) can be used; convert it again"
    }
  }
}
