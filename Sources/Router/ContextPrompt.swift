import DuetDocuments
import DuetRuntime

/// How passages are put before the model.
enum ContextPrompt {
  /// What a model is told that answers without documents.
  static let plainSystem = "You are a helpful AI assistant. Answer truthfully and in few words."

  /// What it is told with documents.
  static let documentSystem = """
    You answer questions from the user's documents. Use only what the passages say, and answer in \
    few words. If they do not hold the answer, say that the documents do not tell.
    """

  /// A question with the passages it is to be answered from.
  static func question(_ question: String, _ passages: [Source]) -> String {
    guard !passages.isEmpty else { return question }
    return "\(text(passages))\n\nQuestion: \(question)"
  }

  /// The passages as a prompt shows them.
  static func text(_ passages: [Source]) -> String {
    passages.map { "[\($0.number)] \($0.title)\n\($0.text)" }.joined(separator: "\n\n")
  }
}
