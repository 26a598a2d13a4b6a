import ArgumentParser
import DuetQuantize
import DuetRouter
import DuetRuntime
import DuetTerminal
import Foundation

extension PairCommand {
  /// `duet pair merge`: two adapters of one base become two models.
  struct Merge: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make whole models of a pair's adapters.",
      discussion: """
        Written to a folder are grounded.gguf and free.gguf, which run anywhere that GGUF files run, and the \
        manifest of the pair that they are, pair.json. The router stays the same.

        Examples:
          duet pair merge pair.json --out merged --type Q8_0
          duet chat --pair merged
        """)

    @Argument(help: ArgumentHelp("A manifest, or its folder.", valueName: "pair"))
    var pair: String
    @Option(help: ArgumentHelp("The folder to write to.", valueName: "folder"), completion: .directory)
    var out: String
    @Option(help: "The type of the models, such as Q8_0 or Q4_K_M.")
    var type = "Q8_0"
    @Flag(help: "Replace files that are there.")
    var force = false

    func validate() throws {
      if QuantizationScheme(name: type) == nil { throw ValidationError("there is no type \(type)") }
    }

    func run() throws {
      let files = try PairFiles(pair)
      guard files.manifest.form == .adapters else {
        throw ValidationError("\(pair) consists of whole models already")
      }
      let model = try Model(path: try files.locate(files.manifest.base), kernels: Folders.kernels)
      let folder = Folders.expanded(out)
      do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch
      {
        throw CommandError.cannotWrite(path: folder, problem: problem(error))
      }
      var tunings = [("grounded", files.manifest.grounded), ("free", files.manifest.free)]
      if let seeing = files.manifest.seeing { tunings.append(("seeing", seeing)) }
      for (name, part) in tunings {
        let target = "\(folder)/\(name).gguf"
        try MergedModel(adapter: try files.locate(part), model: model)
          .write(to: target, scheme: QuantizationScheme(name: type), replaces: force)
        try say("\(target): \(type)")
      }
      try writeManifest(files, folder)
    }

    private func writeManifest(_ files: PairFiles, _ folder: String) throws {
      var manifest = files.manifest
      manifest.form = .models
      manifest.name += " \(type)"
      let target = folder + "/pair.json"
      manifest.grounded = try PairFiles.part(folder + "/grounded.gguf", beside: target)
      manifest.free = try PairFiles.part(folder + "/free.gguf", beside: target)
      if manifest.seeing != nil {
        manifest.seeing = try PairFiles.part(folder + "/seeing.gguf", beside: target)
      }
      manifest.router = try manifest.router.map { try PairFiles.part(try files.locate($0), beside: target) }
      manifest.vision = try manifest.vision.map { try PairFiles.part(try files.locate($0), beside: target) }
      let file = try OutputFile(path: target, replaces: force)
      try file.write(manifest.encoded())
      try file.finish()
      try say("\(target): the pair")
    }
  }
}
