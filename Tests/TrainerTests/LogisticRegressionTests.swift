import DuetTrainer
import Foundation
import Testing

@Suite("Logistic regression")
struct LogisticRegressionTests {
  private func logit(_ p: Double) -> Double { log(p / (1 - p)) }

  @Test("of one feature with two values finds the logarithms of the odds")
  func odds() {
    // 3 of 10 where the feature is 0, 16 of 20 where it is 2.
    let features: [[Float]] = Array(repeating: [0], count: 10) + Array(repeating: [2], count: 20)
    let labels = (0..<10).map { $0 < 3 } + (0..<20).map { $0 < 16 }
    let fit = LogisticRegression(features: features, labels: labels, ridge: 1e-9)
    #expect(abs(fit.bias - logit(0.3)) < 1e-5)
    #expect(abs(fit.weights[0] - (logit(0.8) - logit(0.3)) / 2) < 1e-5)
  }

  @Test("does not care for a feature that never changes, and stays finite where classes part cleanly")
  func odd() {
    let features: [[Float]] = (0..<40).map { [Float($0), 7] }
    let fit = LogisticRegression(features: features, labels: (0..<40).map { $0 >= 20 })
    #expect(abs(fit.weights[1]) < 1e-6 && fit.weights.allSatisfy(\.isFinite))
    let middle = fit.bias + 19.5 * fit.weights[0] + 7 * fit.weights[1]
    #expect(abs(middle) < 1e-3 && fit.weights[0] > 0)
  }
}
