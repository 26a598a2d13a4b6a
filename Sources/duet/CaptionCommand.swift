import ArgumentParser
import DuetRouter
import DuetRuntime
import DuetTerminal
import DuetVision
import Foundation

/// `duet caption`: says what pictures show.
struct CaptionCommand: AsyncParsableCommand {
  enum Length: String, ExpressibleByArgument, CaseIterable { case short, long }

  static let configuration = CommandConfiguration(
    commandName: "caption",
    abstract: "Describe pictures, offline.",
    discussion: """
      Pictures are JPEG or PNG files, folders of them, or one on standard input (-). One that cannot be read is named \
      and left out; the exit code then is 1.

      The vision part that comes with Duet was trained on Flickr8k, whose pictures are for research use: everyday \
      scenes of people and dogs. It is a small model: it errs, above all on what is rare in such pictures.

      Examples:
        duet caption photo.jpg
        duet caption *.jpg --json
        duet caption holiday/ --format sidecar
        duet caption --format alt --length long photo.jpg
      """)

  @Argument(help: ArgumentHelp("Pictures, or folders of them.", valueName: "path"), completion: .file())
  var paths: [String]
  @Option(help: "How the captions are written: text, json, csv, markdown, alt, sidecar or xmp-sidecar.")
  var format: CaptionFormat?
  @Flag(help: "The same as --format json: one object a line.")
  var json = false
  @Option(help: "short for a sentence, long for some.")
  var length = Length.short
  @Option(
    help: ArgumentHelp("Ask this about each picture instead.", valueName: "text"))
  var question: String?
  @Option(
    help: ArgumentHelp(
      "Say how likely each of these answers to --question is, instead of a caption.", valueName: "a,b,…"))
  var choices: String?
  @Option(help: "The most tokens of a caption (default: 48, long 160).")
  var maxTokens: Int?
  @Option(
    help:
      "Continuations that are followed side by side, of which the likeliest is the caption."
  )
  var beams = 1
  @Option(
    help: ArgumentHelp(
      "Draw which regions of the picture each word attended to: an SVG file, of one picture.",
      valueName: "file"),
    completion: .file(extensions: ["svg"]))
  var explain: String?
  @Flag(help: "In JSON, how much each token of a caption attended to the picture, 0 to 1.")
  var attention = false
  @Flag(help: "Replace sidecar files, or the drawing of --explain, that are there.")
  var force = false
  @Flag(name: .shortAndLong, help: "Say on standard error how long it took.")
  var verbose = false
  @OptionGroup var vision: VisionOption
  @OptionGroup var model: ModelOption
  @OptionGroup var adapter: AdapterOption
  @OptionGroup var pair: PairPathOption
  @OptionGroup var engine: EngineFlags

  func validate() throws {
    if paths.isEmpty || paths.contains("") { throw ValidationError("give a picture or a folder of pictures") }
    if json, let format, format != .json { throw ValidationError("--json and --format exclude each other") }
    if question?.isEmpty == true { throw ValidationError("--question is empty") }
    try check("--max-tokens", maxTokens, 1...8_192)
    try check("--beams", beams, 1...16)
    if explain != nil, choices != nil { throw ValidationError("--explain draws captions, not --choices") }
    if explain?.isEmpty == true { throw ValidationError("--explain needs a path") }
    if attention, !json && format != .json || choices != nil {
      throw ValidationError("--attention is of captions in JSON")
    }
    if choices != nil {
      guard question != nil else { throw ValidationError("--choices are the answers to a --question") }
      guard alternatives.count > 1 else { throw ValidationError("--choices needs two answers or more") }
    }
    if pair.path != nil, model.model != nil || adapter.adapter != nil {
      throw ValidationError("--pair brings its own model and adapters; leave out --model and --adapter")
    }
    if format?.isSidecar == true, paths.contains("-") {
      throw ValidationError("a picture on standard input has no place for a sidecar file")
    }
  }

  private func checkExplanation(_ path: String, _ files: [PictureFile]) throws {
    guard files.count == 1 else {
      throw ValidationError("--explain draws one picture, and \(files.count) are given")
    }
    if files[0].path == nil { throw ValidationError("--explain draws the picture of a file") }
    let full = Folders.expanded(path)
    if !force, FileManager.default.fileExists(atPath: full) { throw OutputError.exists(path: full) }
  }

