import DuetRuntime
import Foundation
import Testing

/// The encoder against its definition in double precision.
@Suite struct SentenceEncoderTests {
  private func texts(_ lengths: [Int]) -> [[Int]] {
    var random = SplitMix(seed: 5)
    return lengths.map { (0..<$0).map { _ in Int.random(in: 0..<5, using: &random) } }
  }

  @Test(arguments: Kernels.all, [false, true])
  func `vectors are those of the definition, whatever the length`(_ kernels: Kernels, _ first: Bool) throws {
    let tiny = TinyEncoder(firstPooling: first)
    let file = try tiny.open()
    let encoder = try SentenceEncoder(file: file, threads: 2, kernels: kernels.testDescription)
    let numbers = texts([0, 1, 2, 7, 31, 62, 63, 64, 130, 260, 318])
    let vectors = encoder.vectors(of: numbers.map { $0.map { tiny.words[$0] }.joined(separator: " ") })
    for (text, vector) in zip(numbers, vectors) {
      let error = zip(vector, tiny.vector(text)).map { abs(Double($0) - $1) }.max() ?? 1
      #expect(error < 2e-5, "\(text.count) words")
    }
  }

  @Test func `threads and neighbours change nothing`() throws {
    let tiny = TinyEncoder()
    let file = try tiny.open()
    let one = try SentenceEncoder(file: file, threads: 1)
    let two = try SentenceEncoder(file: file, threads: 2)
    let texts = texts([3, 100, 40, 5]).map { $0.map { tiny.words[$0] }.joined(separator: " ") }
    #expect(one.vectors(of: texts) == two.vectors(of: texts))
    for text in texts { #expect(one.vectors(of: [text])[0] == two.vectors(of: [text])[0]) }
    #expect(one.vectors(of: []).isEmpty)
  }

  @Test func `long texts are cut, and a decoder is refused`() throws {
    let tiny = TinyEncoder()
    let file = try tiny.open()
    let encoder = try SentenceEncoder(file: file)
    let long = [String](repeating: "cat", count: 318).joined(separator: " ")
    #expect(encoder.vectors(of: [long + " dog ran"]) == encoder.vectors(of: [long]))
    #expect(encoder.dimensions == 64 && encoder.maximumTokens == 320)
    let decoder = try TinyModel(.llama).builder().open()
    #expect { _ = try SentenceEncoder(file: decoder) } throws: { "\($0)".contains("bert") }
  }

  /// Such files need not be large, for their tensors may share bytes.
  @Test func `shapes that take too much memory are refused`() throws {
    var file = TinyEncoder().builder()
    file.set("bert.feed_forward_length", .uint32(1 << 20))
    #expect { _ = try SentenceEncoder(file: file.open()) } throws: { "\($0)".contains("too much memory") }
    file = TinyEncoder().builder()
    for (key, value) in [("embedding_length", 1_024), ("attention.head_count", 1)] {
      file.set("bert.\(key)", .uint32(UInt32(value)))
    }
    file.tensors.removeAll { $0.name == "token_embd.weight" }
    file.addFloats("token_embd.weight", shape: [1_024, 9], [Float](repeating: 0, count: 9 * 1_024))
    #expect { _ = try SentenceEncoder(file: file.open()) } throws: { "\($0)".contains("heads of 1024") }
  }
}
