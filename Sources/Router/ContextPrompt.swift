import DuetDocuments
import DuetRuntime

/// How passages are put before the model.
enum ContextPrompt {
  /// What a model is told that answers without documents.
  static let plainSystem = "You are a helpful AI assistant. Answer truthfully and in few words."

  /// What it is told with documents. Asked to copy, a small model strays less than asked to explain.
  static let documentSystem = "Copy the sentence of the text that answers the question."

  /// A question with the passages it is to be answered from. Numbers and titles are left out: small
  /// models carry them on instead of answering.
  static func question(_ question: String, _ passages: [Source]) -> String {
    guard !passages.isEmpty else { return "Question: \(question)" }
    return self.question(question, text: text(passages))
  }

  /// A question with the text that it is about: the form in which the trainer puts context.
  static func question(_ question: String, text: String) -> String {
    "Text: \(text)\n\nQuestion: \(question)"
  }

  /// The passages as a prompt shows them.
  static func text(_ passages: [Source]) -> String {
    passages.map { PlainText.of($0.text) }.joined(separator: "\n\n")
  }
}
