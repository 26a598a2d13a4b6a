import DuetRuntime
import Testing

/// A made model, opened, with a decoder.
private struct Bench {
  let tiny: TinyModel
  let model: Model
  let decoder: Decoder

  init(
    _ family: TinyModel.Family, quantized: TensorType? = nil, threads: Int = 2,
    precision: ActivationType = .int8
  ) throws {
    tiny = TinyModel(family, quantized: quantized, vocabulary: 256)
    model = try tiny.open()
    decoder = Decoder(
      model.core, pool: ThreadPool(threadCount: threads), capacity: 400, precision: precision)
  }

  func sequence(_ tuning: Tuning?) -> CachedSequence {
    CachedSequence(layout: model.core.cacheLayout(.f32), tuning: tuning)
  }

  /// The logits of each of `tokens`, read `size` at a time.
  func read(_ tokens: [Int32], by size: Int, _ tuning: Tuning?) -> [[Float]] {
    let sequence = sequence(tuning)
    var rows: [[Float]] = []
    for start in stride(from: 0, to: tokens.count, by: size) {
      let piece = tokens[start..<min(tokens.count, start + size)]
      rows += logits(decoder.forward([DecoderStep(sequence, piece, logits: .all)]))
    }
    return rows
  }

  func logits(_ rows: Int) -> [[Float]] {
    let width = model.config.vocabularySize
    return (0..<rows).map { decoder.logits.array($0 * width..<($0 + 1) * width) }
  }
}

/// The largest difference within a row, relative to the row's largest magnitude.
private func difference<A: BinaryFloatingPoint, B: BinaryFloatingPoint>(
  _ left: [[A]], _ right: [[B]]
) -> Double {
  guard left.count == right.count else { return .infinity }
  return zip(left, right).map { left, right in
    let largest = left.map { abs(Double($0)) }.max() ?? 0
    let error = zip(left, right).map { abs(Double($0) - Double($1)) }
    return error.contains { $0.isNaN } ? .infinity : (error.max() ?? 0) / largest
  }.max() ?? 0
}

@Suite struct AdapterTests {
  typealias Family = TinyModel.Family

  @Test(arguments: Family.allCases, [1, 5, 40])
  func `an adapted model is the model with the adapter worked into its weights`(
    _ family: Family, _ rank: Int
  ) throws {
    let bench = try Bench(family, precision: .float32)
    let adapter = TinyAdapter(bench.tiny, rank: rank)
    let tuning = try Tuning(adapter.open(for: bench.model, isExact: true), scale: 0.5)
    let tokens = bench.tiny.tokens(90)
    let naive = NaiveDecoder(model: adapter.merged(scale: 0.5)).logits(tokens)
    for size in [1, 16, 90] {
      let found = bench.read(tokens, by: size, tuning)
      #expect(difference(naive, found) < 1e-4, "\(size) at a time")
    }
    #expect(difference(naive, bench.read(tokens, by: 16, nil)) > 0.02)
  }

  /// Each of a layer's seven sums is wrong by what int8 is: half a percent of what is added.
  @Test(arguments: Family.allCases, [nil, TensorType.q8_0])
  func `factors in 8 bits stay near the exact ones`(_ family: Family, _ type: TensorType?) throws {
    let bench = try Bench(family, quantized: type, precision: .float32)
    let adapter = TinyAdapter(bench.tiny, rank: 8)
    let exact = try Tuning(adapter.open(for: bench.model, isExact: true))
    let small = try Tuning(adapter.open(for: bench.model))
    #expect(small.adapter.byteCount * 3 < exact.adapter.byteCount)
    let tokens = bench.tiny.tokens(60)
    let found = difference(bench.read(tokens, by: 16, exact), bench.read(tokens, by: 16, small))
    print("8-bit factors of \(family): \(found)")
    #expect(found < 0.05 && found > 0)
  }

