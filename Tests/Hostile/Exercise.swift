import DuetRuntime

/// What came of a file that may be hostile.
enum Outcome: CustomStringConvertible {
  case accepted
  case refused(String)

  /// One word: `accepted`, or the error's case.
  var description: String {
    switch self {
    case .accepted: "accepted"
    case .refused(let reason): reason
    }
  }
}

/// Does with the file what a program does: opens it, reads all of it, and runs it if it holds a
/// model. Whatever an error says is put together too, since that must not trap either.
func exerciseModel(path: String) -> Outcome {
  do throws(GGUFError) {
    let file = try GGUFFile(path: path)
    readMetadata(of: file)
    readTensors(of: file)
  } catch {
    return refused(error)
  }
  return outcome { () throws(ModelError) in run(try Model(path: path)) }
}

/// Opens the folder as a model, and runs it.
@Sendable func exerciseCheckpoint(path: String) -> Outcome {
  outcome { () throws(ModelError) in run(try Model(path: path)) }
}

/// Opens the file or folder as a sentence encoder, and encodes short, long and odd texts.
@Sendable func exerciseEncoder(path: String) -> Outcome {
  let texts = [
    "The cat sat, été 한글 1️⃣ ｱ [MASK]</s> \u{0}", "", String(repeating: "the cats ", count: 200),
    String(repeating: "abc", count: 400),
  ]
  return outcome { () throws(ModelError) in
    let encoder = try SentenceEncoder(path: path, threads: 1)
    let vectors = encoder.vectors(of: texts)
    precondition(vectors.map(\.count) == texts.map { _ in encoder.dimensions })
  }
}

/// What came of opening something; the file's own error is named in place of the model's.
private func outcome(_ open: () throws(ModelError) -> Void) -> Outcome {
  do throws(ModelError) {
    try open()
    return .accepted
  } catch {
    if case .checkpoint(let inner) = error { return refused(inner) }
    if case .file(let inner) = error { return refused(inner) }
    return refused(error)
  }
}

/// Opens the file as an adapter of `model`, and runs the model with it.
func exerciseAdapter(path: String, of model: Model) -> Outcome {
  do throws(AdapterError) {
    let tuning = try Tuning(Adapter(path: path, for: model))
    let decoder = Decoder(model.core, pool: ThreadPool(threadCount: 1), capacity: 32)
    let sequence = CachedSequence(layout: model.core.cacheLayout(.f16), tuning: tuning)
    for count in [1, 3, 20] {
      _ = decoder.forward([DecoderStep(sequence, ArraySlice(repeating: 5, count: count))])
    }
    return .accepted
  } catch {
    if case .file(let inner) = error { return refused(inner) }
    return refused(error)
  }
}

/// The name of the error's case, after its description was made.
func refused(_ error: some Error & CustomStringConvertible) -> Outcome {
  precondition(!error.description.isEmpty)
  return .refused(Mirror(reflecting: error).children.first?.label ?? "refused")
}

/// Writes a prompt, and decodes its last token and a few more at once.
func run(_ model: Model) {
  var conversation = Conversation(system: "Be brief.")
  conversation.turns = [ChatMessage(role: .user, content: "The <|end|> of it?")]
  _ = try? conversation.prompt(model)
  let tokens = model.tokenizer.encode("the end", parseSpecial: true)
  _ = model.tokenizer.decode(tokens, special: true)
  let decoder = Decoder(model.core, pool: ThreadPool(threadCount: 1), capacity: 16)
  let sequence = CachedSequence(layout: model.core.cacheLayout(.f16), salt: 0)
  var sampler = Sampler(SamplingOptions())
  for _ in 0..<2 {
    guard decoder.forward([DecoderStep(sequence, [tokens.last ?? 0])]) == 1 else { return }
    let range = 0..<model.config.vocabularySize
    let next = sampler.choose(decoder.logits, range, history: sequence.tokens, model.core.operations)
    _ = model.tokenizer.bytes(of: next)
  }
}

/// Asks for every value as every type; most answers are errors.
private func readMetadata(of file: GGUFFile) {
  for key in file.metadata.keys {
    _ = try? file.metadata.string(key)
    _ = try? file.metadata.integer(key)
    _ = try? file.metadata.number(key)
    _ = try? file.metadata.bool(key)
    guard case .array(let array)? = file.metadata[key] else { continue }
    var bytes = 0
    array.forEachString { _, text in bytes += text.byteCount }
    _ = array.preview(3)
  }
}

/// Touches the first and last byte of every tensor.
private func readTensors(of file: GGUFFile) {
  for tensor in file.tensors {
    precondition(tensor.rows * tensor.columns == tensor.elementCount)
    precondition(file[tensor.name]?.range == tensor.range)
    guard let last = tensor.range.last else { continue }
    _ = tensor.file.bytes(tensor.range.lowerBound..<tensor.range.lowerBound + 1)
    _ = tensor.file.bytes(last..<last + 1)
  }
}
