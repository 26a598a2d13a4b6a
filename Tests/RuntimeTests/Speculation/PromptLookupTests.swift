import DuetRuntime
import Testing

@Suite struct PromptLookupTests {
  /// The longest end that occurred before, by trying every place.
  private func naive(_ text: [Int32], most: Int) -> PromptLookup.Match? {
    var best: (place: Int, length: Int)?
    for place in stride(from: text.count - 2, through: 1, by: -1) {
      var length = 0
      while length < PromptLookup.longest, length <= place,
        text[place - length] == text[text.count - 1 - length]
      {
        length += 1
      }
      if length >= PromptLookup.shortest, length > best?.length ?? 0 { best = (place, length) }
    }
    return best.map {
      PromptLookup.Match(draft: Array(text[($0.place + 1)...].prefix(most)), length: $0.length)
    }
  }

  @Test func `the longest and latest match is found`() {
    var random = SplitMix(seed: 3)
    for vocabulary in [Int32(2), 5, 40] {
      var lookup = PromptLookup(), text: [Int32] = []
      for step in 0..<60 {
        // Few enough occurrences that all are compared.
        let piece = (0..<Int.random(in: 1...4, using: &random)).map { _ in
          Int32.random(in: 0..<vocabulary, using: &random)
        }
        text += piece
        lookup.append(piece)
        #expect(lookup.match(most: 6) == naive(text, most: 6), "\(vocabulary), step \(step)")
      }
      #expect(lookup.count == text.count)
    }
  }

  @Test func `the index grows with the text`() {
    var random = SplitMix(seed: 4)
    let text = (0..<20_000).map { _ in Int32.random(in: 0..<50_000, using: &random) }
    var lookup = PromptLookup()
    lookup.append(text)
    lookup.append(text[500..<508])
    #expect(lookup.match(most: 10) == PromptLookup.Match(draft: Array(text[508..<518]), length: 8))
  }

  @Test func `nothing comes of nothing`() {
    var lookup = PromptLookup()
    #expect(lookup.match(most: 4) == nil)
    lookup.append([1, 2])
    #expect(lookup.match(most: 4) == nil)
    lookup.append([1, 2])
    #expect(lookup.match(most: 0) == nil)
    #expect(lookup.match(most: 4) == PromptLookup.Match(draft: [1, 2], length: 2))
  }
}

@Suite struct DraftPolicyTests {
  private let cost = { (more: Int) in 0.2 * Double(more) }

  @Test func `drafts that never come true cost at most the allowance and the first credit`() {
    var policy = DraftPolicy(), lost = 0.0
    for pass in 1...2_000 {
      let length = policy.length(matchLength: 2 + pass % 9, most: 15, cost: cost)
      if length > 0 {
        policy.settle(matchLength: 2 + pass % 9, drafted: length, accepted: 0, cost: cost(length))
        lost += cost(length)
      } else {
        policy.settle()
      }
      #expect(lost <= 0.5 + DraftPolicy.allowance * Double(pass))
    }
  }

  @Test func `drafts that come true grow`() {
    var policy = DraftPolicy()
    for _ in 0..<12 {
      let length = policy.length(matchLength: 12, most: 15, cost: cost)
      #expect(length > 0)
      policy.settle(matchLength: 12, drafted: length, accepted: length, cost: cost(length))
    }
    #expect(policy.length(matchLength: 12, most: 15, cost: cost) == 15)
    // Where more tokens take as long as they take one by one, nothing is gained.
    #expect(policy.length(matchLength: 12, most: 15) { Double($0) } == 0)
  }

  @Test func `times are learnt, and guessed from the nearest`() {
    var times = PassTimes()
    #expect(!times.isReady)
    times.record(1, seconds: 0.010)
    #expect(times.isReady && times.cost(0) == 0)
    for _ in 0..<40 { times.record(5, seconds: 0.014) }
    #expect(abs(times.cost(4) - 0.4) < 0.01 && abs(times.cost(8) - 0.8) < 0.02)
    times.restart()
    #expect(!times.isReady)
  }
}