  @Test(arguments: Family.allCases, [5, 40])
  func `a first factor in 8 bits is read where it lies, to the bit as if it were copied`(
    _ family: Family, _ rank: Int
  ) throws {
    let bench = try Bench(family, quantized: .q8_0)
    let adapter = TinyAdapter(bench.tiny, rank: rank).rounded(), tokens = bench.tiny.tokens(60)
    let mapped = try Tuning(adapter.open(for: bench.model, first: .q8_0))
    let copied = try Tuning(adapter.open(for: bench.model))
    #expect(mapped.adapter.byteCount < copied.adapter.byteCount)
    #expect(mapped.salt != copied.salt)
    for size in [1, 16, 60] {
      #expect(
        bench.read(tokens, by: size, mapped) == bench.read(tokens, by: size, copied), "\(size) at a time")
    }
  }

  @Test(arguments: Family.allCases, [nil, TensorType.q8_0, .q4_0])
  func `up to sixteen tokens at a time give what one at a time gives, on any number of threads`(
    _ family: Family, _ type: TensorType?
  ) throws {
    var expected: [[Float]]?, together: [[Float]]?
    for threads in [1, 2, 3, 4] {
      let bench = try Bench(family, quantized: type, threads: threads)
      let tuning = try Tuning(TinyAdapter(bench.tiny, rank: 20).open(for: bench.model))
      let tokens = bench.tiny.tokens(100)
      let one = bench.read(tokens, by: 1, tuning)
      for size in [3, 16] { #expect(bench.read(tokens, by: size, tuning) == one) }
      let all = bench.read(tokens, by: 100, tuning)
      #expect(difference(one, all) < 0.1)
      #expect(expected == nil || expected == one)
      #expect(together == nil || together == all)
      (expected, together) = (one, all)
    }
  }

  /// A prompt keeps the floats that weights of few bits do not need, where an adapter or an observer does. Each bench is
  /// new: nothing has been written yet to what is not kept.
  @Test(arguments: Family.allCases)
  func `exact factors and observers see of many tokens what they see of few`(_ family: Family) throws {
    var sums: [[String: Float]] = [], rows: [[[Float]]] = []
    for (size, watches) in [(16, true), (60, true), (60, false)] {
      let bench = try Bench(family, quantized: .q8_0)
      var seen: [String: Float] = [:]
      if watches {
        bench.decoder.observer = { matrices, inputs, count in
          for matrix in matrices {
            for token in 0..<count {
              seen[matrix.name, default: 0] += inputs.values.array(inputs.range(token)).reduce(0) {
                $0 + $1 * $1
              }
            }
          }
        }
      }
      let tuning = try Tuning(TinyAdapter(bench.tiny, rank: 8).open(for: bench.model, isExact: true))
      rows.append(bench.read(bench.tiny.tokens(60), by: size, tuning))
      sums.append(seen)
    }
    print("exact factors of \(family): \(difference(rows[0], rows[1])), \(difference(rows[0], rows[2]))")
    #expect(difference(rows[0], rows[1]) < 0.02)
    #expect(difference(rows[0], rows[2]) < 0.02)
    #expect(sums[0].count > 7 && sums[0].keys == sums[1].keys)
    for (name, sum) in sums[0] { #expect(abs((sums[1][name] ?? 0) / sum - 1) < 0.02, "\(name)") }
  }

  @Test(arguments: Family.allCases)
  func `sequences of several tunings in one step are what each is alone`(_ family: Family) throws {
    let bench = try Bench(family, quantized: .q8_0)
    let first = try TinyAdapter(bench.tiny, rank: 4).open(for: bench.model)
    let second = try TinyAdapter(bench.tiny, rank: 9, parts: ["attn_q", "ffn_down"], seed: 3)
      .open(for: bench.model)
    let tunings = [
      try Tuning(first), nil, try Tuning(second), try Tuning(first), try Tuning(first, scale: -0.5),
      try Tuning(second, scale: 0),
    ]
    let texts = tunings.indices.map { bench.tiny.tokens(30, seed: UInt64($0)) }
    let sequences = tunings.map(bench.sequence)
    var rows = [[[Float]]](repeating: [], count: tunings.count)
    for step in 0..<15 {
      let count = bench.decoder.forward(
        tunings.indices.map {
          DecoderStep(sequences[$0], texts[$0][2 * step..<2 * step + 2], logits: .all)
        })
      let logits = bench.logits(count)
      for index in tunings.indices { rows[index] += logits[2 * index..<2 * index + 2] }
    }
    for index in tunings.indices {
      #expect(rows[index] == bench.read(texts[index], by: 1, tunings[index]), "tuning \(index)")
    }
    #expect(rows[5] == bench.read(texts[5], by: 1, nil))
    #expect(rows[0] != bench.read(texts[0], by: 1, nil))
  }

  @Test func `pages of one tuning are not served to another`() throws {
    let bench = try Bench(.llama), store = PageStore(byteLimit: 1 << 24)
    let tiny = TinyAdapter(bench.tiny), other = TinyAdapter(bench.tiny, seed: 12)
    let adapter = try tiny.open(for: bench.model)
    let tunings = [
      nil, try Tuning(adapter), try Tuning(adapter, scale: 0.5), try Tuning(other.open(for: bench.model)),
    ]
    let tokens = bench.tiny.tokens(70)
    for (index, tuning) in tunings.enumerated() {
      #expect(bench.sequence(tuning).reuse(tokens, from: store) == 0, "\(index)")
      _ = bench.decoder.forward([DecoderStep(bench.sequence(tuning), tokens[...])], store: store)
    }
    // The same file opened again is the same tuning.
    #expect(bench.sequence(try Tuning(tiny.open(for: bench.model))).reuse(tokens, from: store) == 64)
  }

  @Test(arguments: Kernels.all)
  func `the second half adds to the rows it is asked for`(_ kernels: Kernels) throws {
    let operations = try Operations(tier: kernels.testDescription)
    var random = SplitMix(seed: 5)
    for (rank, rows, tokens) in [
      (1, 8, 1), (1, 48, 1), (7, 61, 5), (16, 61, 1), (8, 75, 1), (200, 34, 1), (7, 13, 3), (16, 64, 4),
      (64, 90, 9),
    ] {
      for isExact in [true, false] {
        let b = randomFloats(rows * rank, in: -1...1, &random)
        let pair = LowRank(
          a: randomFloats(rank * 32, in: -1...1, &random), b: b, rank: rank, isExact: isExact, operations)
        let low = randomFloats(tokens * rank, in: -1...1, &random)
        let out = FloatBuffer([Float](repeating: 0.5, count: tokens * (rows + 3)))
        let products = LowRankProducts(
          [LowRankChange(pair: pair, factor: 1, place: 0, tokens: 0..<tokens)], low: FloatBuffer(low),
          stride: rank, placeWidth: rank, operations)
        unsafe products.expand(0, rows: 8..<rows, out: out.pointer(8..<out.count), outStride: rows + 3) {}
        for token in 0..<tokens {
          for row in 0..<rows + 3 {
            let expected =
              row < 8 || row >= rows
              ? 0.5
              : (0..<rank).reduce(0.5) {
                $0 + Double(b[row * rank + $1]) * Double(low[token * rank + $1])
              }
            // Eight bits: half a step of 1/127 for each of the products.
            let bound = isExact ? 1e-5 * Double(rank) : Double(rank) / 254 + 1e-5
            #expect(abs(Double(out[token * (rows + 3) + row]) - expected) < bound)
          }
        }
      }
    }
  }
}
