import DuetRuntime

/// Makes mutants of a small adapter, and tries them on the tiny model that it adapts.
struct AdapterMutator: MutantSource {
  private let mutator: Mutator
  private let model: Model

  init(seed: UInt64) throws {
    mutator = try Mutator(model: SeedModel.adapterBytes(), seed: seed)
    model = try SeedModel.open()
  }

  var ownBytes: Int { mutator.ownBytes }
  var suffix: String { mutator.suffix }
  func mutant(_ number: Int) -> Mutant { mutator.mutant(number) }
  func exercise(path: String) -> Outcome { exerciseAdapter(path: path, of: model) }
  func allowance(size: Int) -> Int { mutator.allowance(size: size) }
}
