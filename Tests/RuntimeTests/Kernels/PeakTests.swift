import DuetRuntime
import Testing

/// What bench calls the limits of the machine.
struct PeakTests {
  @Test(arguments: ["avx2", "avx512"], [false, true])
  func `peak products grow with the rounds`(tier: String, inFloat: Bool) throws {
    guard let operations = try? Operations(tier: tier) else { return }
    let one = try #require(operations.makePeakProducts(inFloat: inFloat, rounds: 1))
    #expect(one > 0 && operations.makePeakProducts(inFloat: inFloat, rounds: 10) == 10 * one)
  }

  @Test func `a prompt uses a part of the CPU's arithmetic, and tokens a part of its reading`() async throws {
    var options = BenchmarkOptions()
    (options.prefill, options.decode, options.repetitions) = (64, 4, 1)
    let engine = try Engine(TinyChat()), result = try await engine.benchmark(options)
    #expect(try #require(result.productsPerSecond) > 0)
    guard engine.model.kernels != "generic" else { return }
    #expect(try #require(result.arithmeticFraction) < 1)
  }
}
