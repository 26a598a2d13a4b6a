import DuetRuntime

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Lets a model say what pictures show as far as it is trained, by the runtime's kernels.
final class CaptionSampler {
  /// What stands before a caption.
  struct Prompt {
    let tokens: [Int32]
    let picture: InputEmbeddings
  }

  /// A caption that is being drawn.
  private struct Draw {
    let prompt: Int
    let sequence: CachedSequence
    var sampler: Sampler
    var tokens: [Int32] = []
  }

  /// The most tokens of a caption.
  static let mostTokens = 40

  private let trained: TrainableModel
  private let decoder: Decoder
  private var model: Model { trained.model }

  init(_ trained: TrainableModel) {
    self.trained = trained
    decoder = Decoder(trained.model.core, pool: trained.pool)
  }

  /// Draws captions of each prompt.
  ///
  /// - Parameters:
  ///   - prompts: with pictures' features.
  ///   - count: of captions each, up to as many as are multiplied one by one.
  ///   - temperature: 1 for what the model takes to be likely, 0 for the likeliest word each time.
  ///   - seed: equal seeds give equal captions.
  /// - Returns: for each prompt its captions' tokens, with the one that ends them, unless they were broken off.
  /// - Throws: `TrainingError`, where the tuning cannot be written to a file of its own; `CancellationError`.
  /// - Complexity: O(tokens) columns of passes.
  func draw(
    _ prompts: [Prompt], count: Int, temperature: Float, seed: UInt64
  ) throws -> [[[Int32]]] {
    let tuning = try tuning(), count = min(count, Decoder.directTokens)
    var drawn = [[[Int32]]](repeating: [], count: prompts.count)
    var open: [Draw] = [], next = 0
    while next < prompts.count || !open.isEmpty {
      try Task.checkCancellation()
      if next < prompts.count, open.count + count <= Decoder.directTokens {
        open += read(prompts[next], next, tuning, count, temperature, seed)
        next += 1
      } else {
        _ = decoder.forward(open.map { DecoderStep($0.sequence, $0.tokens.suffix(1)) })
        for index in open.indices { choose(&open[index], row: index) }
      }
      for draw in open where isDone(draw) { drawn[draw.prompt].append(draw.tokens) }
      open.removeAll(where: isDone)
    }
    return drawn
  }

  /// Whether a caption came to its end.
  func ends(_ caption: [Int32]) -> Bool {
    caption.last.map(model.tokenizer.endsGeneration.contains) ?? false
  }

  private func isDone(_ draw: Draw) -> Bool { ends(draw.tokens) || draw.tokens.count >= Self.mostTokens }

  /// Reads a prompt and chooses the first token of each of its captions.
  private func read(
    _ prompt: Prompt, _ index: Int, _ tuning: Tuning?, _ count: Int, _ temperature: Float, _ seed: UInt64
  ) -> [Draw] {
    let sequence = CachedSequence(layout: model.core.cacheLayout(.f16), tuning: tuning)
    let (tokens, picture) = projected(prompt)
    sequence.pictures = [picture]
    var rest = tokens[...]
    while !rest.isEmpty {
      _ = decoder.forward([DecoderStep(sequence, rest.prefix(decoder.capacity))])
      rest = rest.dropFirst(decoder.capacity)
    }
    var options = SamplingOptions()
    // The whole vocabulary but for what hardly ever comes.
    (options.temperature, options.topK, options.topP, options.minP) = (temperature, 0, 1, 1e-4)
    // Seeds that are drawn themselves: those of a sequence would give one stream of numbers, shifted.
    var seeds = RandomSource(seed: seed &+ UInt64(index) &* 0xD134_2543_DE82_EF95)
    return (0..<count).map { _ in
      options.seed = seeds.next()
      var draw = Draw(prompt: index, sequence: sequence.fork(), sampler: Sampler(options))
      choose(&draw, row: 0)
      return draw
    }
  }

  private func choose(_ draw: inout Draw, row: Int) {
    let size = model.config.vocabularySize
    draw.tokens.append(
      draw.sampler.choose(
        decoder.logits, row * size..<(row + 1) * size, history: draw.tokens, model.core.operations))
  }

  /// The prompt with vectors of the model in the place of features.
  private func projected(_ prompt: Prompt) -> (tokens: [Int32], picture: InputEmbeddings) {
    let features = prompt.picture
    guard let projector = trained.projector else { return (prompt.tokens, features) }
    let places = (0..<features.count).map {
      PackedBatch.Feature(position: $0, values: features.values, start: $0 * features.width)
    }
    let vectors = projector.forward(places, trained.operations, trained.pool).out
    let picture = InputEmbeddings(
      vectors.buffer.array(0..<vectors.rows * vectors.columns), width: vectors.columns)
    let tokens = prompt.tokens.map { token in
      features.start(of: token).map { picture.tokens[$0 / features.width] } ?? token
    }
    return (tokens, picture)
  }

  /// What is trained of the decoder, as an adapter; nil where nothing is.
  private func tuning() throws -> Tuning? {
    guard trained.method.lora != nil else { return nil }
    let path = "\(FileManager.default.temporaryDirectory.path)/duet-\(UUID().uuidString).gguf"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try trained.writeAdapter(path, name: "drawn from", isReproducible: true)
    do { return try Tuning(Adapter(path: path, for: model)) } catch {
      throw TrainingError.adapter(path: path, problem: "\(error)")
    }
  }
}
