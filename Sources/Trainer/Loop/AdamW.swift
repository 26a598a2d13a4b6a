import CKernels
import DuetRuntime

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

func cosine(_ x: Double) -> Double { cos(x) }

/// AdamW (arXiv 1711.05101), as `torch.optim.AdamW` defines it.
struct AdamW {
  var beta1 = 0.9
  var beta2 = 0.999
  var epsilon = 1e-8
  let weightDecay: Double
  /// The largest norm of the gradient; 0 for no limit.
  let clip: Double
  private static let part = 65_536

  init(weightDecay: Double, clip: Double) {
    self.weightDecay = weightDecay
    self.clip = clip
  }

  /// The norm of all gradients together. O(parameters).
  func norm(_ parameters: [Parameter], _ kernels: TrainingKernels) -> Double {
    parameters.reduce(0) { $0 + kernels.sumOfSquares($1.gradient, 0..<$1.count) }.squareRoot()
  }

  /// Changes the parameters. `step` counts from 1.
  func update(
    _ parameters: [Parameter], norm: Double, rate: Double, step: Int, _ kernels: TrainingKernels,
    _ pool: ThreadPool
  ) {
    let first = 1 - pow(beta1, Double(step)), second = 1 - pow(beta2, Double(step))
    var options = duet_adamw(
      rate: Float(rate), decay: 0, beta1: Float(beta1), beta2: Float(beta2), epsilon: Float(epsilon),
      step: Float(rate / first), root: Float(1 / second.squareRoot()), scale: 1)
    if clip > 0, norm > clip { options.scale = Float(clip / (norm + 1e-6)) }
    for parameter in parameters {
      options.decay = parameter.decays ? Float(weightDecay) : 0
      let fixed = options
      pool.forEachPart(parameter.count, size: Self.part) { _, range in
        kernels.adamW(
          parameter.value, gradient: parameter.gradient, mean: parameter.mean, square: parameter.square,
          range, fixed)
      }
    }
  }
}
