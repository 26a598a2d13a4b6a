import DuetRuntime
import Testing

/// A decoder of a made model and the sequences it is tried with.
private struct Bench {
  let weights: ModelWeights
  let decoder: Decoder
  let cache: CacheType

  init(
    _ model: TinyModel, threads: Int = 1, precision: ActivationType = .int8, cache: CacheType = .f32,
    kernels: String? = nil
  ) throws {
    weights = try model.weights(kernels)
    self.cache = cache
    decoder = Decoder(weights, pool: ThreadPool(threadCount: threads), capacity: 400, precision: precision)
  }

  func sequence(salt: UInt64 = 0) -> CachedSequence {
    CachedSequence(layout: weights.cacheLayout(cache), salt: salt)
  }

  /// Reads `tokens` in pieces; the logits of each.
  func read(
    _ tokens: [Int32], by size: Int, into sequence: CachedSequence, store: PageStore? = nil
  ) -> [[Float]] {
    var rows: [[Float]] = []
    var rest = tokens[...]
    while !rest.isEmpty {
      let piece = rest.prefix(size)
      rows += logits(decoder.forward([DecoderStep(sequence, piece, logits: .all)], store: store))
      rest = rest.dropFirst(piece.count)
    }
    return rows
  }

  func read(_ tokens: [Int32], by size: Int) -> [[Float]] { read(tokens, by: size, into: sequence()) }

  func logits(_ rows: Int) -> [[Float]] {
    let width = weights.config.vocabularySize
    return (0..<rows).map { decoder.logits.array($0 * width..<($0 + 1) * width) }
  }
}

private func identical(_ left: [[Float]], _ right: [[Float]]) -> Bool {
  left.count == right.count && zip(left, right).allSatisfy { identical($0, $1) }
}

/// The largest difference within a row, relative to the row's largest magnitude.
private func difference<A: BinaryFloatingPoint, B: BinaryFloatingPoint>(_ left: [[A]], _ right: [[B]])
  -> Double
{
  guard left.count == right.count else { return .infinity }
  return zip(left, right).map { left, right in
    let largest = left.map { abs(Double($0)) }.max() ?? 0
    let error = zip(left, right).map { abs(Double($0) - Double($1)) }
    return error.contains { $0.isNaN } ? .infinity : (error.max() ?? 0) / largest
  }.max() ?? 0
}

/// What two ways of adding up the same products may differ by after some layers. With int8
/// activations a rounding may fall to the other side, a step of 1/127 of one value in 32.
private let floatBound = 1e-4
private let int8Bound = 0.1

@Suite struct DecoderTests {
  typealias Family = TinyModel.Family

  @Test(arguments: Family.allCases, [nil, TensorType.q8_0, .q4_0])
  func `up to sixteen tokens at a time give what one at a time gives, bit for bit`(
    _ family: Family, _ type: TensorType?
  ) throws {
    let model = TinyModel(family, quantized: type)
    let tokens = model.tokens(330)
    for precision in ActivationType.allCases {
      let bench = try Bench(model, precision: precision)
      let one = bench.read(tokens, by: 1)
      for size in [2, 5, 16] {
        #expect(identical(bench.read(tokens, by: size), one), "\(size), \(precision)")
      }
      let whole = bench.read(tokens, by: 400), pieces = bench.read(tokens, by: 100)
      let bound = precision == .float32 ? floatBound : int8Bound
      #expect(difference(one, whole) < bound && difference(one, pieces) < bound, "\(precision)")
    }
  }

  @Test(arguments: Family.allCases, [nil, TensorType.q8_0, .q4_0])
  func `the number of threads changes nothing`(_ family: Family, _ type: TensorType?) throws {
    let model = TinyModel(family, quantized: type)
    let tokens = model.tokens(300)
    let expected = try Bench(model)
    let whole = expected.read(tokens, by: 300), few = expected.read(tokens, by: 7)
    for threads in [2, 4] {
      let bench = try Bench(model, threads: threads)
      #expect(identical(bench.read(tokens, by: 300), whole))
      #expect(identical(bench.read(tokens, by: 7), few))
    }
  }

