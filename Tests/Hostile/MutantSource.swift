import DuetRuntime

/// Where mutants of one kind of file come from, and what a program does with them.
protocol MutantSource {
  /// Bytes that the sound files take in this process.
  var ownBytes: Int { get }
  /// How the files' names end.
  var suffix: String { get }
  /// The mutant of this number, the same each time.
  func mutant(_ number: Int) -> Mutant
  /// Does with the file what a program does.
  func exercise(path: String) -> Outcome
  /// Bytes of memory that a file of `size` bytes may take.
  func allowance(size: Int) -> Int
}

extension Mutator: MutantSource {
  var ownBytes: Int { anatomy.bytes.count }
  var suffix: String { "gguf" }
  func exercise(path: String) -> Outcome { exerciseModel(path: path) }
  func allowance(size: Int) -> Int { 2 * size + 64 << 20 }
}
