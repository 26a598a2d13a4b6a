import ArgumentParser
import DuetRuntime

@main
struct Duet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "duet",
    abstract: "Chat with documents, offline, on a machine without a GPU.", subcommands: [Try.self])
}

struct Try: ParsableCommand {
  @Argument var model: String
  @Argument var tokens: [Int32]
  @Option var n = 16
  @Option var threads = 2
  @Option var tier = ""
  func run() throws {
    let clock = ContinuousClock()
    let t0 = clock.now
    let file = try GGUFFile(path: model)
    let weights = try ModelWeights(file: file, operations: Operations(tier: tier))
    let pool = ThreadPool(threadCount: threads)
    let decoder = Decoder(weights, pool: pool)
    let sequence = CachedSequence(layout: weights.cacheLayout(.f16), salt: 0)
    print("load", clock.now - t0)
    var next = tokens
    var all = tokens
    let t1 = clock.now
    var made = 0
    for i in 0..<n {
      if i == 1 { print("prefill", clock.now - t1) }
      _ = decoder.forward([DecoderStep(sequence, next[...])])
      let id = weights.operations.argmax(decoder.logits, 0..<weights.config.vocabularySize)
      next = [Int32(id)]
      all += next
      made += 1
    }
    let d = clock.now - t1
    print(all.map(String.init).joined(separator: " "))
    print("tok/s", Double(made) / (Double(d.components.attoseconds) / 1e18 + Double(d.components.seconds)))
    let long = (0..<512).map { Int32($0 * 7 % 40000 + 10) }
    let s2 = CachedSequence(layout: weights.cacheLayout(.f16), salt: 0)
    let t2 = clock.now
    _ = decoder.forward([DecoderStep(s2, long[0..<256])])
    _ = decoder.forward([DecoderStep(s2, long[256..<512])])
    let e = clock.now - t2
    print("prefill tok/s", 512 / (Double(e.components.attoseconds) / 1e18 + Double(e.components.seconds)))
  }
}
