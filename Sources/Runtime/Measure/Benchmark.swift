/// What a benchmark runs.
public struct BenchmarkOptions: Sendable {
  /// Tokens of a prompt that are read; 0 for none.
  public var prefill = 512
  /// Tokens that are generated one by one; 0 for none.
  public var decode = 128
  /// Tokens that are in the context before either.
  public var depth = 0
  /// Every figure is the median of so many runs.
  public var repetitions = 3
  /// Sequences that are decoded in one pass.
  public var parallel = 1
  /// What adapts the engine's model, each for as many of the sequences; nil for the bare model.
  public var tunings: [Tuning?] = [nil]

  /// A prompt of 512 tokens and an answer of 128.
  public init() {}
}

/// Speeds of one model over all sequences, medians of the repetitions.
public struct BenchmarkResult: Sendable {
  /// Reading a prompt; nil where none was read.
  public var prefillTokensPerSecond: Double?
  /// Generating one token after the other; nil where none was.
  public var decodeTokensPerSecond: Double?
  /// Bytes that one pass of decoding reads, of weights and cache, at the middle of the run.
  public var bytesPerPass = 0
  /// Passes per second; nil where no tokens were generated.
  public var passesPerSecond: Double?
  /// Bytes per second that the mapped file can be read at, measured in the same run.
  public var readRate = 0.0

  /// Products of weights per second that reading the prompt made, attention not counted; nil where none was read.
  public var productsPerSecond: Double?
  /// Products per second that the same threads could make if nothing had to be loaded or stored, measured in the
  /// same run; nil where the kernels do not say.
  public var peakProductsPerSecond: Double?

  /// The share of the possible products that reading the prompt made.
  public var arithmeticFraction: Double? {
    guard let productsPerSecond, let peakProductsPerSecond else { return nil }
    return productsPerSecond / peakProductsPerSecond
  }

  /// Bytes per second that decoding reads.
  public var bandwidth: Double? { passesPerSecond.map { $0 * Double(bytesPerPass) } }
  /// The share of the possible read rate.
  public var bandwidthFraction: Double? { bandwidth.map { $0 / readRate } }
}

extension Engine {
  /// Measures how fast prompts are read and answers generated. The tokens are arbitrary; sampling is
  /// not part of it. A first pass is not counted.
  ///
  /// - Parameters:
  ///   - options: what is run, and how often.
  ///   - progress: called with the runs done and in all.
  /// - Throws: `CancellationError` when the task is cancelled, within a token.
  public func benchmark(
    _ options: BenchmarkOptions, progress: @Sendable (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> BenchmarkResult {
    var result = BenchmarkResult()
    var prefill: [Double] = [], decode: [Double] = []
    try warmUp(options)
    for run in 0..<max(1, options.repetitions) {
      progress(run, options.repetitions)
      let sequences = sequences(options)
      for sequence in sequences { _ = try timeReading(options.depth, sequence) }
      if options.prefill > 0 {
        let seconds = try sequences.reduce(0) { try $0 + timeReading(options.prefill, $1) }
        prefill.append(Double(options.prefill * sequences.count) / seconds)
      }
      for sequence in sequences { sequence.truncate(options.depth) }
      if options.decode > 0 {
        decode.append(Double(options.decode) / (try timeDecoding(options.decode, sequences)))
      }
    }
    progress(options.repetitions, options.repetitions)
    result.prefillTokensPerSecond = Self.median(prefill)
    result.passesPerSecond = Self.median(decode)
    result.decodeTokensPerSecond = result.passesPerSecond.map { $0 * Double(max(1, options.parallel)) }
    result.bytesPerPass = bytesPerPass(options)
    result.readRate = measureReadRate()
    if let rate = result.prefillTokensPerSecond {
      let products = model.products(tokens: options.prefill)
      result.productsPerSecond = rate / Double(options.prefill) * Double(products)
      result.peakProductsPerSecond = measurePeakRate()
    }
    return result
  }

  /// What the first pass alone takes longer for, memory that is touched for the first time above all, is not counted.
  private func warmUp(_ options: BenchmarkOptions) throws {
    let sequences = sequences(options)
    if options.prefill > 0 { for sequence in sequences { _ = try timeReading(options.prefill, sequence) } }
    if options.decode > 0 { _ = try timeDecoding(1, sequences) }
  }

  private func sequences(_ options: BenchmarkOptions) -> [CachedSequence] {
    // As the engine orders them: those of one tuning stand together.
    let count = max(1, options.parallel)
    return (0..<count).map { index in
      sequence(options.tunings.isEmpty ? nil : options.tunings[index * options.tunings.count / count])
    }
  }

  private func bytesPerPass(_ options: BenchmarkOptions) -> Int {
    let used = options.tunings.prefix(max(1, options.parallel)).compactMap { $0?.adapter.byteCount }
    let bytes = model.bytesPerPass(
      depth: options.depth + options.decode / 2, sequences: max(1, options.parallel),
      cache: self.options.cache)
    return bytes + used.reduce(0, +)
  }

  private static func median(_ values: [Double]) -> Double? {
    values.isEmpty ? nil : values.sorted()[values.count / 2]
  }

  private func token(_ index: Int) -> Int32 { Int32((index &* 7_919 &+ 11) % model.config.vocabularySize) }

  private func timeReading(_ count: Int, _ sequence: CachedSequence) throws -> Double {
    let tokens = (0..<max(0, count)).map(token)
    let clock = ContinuousClock(), start = clock.now
    var rest = tokens[...]
    while !rest.isEmpty {
      try Task.checkCancellation()
      let piece = rest.prefix(self.batch)
      rest = rest.dropFirst(piece.count)
      step(sequence, piece, wantsLogits: rest.isEmpty)
    }
    return (clock.now - start) / .seconds(1)
  }

  private func timeDecoding(_ count: Int, _ sequences: [CachedSequence]) throws -> Double {
    let size = min(Decoder.directTokens, decoder.capacity)
    let groups = stride(from: 0, to: sequences.count, by: size).map { start in
      sequences[start..<min(sequences.count, start + size)]
    }
    let clock = ContinuousClock(), start = clock.now
    for index in 0..<max(0, count) {
      try Task.checkCancellation()
      for group in groups { step(group.map { ($0, [token(index)]) }, wantsLogits: true) }
    }
    return (clock.now - start) / .seconds(1)
  }
}

extension Model {
  /// Products of weights for the tokens of a prompt of which the last one's logits are wanted.
  func products(tokens: Int) -> Int {
    let weights = core.weights
    let layers = weights.layers.reduce(0) { total, layer in
      layer.matrices.reduce(total) { $0 + $1.rows * $1.columns }
    }
    return tokens * layers + weights.output.rows * weights.output.columns
  }

  /// Bytes that one pass reads for the next token of `sequences`, each with `depth` tokens in its
  /// context: each weight once (of the embedding, unless it makes the logits too, a row for each) and
  /// the caches.
  package func bytesPerPass(depth: Int, sequences: Int = 1, cache: CacheType) -> Int {
    let weights = core.weights
    let layers = weights.layers.reduce(0) { total, layer in
      layer.matrices.reduce(total) { $0 + $1.byteCount }
    }
    let pages = core.cacheLayout(cache).pageBytes
    return layers + weights.output.byteCount + sequences * pages * depth / CacheLayout.pageTokens
  }
}
