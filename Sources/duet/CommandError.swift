/// Why a command failed, where no module says it.
enum CommandError: Error, CustomStringConvertible {
  case noModel(name: String, folder: String)
  case ambiguousModel(name: String, matches: [String])
  case noDocuments(paths: [String])
  case cannotRead(path: String, problem: String)
  case cannotWrite(path: String, problem: String)
  case notText(path: String)
  case badToken(String, vocabulary: Int)
  case tooFewTokens(Int, least: Int)
  case tooLong(what: String, tokens: Int, limit: Int)
  case noConversation(id: String, matches: Int)
  case badConversation(path: String, problem: String)
  case goneModel(conversation: String, what: String, path: String, option: String)
  case badLine(path: String, line: Int)
  case noQuestions(path: String, tokens: Int)
  case noPictures(path: String)
  case badScores(path: String)
  case blindPair(path: String)

  var description: String {
    switch self {
    case .noModel(let name, let folder):
      "there is no model \(name) in \(folder); fetch one with duet pull, or give the path of a GGUF file"
    case .ambiguousModel(let name, let matches):
      "the name \(name) fits several models: \(matches.joined(separator: ", ")); give more of it"
    case .noDocuments(let paths):
      "no readable documents in \(paths.joined(separator: ", ")); give files or folders of text, Markdown, HTML, DOCX or PDF"
    case .cannotRead(let path, let problem):
      "cannot read \(path): \(problem); check the path and its permissions"
    case .cannotWrite(let path, let problem):
      "cannot write \(path): \(problem); check the folder, its permissions and free space"
    case .notText(let path): "\(path) is not text in UTF-8; convert it"
    case .badToken(let text, let vocabulary):
      "\(text) is no token of this model; give numbers from 0 to \(vocabulary - 1)"
    case .noConversation(let id, let matches):
      id.isEmpty
        ? "no conversation is kept; duet chat at a terminal begins one"
        : "\(matches == 0 ? "no" : "more than one") conversation's id begins with \(id); duet history lists them"
    case .badConversation(let path, let problem):
      "\(path) cannot be read: \(problem); remove the file, or begin a new conversation"
    case .goneModel(let conversation, let what, let path, let option):
      "the \(what) of the conversation \(conversation), \(path), is gone; give another with \(option)"
    case .badLine(let path, let line):
      "\(path):\(line) is no JSON object with title, instruction and context; give JSON lines"
    case .badScores(let path): "\(path) has no routed row; give the eval.json that duet eval wrote for a pair"
    case .noPictures(let path): "no JPEG or PNG files in \(path); give pictures, or a folder that has some"
    case .blindPair(let path):
      "the pair of \(path) has no vision part; give one with --vision, or make the pair again with --vision"
    case .noQuestions(let path, let tokens):
      "\(path) has no article of \(tokens) tokens; give more text"
    case .tooFewTokens(let count, let least):
      "the text has \(count) tokens, where at least \(least) are needed; give more text"
    case .tooLong(let what, let tokens, let limit):
      "\(what) takes \(tokens) tokens, where the model's context holds \(limit); give less"
    }
  }
}
