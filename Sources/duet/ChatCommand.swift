import ArgumentParser
import DuetDocuments
import DuetRouter
import DuetRuntime
import DuetTerminal
import DuetVision
import Foundation

/// `duet chat`: one answer, or a conversation.
struct ChatCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chat",
    abstract: "Ask a model, about documents if you like.",
    discussion: """
      With a prompt, or text on standard input, one answer is given; text on standard input is put below the \
      prompt. Otherwise a conversation starts, in which /help lists the commands.

      Examples:
        duet chat
        duet chat "Write a haiku about rivers."
        duet chat --doc notes/ --doc report.pdf "When does the lease end?"
        git diff | duet chat "Summarise these changes."
        duet chat --image photo.jpg "What is on the table?"
        duet chat --continue
        duet chat --json "What is 2+2?" | jq -r .text
      """)

  @Argument(help: "The question; without one, a conversation starts.")
  var prompt: [String] = []
  @Option(
    name: .customLong("doc"),
    help: ArgumentHelp("A file or folder to answer from; may be given several times.", valueName: "path"),
    completion: .file())
  var documents: [String] = []
  @Option(
    name: .customLong("image"),
    help: ArgumentHelp("A picture that the first question is about: a JPEG or PNG file.", valueName: "file"),
    completion: .file())
  var image: String?
  @OptionGroup var vision: VisionOption
  @Option(help: ArgumentHelp("What the model is told before everything else.", valueName: "text"))
  var system: String?
  @Flag(help: "Print one JSON object instead of the bare answer.")
  var json = false
  @Flag(name: .shortAndLong, help: "Say on standard error what was chosen and how long it took.")
  var verbose = false
  @Flag(help: "Neither keep what prompts became when they were read, nor use what was kept.")
  var noCache = false
  @OptionGroup var resuming: ResumeOptions
  @OptionGroup var model: ModelOption
  @OptionGroup var adapter: AdapterOption
  @OptionGroup var pair: PairPathOption
  @OptionGroup var route: RouteOption
  @OptionGroup var engine: EngineFlags
  @OptionGroup var answer: AnswerFlags

  func validate() throws {
    if json, prompt.isEmpty, StandardStream.input.isTerminal {
      throw ValidationError("--json needs a prompt")
    }
    if image?.isEmpty == true { throw ValidationError("--image needs a path") }
    if image == nil, vision.vision != nil { throw ValidationError("--vision goes with --image") }
    if documents.contains("") { throw ValidationError("--doc needs a path") }
    if pair.path != nil, model.model != nil || adapter.adapter != nil {
      throw ValidationError("--pair brings its own model and adapters; leave out --model and --adapter")
    }
  }

  func run() async throws {
    let question = try question()
    let start = ContinuousClock.now
    let saved = try resuming.open()
    let pairPath = try saved?.pairPath(pair.path, model: model.model) ?? pair.path ?? defaultPair(saved)
    let image = image.map(Folders.absolute) ?? saved?.image
    let speaker = try open(saved, pairPath: pairPath, seesPictures: image != nil)
    let engine = speaker.engine
    let loading = (ContinuousClock.now - start) / .seconds(1)
    let picture = try image.map { try look(at: $0, speaker, pairPath: pairPath) }
    let documents = saved?.documentPaths(documents) ?? documents, system = system ?? saved?.system
    let index = documents.isEmpty ? nil : try DocumentIndex()
    let collection = try index?.collection(documents, isVerbose: verbose)
    let chat = speaker.chat(policy: route.policy, system: system, documents: collection)
    if !chat.hasTemplate { warn("\(speaker.name) is a base model: it continues text rather than chats") }
    let asking = Asking(
      chat: chat, name: speaker.name, options: answer.options, loadSeconds: loading, isVerbose: verbose,
      isConversation: question == nil, picture: picture)
    if verbose {
      warn(
        "\(speaker.name), kernels \(engine.model.kernels), threads \(engine.threads), loaded in \(Figures.short(loading)) s"
      )
    }
    var new = SavedConversation(
      model: engine.model.file.path, modelName: speaker.name, adapter: adapter.adapter, pair: pairPath,
      system: system, documents: documents)
    new.image = image
    if let saved { chat.goOn(from: saved.chatMessages(about: picture), lastNumber: saved.lastNumber) }
    let keeper = ConversationKeeper(
      saved ?? new, isOn: !resuming.noHistory && (question == nil || saved != nil))
    if let question {
      try await asking.once(question, json: json, keeper)
    } else {
      try await Conversation(asking: asking, keeper: keeper).run()
    }
    await speaker.finishSaving()
  }

  /// What the model is to see.
  private func look(at image: String, _ speaker: Speaker, pairPath: String?) throws -> InputEmbeddings {
    let encoder = try vision.open(pairPath, for: speaker.engine)
    let file = PictureFile(name: image, path: image)
    return encoder.embeddings(of: try file.bitmap(for: encoder))
  }

  /// The pair that comes with Duet, where nothing says who is to answer.
  private func defaultPair(_ saved: SavedConversation?) -> String? {
    saved == nil && model.model == nil && adapter.adapter == nil ? DefaultPair.path : nil
  }

  private func open(_ saved: SavedConversation?, pairPath: String?, seesPictures: Bool) throws -> Speaker {
    var options = engine.options
    options.pageFolder = noCache ? nil : Folders.pages
    options.contextLength = answer.context
    if let pairPath { return .pair(try PairFiles(pairPath).open(options, seesPictures: seesPictures)) }
    let model = try ModelOption.open(saved?.modelPath(model.model) ?? model.model)
    if let context = answer.context, context > model.config.contextLength {
      warn("the model's context holds \(model.config.contextLength) tokens; --context is lowered to that")
      options.contextLength = model.config.contextLength
    }
    let adapter = try saved?.adapterText(adapter.adapter) ?? adapter.adapter
    return .model(Engine(model, options), try adapter.flatMap { try AdapterOption.open($0, for: model) })
  }

  /// The prompt with what stands on standard input; nil where a conversation is to start.
  private func question() throws -> String? {
    let given = prompt.joined(separator: " ")
    let kind = StandardStream.input.kind
    if kind == .terminal, prompt.isEmpty { return nil }
    let piped = kind == .file || kind == .pipe ? try Input.text(nil) : ""
    let parts = [given, piped].filter { !$0.allSatisfy(\.isWhitespace) }
    guard !parts.isEmpty else { throw ValidationError("the prompt is empty; give a question") }
    return parts.joined(separator: "\n\n")
  }
}
