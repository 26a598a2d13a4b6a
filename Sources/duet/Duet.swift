import ArgumentParser
import DuetRuntime

@main
struct Duet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "duet",
    abstract: "Chat with documents, offline, on a machine without a GPU.", subcommands: [Try.self])
}

struct Try: AsyncParsableCommand {
  @Argument var model: String
  @Argument var prompt: String
  @Option var system: String?
  func run() async throws {
    let model = try Model(path: model)
    let engine = Engine(model)
    let session = Session(engine, system: system)
    for try await event in session.events(replyingTo: prompt) {
      switch event {
      case .text(let text): print(text, terminator: "")
      default: print(event)
      }
    }
    print("")
    let result = try await engine.benchmark(BenchmarkOptions())
    print(result, result.bandwidthFraction ?? 0)
  }
}