  private var alternatives: [String] {
    (choices ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter {
      !$0.isEmpty
    }
  }

  private static let longQuestion = "Describe the picture in detail."

  func run() async throws {
    let start = ContinuousClock.now
    let files = try PictureFiles.all(paths)
    let seeing = try SeeingModel(vision: vision, model: model, adapter: adapter, pair: pair, engine.options)
    var options = GenerationOptions()
    options.recordsAttention = explain != nil || attention
    if let explain { try checkExplanation(explain, files) }
    options.beams = beams
    options.maxTokens = maxTokens ?? (length == .long ? 160 : 48)
    // A small model goes on and repeats itself after the sentence that it was asked for.
    if length == .short { options.stops = [". ", "\n"] }
    let question = question ?? (length == .long ? Self.longQuestion : seeing.question)
    let writer = CaptionWriter(
      format: json ? .json : format ?? .text, isSingle: files.count == 1, replaces: force)
    if verbose { warn("loaded in \(Figures.short((ContinuousClock.now - start) / .seconds(1))) s") }
    let bar = Progress("describing", unit: "pictures")
    defer { bar.clear() }
    var failed = 0
    for (index, file) in files.enumerated() {
      let begun = ContinuousClock.now
      do {
        var caption = Caption(file: file.name)
        if choices != nil {
          caption.choose(alternatives, try await seeing.probabilities(file, question, alternatives))
        } else {
          let said = try await seeing.caption(file, question, options)
          caption.caption = said.text
          if attention { caption.attention = said.attention.map { $0.shares.reduce(0, +) } }
          if let explain {
            try Explanation(said.attention, caption: said.text)
              .write(to: Folders.expanded(explain), picture: file, replaces: force)
          }
        }
        caption.seconds = (ContinuousClock.now - begun) / .seconds(1)
        bar.clear()
        try writer.write(caption, at: file.path)
      } catch let error as PictureError {
        failed += 1
        bar.clear()
        warn("\(error)")
      }
      bar.update(index + 1, of: files.count)
    }
    bar.clear()
    if verbose {
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      let done = files.count - failed
      warn(
        "\(done) pictures in \(Figures.short(seconds)) s, \(Figures.short(Double(done) / seconds)) a second")
    }
    guard failed == 0 else {
      if files.count > 1 { warn("\(failed) of \(files.count) pictures could not be described") }
      throw ExitCode(1)
    }
  }
}

/// Which vision file sees.
struct VisionOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The encoder and projector: an mmproj GGUF file for the model (default: the pair's).", valueName: "file"
    ),
    completion: .file(extensions: ["gguf"]))
  var vision: String?

  func validate() throws {
    if vision?.isEmpty == true { throw ValidationError("--vision needs a path") }
  }

  /// Opens the file that was given, or that of the pair.
  ///
  /// - Parameter pair: the manifest of who answers; nil for a model alone, which needs a file of its own.
  func open(_ pair: String?, for engine: Engine) throws -> VisionEncoder {
    let path: String
    if let vision {
      path = Folders.expanded(vision)
    } else if let pair {
      path = try PairFiles(pair).visionPath()
    } else {
      throw ValidationError("a model needs --vision, the mmproj file that goes with it")
    }
    let encoder = try VisionEncoder(path: path, threads: engine.threads, tier: Folders.kernels)
    try encoder.check(engine.model)
    return encoder
  }
}

/// A model with eyes: a pair's *seeing* tuning, or a model with a vision file of its own.
struct SeeingModel {
  let engine: Engine
  let tuning: Tuning?
  let encoder: VisionEncoder
  /// What the projector was trained to have asked.
  let question: String

  init(
    vision: VisionOption, model: ModelOption, adapter: AdapterOption, pair: PairPathOption,
    _ options: EngineOptions
  ) throws {
    let isBare = model.model != nil || adapter.adapter != nil
    let path = pair.path ?? (isBare ? nil : DefaultPair.path)
    if let path {
      let voice = try PairFiles(path).open(options).seeing
      (engine, tuning) = (voice.engine, voice.tuning)
    } else {
      let model = try model.open()
      (engine, tuning) = (Engine(model, options), try adapter.open(for: model))
    }
    encoder = try vision.open(path, for: engine)
    question = encoder.question ?? VisionFlags.defaultQuestion
  }

  /// - Throws: `PictureError` where the picture is at fault.
  func caption(
    _ file: PictureFile, _ question: String, _ options: GenerationOptions
  ) async throws -> (text: String, attention: [AttendedToken]) {
    let picture = try encoder.embeddings(of: file.bitmap(for: encoder))
    let session = Session(engine, tuning: tuning)
    var completion = Completion()
    for try await case .finished(let ended) in session.events(replyingTo: question, about: picture, options) {
      completion = ended
    }
    var text = completion.text.trimmingCharacters(in: .whitespacesAndNewlines)
    if completion.reason == .stopString, let last = text.last, !".!?".contains(last) { text += "." }
    return (text, completion.attention)
  }

  /// How likely each of some answers is.
  ///
  /// - Throws: `PictureError` where the picture is at fault.
  func probabilities(_ file: PictureFile, _ question: String, _ answers: [String]) async throws -> [Double] {
    try await Session(engine, tuning: tuning).probabilities(
      of: answers, to: question, about: encoder.embeddings(of: file.bitmap(for: encoder)))
  }
}

extension VisionEncoder {
  /// Refuses a file that was made for a model of another width.
  func check(_ model: Model) throws {
    let width = model.config.embeddingLength
    guard self.width == width else { throw SessionError.pictureWidth(self.width, model: width) }
  }
}

extension PairFiles {
  /// Opens the vision part, if there is one, and compares its width with the model's.
  func checkVision(of pair: Pair) throws {
    guard let part = manifest.vision else { return }
    try VisionEncoder(path: try locate(part), threads: 1).check(pair.seeing.engine.model)
  }

  /// The pair's own vision file.
  func visionPath() throws -> String {
    guard let part = manifest.vision else { throw CommandError.blindPair(path: path) }
    return try locate(part)
  }
}
