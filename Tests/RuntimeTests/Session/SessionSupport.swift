import DuetRuntime
import Foundation

/// A chat model that says nothing sensible: random weights, a token for every byte, the control
/// tokens of ChatML.
struct TinyChat {
  static let start = "<|im_start|>"
  static let end = "<|im_end|>"
  static let template = """
    {% for m in messages %}<|im_start|>{{ m.role }}
    {{ m.content }}<|im_end|>
    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
    {% endif %}
    """

  var template: String? = Self.template
  /// Tokens of the vocabulary beyond the bytes and control tokens.
  var extra: [(String, TinyVocabulary.Kind)] = []
  /// How much the model likes to end its turn; 0 for never.
  var endScale: Float = 0
  /// The bytes that it says at all.
  var says: ClosedRange<UInt8> = 0x20...0x7e

  func open() throws -> Model {
    let (vocabulary, model) = parts()
    return try Self.open(model.builder(vocabulary.builder).bytes())
  }

  /// An adapter of the model.
  func adapter(seed: UInt64 = 11) -> TinyAdapter { TinyAdapter(parts().model, seed: seed) }

  private func parts() -> (TinyVocabulary, model: TinyModel) {
    var vocabulary = TinyVocabulary.byteLevel()
    for name in [Self.start, Self.end] { vocabulary.add(name, .control) }
    for (text, kind) in extra { vocabulary.add(text, kind) }
    let end = vocabulary.tokens.firstIndex { $0.text == Self.end } ?? 0
    vocabulary.pairs.append(("tokenizer.ggml.eos_token_id", .uint32(UInt32(end))))
    if let template { vocabulary.pairs.append(("tokenizer.chat_template", .string(template))) }
    var model = TinyModel(.llama, vocabulary: vocabulary.tokens.count)
    for token in 0..<vocabulary.tokens.count where token > 255 || !says.contains(UInt8(token)) {
      model.scaleLogit(of: token, by: token == end ? endScale : 0)
    }
    return (vocabulary, model)
  }

  /// Writes the file, opens it, and removes its name again.
  private static func open(_ bytes: [UInt8]) throws -> Model {
    let path = FileManager.default.temporaryDirectory.path + "/duet-\(UUID().uuidString).gguf"
    try Data(bytes).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try Model(path: path)
  }
}

extension Engine {
  /// An engine of one thread whose sessions hold `contextLength` tokens.
  init(_ chat: TinyChat, contextLength: Int? = nil, batch: Int = 32) throws {
    var options = EngineOptions()
    options.threads = 1
    options.contextLength = contextLength
    options.batch = batch
    self.init(try chat.open(), options)
  }
}
