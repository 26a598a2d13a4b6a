/// How an engine runs a model.
public struct EngineOptions: Sendable {
  /// Threads that compute; nil for one per core.
  public var threads: Int?
  /// How keys and values are stored.
  public var cache = CacheType.f16
  /// What weights are multiplied by.
  public var activations = ActivationType.int8
  /// Tokens that a session may hold; nil for the model's own limit, at most 8,192.
  public var contextLength: Int?
  /// Tokens of a prompt that are read at a time, 1 to 4,096; fewer where they would take over a
  /// gigabyte of buffers.
  public var batch = 256
  /// Bytes of cache pages that are kept for prompts that begin alike.
  public var pageStoreBytes = 32 << 20

  /// One thread per core, half-precision cache, int8 activations.
  public init() {}
}

/// Runs one model: owns the threads, the buffers and the cache pages, and serves its sessions one
/// step at a time.
public actor Engine {
  /// The model that is run.
  public nonisolated let model: Model
  /// Threads that compute.
  public nonisolated let threads: Int
  /// Tokens that a session may hold.
  public nonisolated let contextLength: Int
  package nonisolated let options: EngineOptions
  private let decoder: Decoder
  private let store: PageStore
  private var sequences: [Int: CachedSequence] = [:]
  private var samplers: [Int: Sampler] = [:]
  /// Where the answer of each sequence begins: penalties look back no further.
  private var answerStarts: [Int: Int] = [:]
  private var lastID = 0

  /// Starts the threads. Buffers are made when they are first needed.
  public init(_ model: Model, _ options: EngineOptions = EngineOptions()) {
    self.model = model
    var options = options
    options.batch = max(1, min(options.batch, 4_096, Workspace.maximumTokens(model.config)))
    self.options = options
    threads = max(1, min(options.threads ?? processorCount(), 256))
    contextLength = max(1, options.contextLength ?? min(model.config.contextLength, 8_192))
    let pool = ThreadPool(threadCount: threads)
    decoder = Decoder(model.core, pool: pool, capacity: options.batch, precision: options.activations)
    store = PageStore(byteLimit: options.pageStoreBytes)
  }

  /// Makes an empty sequence and returns its number.
  func open(_ tuning: Tuning? = nil) -> Int {
    lastID += 1
    sequences[lastID] = sequence(tuning)
    return lastID
  }

  /// An empty sequence of the caller's own.
  func sequence(_ tuning: Tuning?) -> CachedSequence {
    CachedSequence(layout: model.core.cacheLayout(options.cache), tuning: tuning)
  }

  /// Gives a sequence's pages back.
  func close(_ id: Int) {
    sequences[id] = nil
    samplers[id] = nil
    answerStarts[id] = nil
  }

  /// Prepares a sequence for `prompt`: what its cache holds of it stays, the rest goes.
  ///
  /// - Parameter answered: tokens at the end of the prompt that are the answer so far.
  /// - Returns: tokens that need not be read again. The last one always is, for its logits.
  func begin(_ id: Int, prompt: [Int32], answered: Int, sampling: SamplingOptions) -> Int {
    if answered == 0 { samplers[id] = Sampler(sampling) }
    answerStarts[id] = prompt.count - answered
    guard let sequence = sequences[id] else { return 0 }
    return sequence.reuse(Array(prompt.dropLast()), from: store)
  }

  /// Reads tokens of a prompt, at most a batch, that others follow.
  func read(_ id: Int, _ tokens: ArraySlice<Int32>) {
    guard let sequence = sequences[id] else { return }
    _ = decoder.forward([DecoderStep(sequence, tokens, logits: .none)], store: store)
  }

  /// Reads tokens, at most a batch, and chooses the one that follows the last.
  func next(_ id: Int, reading tokens: ArraySlice<Int32>) -> Int32 {
    guard let sequence = sequences[id] else { return 0 }
    _ = decoder.forward([DecoderStep(sequence, tokens)], store: store)
    return choose(id, sequence)
  }

  private func choose(_ id: Int, _ sequence: CachedSequence) -> Int32 {
    samplers[id]?.choose(
      decoder.logits, 0..<model.config.vocabularySize, history: sequence.tokens[(answerStarts[id] ?? 0)...],
      model.core.operations) ?? 0
  }

  // MARK: Measuring

  /// Reads tokens into a sequence of the caller's own.
  func step(_ sequence: CachedSequence, _ tokens: ArraySlice<Int32>, wantsLogits: Bool) {
    _ = decoder.forward([DecoderStep(sequence, tokens, logits: wantsLogits ? .last : .none)])
  }

  /// Reads tokens and gives the logits of each, [vocabulary], by its place among them.
  func withLogits(
    _ sequence: CachedSequence, _ tokens: ArraySlice<Int32>, _ body: (Int, Span<Float>) throws -> Void
  ) rethrows {
    let width = model.config.vocabularySize
    for row in 0..<decoder.forward([DecoderStep(sequence, tokens, logits: .all)]) {
      try decoder.logits.withSpan(row * width..<(row + 1) * width) { try body(row, $0) }
    }
  }

  /// Bytes per second that the model's file can be read at by the engine's threads.
  func measureReadRate() -> Double { readRate(model.file, pool: decoder.pool) }
}
