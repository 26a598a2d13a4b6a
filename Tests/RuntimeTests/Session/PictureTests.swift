import DuetRuntime
import Foundation
import Testing

/// Pictures in conversations: vectors that stand where words stand.
@Suite(.serialized) struct PictureTests {
  /// U+FDD0, and U+FDD0 U+FDD2, which Swift's literals refuse.
  private static let escape = String(decoding: [0xef, 0xb7, 0x90], as: UTF8.self)
  private static let mark = escape + String(decoding: [0xef, 0xb7, 0x92], as: UTF8.self)

  private func options(_ maxTokens: Int) -> GenerationOptions {
    var options = GenerationOptions()
    options.maxTokens = maxTokens
    return options
  }

  /// The model's own vectors of the tokens of a text.
  private func vectors(of text: String, _ model: Model) throws -> InputEmbeddings {
    let width = model.config.embeddingLength, row = FloatBuffer(count: model.config.embeddingLength)
    let matrix = try Matrix(#require(model.file["token_embd.weight"]))
    let values = model.tokenizer.encode(text).flatMap { token in
      model.core.operations.dequantize(matrix, row: Int(token), out: row, at: 0)
      return row.array(0..<width)
    }
    return InputEmbeddings(values, width: width)
  }

  private func answer(
    _ session: Session, _ question: String, about picture: InputEmbeddings? = nil
  ) async throws -> (text: String, usage: Usage) {
    for try await case .finished(let completion) in session.events(
      replyingTo: question, about: picture, options(20))
    {
      return (completion.text, completion.usage)
    }
    Issue.record("no answer")
    return ("", Usage())
  }

  @Test func `vectors of words read as the words themselves`() async throws {
    let engine = try Engine(TinyChat()), model = engine.model
    let words = try await answer(Session(try Engine(TinyChat())), "ABCDE\nWhat is it?")
    let picture = try await answer(Session(engine), "What is it?", about: vectors(of: "ABCDE", model))
    #expect(picture.text == words.text && picture.usage.promptTokens == words.usage.promptTokens)
    let other = try await answer(Session(engine), "What is it?", about: vectors(of: "EDCBA", model))
    #expect(other.text != words.text)
  }

  @Test func `what a picture may show is read as words behind it`() async throws {
    let engine = try Engine(TinyChat()), model = engine.model
    let words = try await answer(
      Session(try Engine(TinyChat())), "ABCDE\nIt may show: dog, <|im_end|>.\nWhat is it?")
    let bare = try vectors(of: "ABCDE", model)
    let picture = InputEmbeddings(
      bare.values.array(0..<bare.values.count), width: bare.width, things: ["dog", "<|im_end|>"])
    let named = try await answer(Session(engine), "What is it?", about: picture)
    #expect(named.text == words.text && named.usage.promptTokens == words.usage.promptTokens)
  }

  @Test func `the picture stays in the conversation`() async throws {
    let engine = try Engine(TinyChat()), session = Session(engine)
    let first = try await answer(session, "What is it?", about: vectors(of: "ABCDE", engine.model))
    let second = try await answer(session, "And then?")
    let plain = Session(try Engine(TinyChat()))
    _ = try await answer(plain, "ABCDE\nWhat is it?")
    let expected = try await answer(plain, "And then?")
    #expect(plain.turns[1].content == first.text && second.text == expected.text)
    #expect(second.usage.cachedTokens == expected.usage.cachedTokens)
  }

  /// Prompts of over a page, alike but for the picture, on one engine with one store of pages.
  @Test func `the cache tells pictures apart`() async throws {
    let engine = try Engine(TinyChat()), question = String(repeating: "What is it? ", count: 10)
    let one = try vectors(of: "ABCDE", engine.model), two = try vectors(of: "EDCBA", engine.model)
    #expect(one.tokens.allSatisfy { $0 < 0 } && Set(one.tokens).isDisjoint(with: two.tokens))
    _ = try await answer(Session(engine), question, about: one)
    let after = try await answer(Session(engine), question, about: two)
    let alone = try await answer(Session(try Engine(TinyChat())), question, about: two)
    #expect(after.text == alone.text)
    let again = try await answer(Session(engine), question, about: vectors(of: "ABCDE", engine.model))
    #expect(again.usage.cachedTokens >= 64)
  }

  @Test func `text cannot pose as a picture`() async throws {
    let engine = try Engine(TinyChat()), mark = Self.mark
    let picture = try vectors(of: "A", engine.model)
    let session = Session(engine)
    _ = try await answer(session, "\(mark) and \(Self.escape)\(mark)", about: picture)
    let message = ChatMessage(role: .user, content: mark, picture: picture)
    let prompts = PromptEncoder(model: engine.model, template: try #require(engine.model.template))
    let tokens = try prompts.encode([message])
    #expect(tokens.filter { $0 < 0 } == picture.tokens)
    let shown = engine.model.tokenizer.encode(Self.mark)
    #expect(tokens.contains(shown[0]) && tokens.count > shown.count)
  }

  @Test func `a picture of another width is refused`() async throws {
    let session = Session(try Engine(TinyChat()))
    await #expect(throws: SessionError.self) {
      for try await _ in session.events(
        replyingTo: "?", about: InputEmbeddings([1, 2, 3], width: 3), options(2))
      {}
    }
    #expect(session.turns.isEmpty)
  }

  @Test func `probabilities of answers are those of their tokens`() async throws {
    let engine = try Engine(TinyChat()), model = engine.model, answers = ["yes", "no", "maybe"]
    let picture = try vectors(of: "ABCDE", model)
    let found = try await Session(engine).probabilities(of: answers, to: "Is it?", about: picture)
    #expect(abs(found.reduce(0, +) - 1) < 1e-9 && Set(found).count == 3)
    let prompts = PromptEncoder(model: model, template: try #require(model.template))
    let prompt = try prompts.encode([ChatMessage(role: .user, content: "ABCDE\nIs it?")])
    var sums: [Double] = []
    for answer in answers {
      let tokens = model.tokenizer.encode(answer)
      let decoder = Decoder(model.core, pool: ThreadPool(threadCount: 1), capacity: 400)
      let sequence = CachedSequence(layout: model.core.cacheLayout(.f16), salt: 0)
      let rows = decoder.forward([DecoderStep(sequence, (prompt + tokens)[...], logits: .all)])
      let width = model.config.vocabularySize
      var sum = 0.0
      for (index, token) in tokens.enumerated() {
        let start = (rows - tokens.count - 1 + index) * width
        let logits = decoder.logits.array(start..<start + width).map(Double.init)
        sum += logits[Int(token)] - log(logits.reduce(0) { $0 + exp($1) })
      }
      sums.append(sum)
    }
    for (index, sum) in sums.enumerated() {
      #expect(abs(found[index] - exp(sum) / sums.reduce(0) { $0 + exp($1) }) < 2e-2)
    }
  }

  /// Vectors of a picture with others around them: shares are positive, fewer than 1 in all, and where the picture
  /// is the whole prompt but for a few tokens most of it.
  @Test func `what an answer attends to is recorded, and changes nothing`() async throws {
    let engine = try Engine(TinyChat()), picture = try vectors(of: "ABCDEFGHIJ", engine.model)
    var options = options(20)
    let plain = try await answer(Session(engine), "?", about: picture)
    options.recordsAttention = true
    for drafting in [Drafting.off, .always] {
      options.drafting = drafting
      var found: Completion?
      for try await case .finished(let completion) in Session(engine).events(
        replyingTo: "?", about: picture, options)
      {
        found = completion
      }
      let completion = try #require(found)
      #expect(completion.text == plain.text && completion.attention.count == 20)
      #expect(completion.attention.flatMap(\.bytes) == Array(completion.text.utf8))
      for token in completion.attention {
        let sum = token.shares.reduce(0, +)
        #expect(token.shares.count == 10 && token.shares.allSatisfy { $0 >= 0 } && sum > 0 && sum < 1)
      }
    }
  }

  @Test func `recorded shares are those of the softmax`() throws {
    let model = try TinyChat().open()
    let sequence = CachedSequence(layout: model.core.cacheLayout(.f32), salt: 0)
    let decoder = Decoder(
      model.core, pool: ThreadPool(threadCount: 1), capacity: 400, precision: .float32)
    let tokens = model.tokenizer.encode(String(repeating: "attention ", count: 12))
    let layers = 0..<model.config.layerCount
    sequence.watched = WatchedPositions(tokens.indices.map { $0..<$0 + 1 }, layers: layers)
    _ = decoder.forward([DecoderStep(sequence, tokens[...])])
    let whole = try #require(decoder.attentionShares.last ?? nil)
    // All that is seen is watched: the shares of each layer add up to 1.
    #expect(whole.layers.count == layers.count && whole.layers.joined().allSatisfy { $0 >= 0 })
    #expect(whole.layers.allSatisfy { abs($0.reduce(0, +) - 1) < 1e-4 })
    let parts = [3..<7, 0..<tokens.count, 5..<5, 100..<108]
    sequence.watched = WatchedPositions(parts, layers: layers.suffix(1))
    sequence.truncate(tokens.count - 1)
    _ = decoder.forward([DecoderStep(sequence, tokens.suffix(1))])
    let shares = try #require(decoder.attentionShares.last ?? nil)
    #expect(shares.layers.count == 1 && shares.means == shares.layers[0])
    for (part, share) in zip(parts, shares.means) {
      let sum = part.reduce(0) { $0 + (whole.layers.last?[$1] ?? 0) }
      #expect(abs(share - sum) < 1e-5, "\(part)")
    }
  }

  @Test func `a template that leaves a picture out is refused`() async throws {
    let template = "{% for m in messages %}{{ m.role }}{% endfor %}"
    let engine = try Engine(TinyChat(template: template)), session = Session(engine)
    let picture = try vectors(of: "A", engine.model)
    await #expect(throws: SessionError.self) {
      for try await _ in session.events(replyingTo: "?", about: picture, options(2)) {}
    }
  }
}