  @Test(arguments: Family.allCases)
  func `a cached prefix gives what reading it again gives`(_ family: Family) throws {
    let model = TinyModel(family, quantized: .q8_0)
    let bench = try Bench(model), store = PageStore(byteLimit: 1 << 24)
    let tokens = model.tokens(200)
    let expected = bench.read(tokens, by: 8, into: bench.sequence(), store: store)
    let other = bench.sequence()
    #expect(other.reuse(Array(tokens.dropLast()), from: store) == 192)
    #expect(
      identical(bench.read(Array(tokens[192...]), by: 8, into: other, store: store), Array(expected[192...])))
    // A prompt that parts from the first within its second page shares the first page only.
    let branch = Array(tokens[..<100]) + model.tokens(60, seed: 2)
    let third = bench.sequence()
    #expect(third.reuse(branch, from: store) == 64)
    let rows = bench.read(Array(branch[64...]), by: 8, into: third, store: store)
    #expect(identical(rows, Array(bench.read(branch, by: 8)[64...])))
  }

  @Test func `pages are not served to another salt`() throws {
    let model = TinyModel(.llama)
    let bench = try Bench(model), store = PageStore(byteLimit: 1 << 24)
    let tokens = model.tokens(140)
    _ = bench.read(tokens, by: 16, into: bench.sequence(salt: 1), store: store)
    #expect(bench.sequence(salt: 2).reuse(tokens, from: store) == 0)
    #expect(bench.sequence(salt: 1).reuse(tokens, from: store) == 128)
    #expect(bench.sequence(salt: 1).reuse([tokens[0] ^ 1] + tokens[1...], from: store) == 0)
  }

  @Test func `the store keeps to its limit and forgets the oldest`() throws {
    let model = TinyModel(.llama)
    let bench = try Bench(model)
    let page = bench.weights.cacheLayout(.f32).pageBytes
    let store = PageStore(byteLimit: 3 * page + page / 2)
    let texts = (0..<5).map { model.tokens(64, seed: UInt64($0)) }
    for text in texts { _ = bench.read(text, by: 16, into: bench.sequence(), store: store) }
    #expect(texts.map { bench.sequence().reuse($0, from: store) } == [0, 0, 64, 64, 64])
    let none = PageStore(byteLimit: page - 1)
    _ = bench.read(texts[0], by: 16, into: bench.sequence(), store: none)
    #expect(bench.sequence().reuse(texts[0], from: none) == 0)
  }

  @Test(arguments: Family.allCases)
  func `a shared page is copied before it is written to`(_ family: Family) throws {
    let model = TinyModel(family)
    let bench = try Bench(model), store = PageStore(byteLimit: 1 << 24)
    let tokens = model.tokens(128)
    let first = bench.sequence()
    _ = bench.read(tokens, by: 16, into: first, store: store)
    // The second sequence cuts a shared page and writes other tokens where the first has its own.
    let second = bench.sequence()
    #expect(second.reuse(tokens, from: store) == 128)
    second.truncate(90)
    let other = model.tokens(60, seed: 3)
    let branch = bench.read(other, by: 4, into: second, store: store)
    #expect(identical(branch, Array(bench.read(tokens[..<90] + other, by: 4)[90...])))
    let next = model.tokens(5, seed: 4)
    let rest = bench.read(next, by: 1, into: first, store: store)
    #expect(identical(rest, Array(bench.read(tokens + next, by: 1)[128...])))
    #expect(bench.sequence().reuse(tokens, from: store) == 128)
  }

  @Test(arguments: Family.allCases)
  func `what is cut off and read again is as new`(_ family: Family) throws {
    let model = TinyModel(family, quantized: .q4_0)
    let bench = try Bench(model, cache: .f16)
    let tokens = model.tokens(150), other = model.tokens(40, seed: 5)
    for cut in [0, 1, 63, 64, 65, 128, 149, 150] {
      let sequence = bench.sequence()
      _ = bench.read(tokens, by: 16, into: sequence)
      sequence.truncate(cut)
      #expect(sequence.count == cut && sequence.tokens == Array(tokens[..<cut]))
      let rows = bench.read(other, by: 16, into: sequence)
      #expect(identical(rows, Array(bench.read(tokens[..<cut] + other, by: 16)[cut...])), "cut at \(cut)")
    }
  }

  @Test(arguments: Family.allCases, ActivationType.allCases)
  func `sequences in one step do not see each other`(_ family: Family, _ precision: ActivationType) throws {
    let model = TinyModel(family, quantized: .q8_0)
    let bench = try Bench(model, threads: 2, precision: precision)
    let left = model.tokens(150, seed: 6), right = model.tokens(90, seed: 7)
    let sequences = [bench.sequence(), bench.sequence()]
    var rows: [[[Float]]] = [[], []]
    for step in 0..<30 {
      let parts = [left[step * 5..<step * 5 + 5], right[step * 3..<step * 3 + 3]]
      let count = bench.decoder.forward([
        DecoderStep(sequences[0], parts[0], logits: .all), DecoderStep(sequences[1], parts[1], logits: .last),
      ])
      #expect(count == 6)
      let logits = bench.logits(count)
      rows[0] += logits[..<5]
      rows[1].append(logits[5])
    }
    #expect(identical(rows[0], bench.read(left, by: 1)))
    let alone = bench.read(right, by: 1)
    #expect(identical(rows[1], stride(from: 2, to: 90, by: 3).map { alone[$0] }))
  }

  @Test func `only what is wanted has logits`() throws {
    let model = TinyModel(.llama)
    let bench = try Bench(model), tokens = model.tokens(40)
    let sequence = bench.sequence()
    #expect(bench.decoder.forward([DecoderStep(sequence, tokens[..<30], logits: .none)]) == 0)
    #expect(sequence.count == 30)
    #expect(bench.decoder.forward([DecoderStep(sequence, tokens[30...])]) == 1)
    #expect(bench.decoder.forward([]) == 0)
    #expect(bench.decoder.forward([DecoderStep(sequence, [])]) == 0)
    // Tokens that the vocabulary lacks are no reason to trap.
    #expect(bench.decoder.forward([DecoderStep(sequence, [-1, .max, .min])]) == 1)
  }

  /// Half precision keeps 11 bits of each key and value, blocks of int8 about 7.
  @Test(arguments: Family.allCases, [(CacheType.f16, 0.02), (.q8_0, 0.35)])
  func `smaller caches stay near the full one`(_ family: Family, _ pair: (CacheType, Double)) throws {
    let model = TinyModel(family)
    let tokens = model.tokens(300)
    let full = try Bench(model, precision: .float32).read(tokens, by: 16)
    let small = try Bench(model, precision: .float32, cache: pair.0).read(tokens, by: 16)
    let found = difference(full, small)
    print("cache \(pair.0) of \(family): \(found)")
    #expect(found < pair.1 && found > 0)
  }

  @Test(arguments: Family.allCases, ["generic", nil])
  func `logits are those of the naive decoder`(_ family: Family, _ kernels: String?) throws {
    let model = TinyModel(family)
    let tokens = model.tokens(330)
    let naive = NaiveDecoder(model: model).logits(tokens)
    for size in [16, 330] {
      let found = try Bench(model, precision: .float32, kernels: kernels).read(tokens, by: size)
      print(
        "\(family) by \(kernels ?? "fastest"), \(size) at a time: \(difference(naive, found)) from the naive one"
      )
      #expect(difference(naive, found) < 1e-4)
    }
    // The comparison sees a small mistake.
    var wrong = model
    wrong.base *= 1.1
    #expect(
      difference(NaiveDecoder(model: wrong).logits(Array(tokens.prefix(60))), Array(naive.prefix(60))) > 3e-3)
  }

  @Test(arguments: Family.allCases, [TensorType.q8_0, .q4_0])
  func `the fastest kernels stay near the readable ones`(_ family: Family, _ type: TensorType) throws {
    let model = TinyModel(family, quantized: type)
    let tokens = model.tokens(100)
    let fast = try Bench(model, precision: .float32),
      readable = try Bench(model, precision: .float32, kernels: "generic")
    #expect(difference(readable.read(tokens, by: 100), fast.read(tokens, by: 100)) < floatBound)
    let int8 = try Bench(model).read(tokens, by: 16)
    #expect(difference(readable.read(tokens, by: 16), int8) < 0.5)
    #expect(difference(try Bench(model, kernels: "generic").read(tokens, by: 16), int8) < int8Bound)
  }
}
