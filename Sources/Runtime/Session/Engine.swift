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
  /// gigabyte of buffers. Nil for 256, or 512 where weights are in superblocks, which take long to unpack.
  public var batch: Int?
  /// Bytes of cache pages that are kept for prompts that begin alike.
  public var pageStoreBytes = 128 << 20
  /// A folder where the keys and values of long prompts are kept, so that they need not be computed
  /// again after a restart; nil for none. The files say what the prompts said: the folder is made for
  /// its owner alone.
  public var pageFolder: String?
  /// Bytes that the files in that folder may take; the least recently used go.
  public var pageFolderBytes = 1 << 30

  /// One thread per core, half-precision cache, int8 activations.
  public init() {}
}

/// Runs one model: owns the threads, the buffers and the cache pages, and serves its sessions, those
/// that answer at the same time in one pass.
public actor Engine {
  /// The model that is run.
  public nonisolated let model: Model
  /// Threads that compute.
  public nonisolated let threads: Int
  /// Tokens that a session may hold.
  public nonisolated let contextLength: Int
  package nonisolated let options: EngineOptions
  /// Tokens of a prompt that are read at a time.
  package nonisolated let batch: Int
  let decoder: Decoder
  let store: PageStore
  var states: [Int: SequenceState] = [:]
  /// Sequences that are being answered: each has a request waiting, or soon will.
  var answering: Set<Int> = []
  /// Requests that wait for the next pass, in the order in which they came.
  var requests: [Request] = []
  var times = PassTimes()
  private var lastID = 0
  /// Writing pages to the folder, one prompt after the other.
  private var saving: Task<Void, Never>?

  /// Starts the threads. Buffers are made when they are first needed.
  public init(_ model: Model, _ options: EngineOptions = EngineOptions()) {
    self.model = model
    self.options = options
    let hasSuperblocks = model.core.weights.layers.first?.gate.type.blockLength == 256
    let most = min(4_096, Workspace.maximumTokens(model.config))
    batch = max(1, min(options.batch ?? (hasSuperblocks ? 512 : 256), most))
    threads = max(1, min(options.threads ?? processorCount(), 256))
    contextLength = max(1, options.contextLength ?? min(model.config.contextLength, 8_192))
    let pool = ThreadPool(threadCount: threads)
    decoder = Decoder(
      model.core, pool: pool, capacity: batch, precision: options.activations,
      contextLength: contextLength)
    let config = decoder.config
    let folder = options.pageFolder.map { path in
      PageFolder(
        path: path, identity: Self.identity(model, config, options), byteLimit: options.pageFolderBytes)
    }
    store = PageStore(byteLimit: options.pageStoreBytes, folder: folder)
  }

  /// A digest of what keys and values depend on besides tunings and tokens: the model's content and
  /// configuration, the kernels, and how things are stored.
  private static func identity(_ model: Model, _ config: DecoderConfig, _ options: EngineOptions) -> UInt64 {
    var digest = Digest(seed: model.file.contentDigest())
    digest.add("\(config)")
    digest.add(model.kernels)
    digest.add(options.cache.rawValue)
    digest.add(options.activations.rawValue)
    return digest.value
  }

  /// Prompts of fewer new tokens are read about as fast as they are found.
  private static let leastSaved = 4 * CacheLayout.pageTokens

  /// Keeps the pages of a prompt that was just read, as far as they were not known before.
  func save(_ state: SequenceState) {
    guard let folder = store.folder, let first = state.takeUnsaved() else { return }
    guard state.sequence.count - first >= Self.leastSaved else { return }
    let pages = state.sequence.fullPages(from: first / CacheLayout.pageTokens), former = saving
    saving = Task.detached(priority: .utility) {
      await former?.value
      folder.save(pages)
    }
  }

  /// Waits until what is to be kept on disk is there: before the process ends.
  public func finishSaving() async { await saving?.value }

  /// Makes an empty sequence and returns its number.
  func open(_ tuning: Tuning? = nil) -> Int {
    lastID += 1
    states[lastID] = SequenceState(sequence(tuning))
    return lastID
  }

  /// An empty sequence of the caller's own.
  func sequence(_ tuning: Tuning?) -> CachedSequence {
    CachedSequence(layout: model.core.cacheLayout(options.cache), tuning: tuning)
  }

  /// Gives a sequence's pages back.
  func close(_ id: Int) { states[id] = nil }

  // MARK: Measuring

  /// Reads tokens into a sequence of the caller's own.
  func step(_ sequence: CachedSequence, _ tokens: ArraySlice<Int32>, wantsLogits: Bool) {
    step([(sequence, tokens)], wantsLogits: wantsLogits)
  }

  /// Reads tokens into sequences of the caller's own, in one pass.
  func step(_ parts: [(sequence: CachedSequence, tokens: ArraySlice<Int32>)], wantsLogits: Bool) {
    _ = decoder.forward(
      parts.map { DecoderStep($0.sequence, $0.tokens, logits: wantsLogits ? .last : .none) })
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

  /// Products per second that the engine's threads could make of the kind that most of the model's weights need.
  func measurePeakRate() -> Double? {
    let isQuantized = model.core.weights.layers.first?.gate.type.isQuantized ?? true
    return peakRate(
      decoder.operations, pool: decoder.pool, inFloat: !isQuantized || decoder.precision == .float32)
  }
}
