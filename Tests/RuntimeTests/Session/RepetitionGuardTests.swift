import DuetRuntime
import Testing

@Suite("An answer that goes in circles")
struct RepetitionGuardTests {
  private func ends(_ start: [Int32], then period: [Int32], times: Int) -> Bool {
    RepetitionGuard.isCaught(start + Array(repeatElement(period, count: times).joined()))
  }

  @Test("is caught at the third time round, whatever came before", arguments: [8, 12, 40, 96])
  func caught(_ period: Int) {
    let block = (0..<Int32(period)).map { $0 + 100 }
    #expect(ends([1, 2, 3], then: block, times: 3))
    #expect(!ends([1, 2, 3], then: block, times: 2))
  }

  @Test("needs 24 tokens of a short period", arguments: [1, 2, 3, 6])
  func short(_ period: Int) {
    let block = (0..<Int32(period)).map { $0 + 100 }
    #expect(ends([1, 2], then: block, times: 24 / period))
    #expect(!ends([1, 2], then: block, times: 24 / period - 1))
  }

  @Test("is not seen in text that only recurs now and then")
  func harmless() {
    let list = (0..<30).flatMap { [Int32](arrayLiteral: 5, 6, Int32($0) + 50, 7) }
    #expect(!RepetitionGuard.isCaught(list))
    #expect(!RepetitionGuard.isCaught([]))
  }
}
