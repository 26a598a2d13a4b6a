import ArgumentParser
import DuetDownload
import DuetRouter
import DuetRuntime
import DuetTerminal
import Foundation

/// `duet pair`: makes and examines pairs.
struct PairCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pair",
    abstract: "Make a pair of two tunings, or see what one consists of.",
    discussion: """
      A pair is a base model with two tunings, one trained with context (grounded) and one without (free), and a \
      router that picks one for each turn of a chat.

      Examples:
        duet pair make --base model.gguf --grounded g.gguf --free f.gguf -o pair.json
        duet chat --pair pair.json --doc notes/ "When does the lease end?"
      """,
    subcommands: [Make.self, Inspect.self, Verify.self, Merge.self, TrainRouter.self])

  /// `duet pair make`: writes a manifest.
  struct Make: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write the manifest of a pair.",
      discussion: """
        The tunings are both LoRA adapters of the base, or both whole models. Both are opened, so that what does \
        not fit together is refused now.
        """)

    @Option(help: ArgumentHelp("The model that both are tunings of.", valueName: "path|name"))
    var base: String
    @Option(help: ArgumentHelp("The tuning trained with context.", valueName: "file"))
    var grounded: String
    @Option(help: ArgumentHelp("The tuning trained without.", valueName: "file"))
    var free: String
    @Option(
      help: ArgumentHelp("The router's weights (default: presence of context decides).", valueName: "file"))
    var router: String?
    @Option(
      help: ArgumentHelp(
        "An mmproj file, as duet train --vision makes it.", valueName: "file"))
    var vision: String?
    @Option(
      help: ArgumentHelp(
        "The tuning that was trained with --vision (default: the grounded one answers about pictures).",
        valueName: "file"))
    var seeing: String?
    @Option(help: "What the pair is called (default: the manifest's name).")
    var name: String?
    @Option(
      help: ArgumentHelp(
        "The licence of the tunings and the router, such as CC-BY-SA-4.0.", valueName: "name"))
    var licence: String?
    @Option(
      help: ArgumentHelp(
        "The licence of the vision part and the tuning trained with it (default: --licence).",
        valueName: "name")
    )
    var visionLicence: String?
    @Option(
      help: ArgumentHelp(
        "The eval.json of an evaluation whose routed row the manifest is to give.", valueName: "file"))
    var scores: String?
    @Option(name: [.customShort("o"), .long], help: ArgumentHelp("The manifest.", valueName: "file"))
    var output: String
    @Flag(help: "Replace a manifest that is there.")
    var force = false

    func run() throws {
      let output = Folders.expanded(output)
      let basePath = try ModelFiles.path(base)
      let isAdapter = try Self.isAdapter(grounded)
      guard try Self.isAdapter(free) == isAdapter else {
        throw ValidationError("--grounded and --free must both be adapters, or both be models")
      }
      if let seeing, try Self.isAdapter(seeing) != isAdapter {
        throw ValidationError("--seeing must be of the same kind as the other tunings")
      }
      var manifest = PairManifest(
        name: name ?? Self.name(output), form: isAdapter ? .adapters : .models,
        base: try PairFiles.part(basePath, beside: output, isModel: true),
        grounded: try part(grounded, output), free: try part(free, output),
        router: try router.map { try part($0, output) })
      manifest.vision = try vision.map { try part($0, output, licence: visionLicence) }
      manifest.seeing = try seeing.map { try part($0, output, licence: visionLicence) }
      manifest.scores = try scores.map(Self.routedScores)
      let files = PairFiles(path: output, manifest: manifest)
      let pair = try files.open(EngineOptions())
      try files.checkVision(of: pair)
      let file = try OutputFile(path: output, replaces: force)
      try file.write(manifest.encoded())
      try file.finish()
    }

    private func part(_ path: String, _ output: String, licence own: String? = nil) throws
      -> PairManifest.Part
    {
      var part = try PairFiles.part(path, beside: output)
      if let licence = own ?? licence { part.licence = licence }
      return part
    }

    /// The points of the routed row of an evaluation, by column.
    private static func routedScores(_ path: String) throws -> [String: Double] {
      struct Estimate: Decodable { let mean: Double }
      struct Row: Decodable {
        let name: String
        let columns: [String: Estimate]
      }
      struct Report: Decodable { let rows: [Row] }
      let path = Folders.expanded(path)
      guard let data = FileManager.default.contents(atPath: path) else {
        throw CommandError.cannotRead(path: path, problem: systemMessage(ENOENT))
      }
      guard let report = try? JSONDecoder().decode(Report.self, from: data),
        let row = report.rows.first(where: { $0.name == "routed" })
      else { throw CommandError.badScores(path: path) }
      return row.columns.mapValues { ($0.mean * 10).rounded() / 10 }
    }

    private static func isAdapter(_ path: String) throws -> Bool {
      try GGUFFile(path: Folders.expanded(path)).metadata.string("general.type") == "adapter"
    }

    private static func name(_ path: String) -> String {
      let file = path.split(separator: "/").last.map(String.init) ?? "pair"
      return file.hasSuffix(".json") ? String(file.dropLast(5)) : file
    }
  }

  /// `duet pair inspect`: shows a manifest.
  struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show what a pair consists of.")

    @Argument(help: ArgumentHelp("A manifest, or its folder.", valueName: "pair"))
    var pair: String
    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
      let files = try PairFiles(pair)
      if json { return try say(files.manifest.encoded().trimmingCharacters(in: .newlines)) }
      try say("\(printable(files.manifest.name)): two \(files.manifest.form.rawValue) of one model\n")
      var table = Table([("part", .left), ("file", .left), ("bytes", .right), ("licence", .left)])
      for (role, part) in files.manifest.parts {
        let path = try? files.locate(part)
        let size = path.flatMap { try? FileManager.default.attributesOfItem(atPath: $0)[.size] as? Int }
        table.append([
          role, printable(part.file), size.map(Figures.grouped) ?? "missing", printable(part.licence ?? ""),
        ])
      }
      for line in table.lines { try say(line) }
      for (column, score) in (files.manifest.scores ?? [:]).sorted(by: { $0.key < $1.key }) {
        try say("\(printable(column)): \(Figures.fixed(score, 1))")
      }
    }
  }

  /// `duet pair verify`: compares digests and opens everything.
  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check that a pair's files are those that it was made with, and that they open.")

    @Argument(help: ArgumentHelp("A manifest, or its folder.", valueName: "pair"))
    var pair: String

    func run() throws {
      let files = try PairFiles(pair)
      for (role, part) in files.manifest.parts where role != "base" || files.manifest.form == .adapters {
        let path = try files.locate(part)
        guard try SHA256.text(ofFile: path) == part.sha256.lowercased() else {
          throw PairError.changed(path: files.path, role: role, file: path)
        }
      }
      try files.checkVision(of: try files.open(EngineOptions()))
      try say("\(printable(files.manifest.name)) is whole.")
    }
  }
}
