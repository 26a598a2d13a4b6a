import DuetTrainer
import Foundation

/// Lets OpenBLAS use the processor's vectors.
enum CoreType {
  private static let variable = "OPENBLAS_CORETYPE"

  /// Starts this program anew where OpenBLAS does not know the processor: it reads what it is told when it is loaded,
  /// before anything of ours runs. To be called before anything is written.
  ///
  /// - Parameter kernels: those of the model.
  static func settle(_ kernels: String) {
    guard Folders.environment[variable] == nil, let type = MatrixProduct.coreType(for: kernels) else {
      return
    }
    #if os(Linux)
      unsafe setenv(variable, type, 1)
      // The new program's first thread gets this one's mask, and threads of the pool let no signal through.
      var none = sigset_t()
      unsafe sigemptyset(&none)
      unsafe pthread_sigmask(SIG_SETMASK, &none, nil)
      var arguments = unsafe CommandLine.arguments.map { unsafe strdup($0) }
      unsafe arguments.append(nil)
      // Comes back only where that fails; all goes on then, but slower.
      unsafe execv("/proc/self/exe", arguments)
    #endif
  }
}
