import Foundation

/// Makes mutants of sentence encoders: of folders as sentence-transformers writes them, packed as
/// those of checkpoints are, and of GGUF files.
struct EncoderMutator: MutantSource {
  private let folders: CheckpointMutator
  private let files: [Mutator]

  init(seed: UInt64) throws {
    folders = CheckpointMutator(seed: seed, seeds: SeedEncoder.folders, open: exerciseEncoder)
    files = try SeedEncoder.files.map { try Mutator(model: $0, seed: seed) }
  }

  var ownBytes: Int { folders.ownBytes + files.reduce(0) { $0 + $1.ownBytes } }
  var suffix: String { "encoder" }
  func allowance(size: Int) -> Int { folders.allowance(size: size) }

  /// Folders and files in turn; the large files are left to models, which are read the same way.
  func mutant(_ number: Int) -> Mutant {
    let half = number / 2
    guard number % 2 == 1 else { return folders.mutant(half) }
    return files[half % files.count].mutant(half + Amplifier.allCases.count)
  }

  /// A pack begins with the length of a name, which no file does.
  func exercise(path: String) -> Outcome {
    let start = FileHandle(forReadingAtPath: path).flatMap { try? $0.read(upToCount: 4) }
    return start == Data("GGUF".utf8) ? exerciseEncoder(path: path) : folders.exercise(path: path)
  }
}
