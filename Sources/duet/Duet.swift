import ArgumentParser
import DuetRuntime
import DuetTerminal
import Foundation

@main
struct Duet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "duet",
    abstract: "Chat with documents, offline, on a machine without a GPU.",
    discussion: """
      Examples:
        duet chat "What is the capital of France?"
        duet chat --doc notes/ "When does the lease end?"
        duet caption photo.jpg
        duet doctor

      Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted by Ctrl-C.
      """,
    version: "duet 0.1.0",
    subcommands: [
      ChatCommand.self, CaptionCommand.self, InspectCommand.self, TokenizeCommand.self, EmbedCommand.self,
      PerplexityCommand.self, BenchCommand.self, QuantizeCommand.self, ImatrixCommand.self,
      CompareCommand.self, TrainCommand.self, LoRACommand.self, PairCommand.self, EvalCommand.self,
      HistoryCommand.self, PullCommand.self,
      ModelsCommand.self,
      DoctorCommand.self,
    ])

  static func main() async {
    Signals.install()
    Signals.atExit("temporary files") { OutputFile.removeTemporaries() }
    let task = Task { await outcome(Array(CommandLine.arguments.dropFirst())) }
    Signals.onInterrupt {
      // The second Ctrl-C does not wait for the work to stop.
      Signals.onInterrupt(nil)
      task.cancel()
      DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(3)) { Signals.exit(SIGINT) }
    }
    Foundation.exit(await task.value)
  }

  /// Runs the command and gives the exit code.
  private static func outcome(_ arguments: [String]) async -> Int32 {
    do {
      var command = try parseAsRoot(arguments)
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      return Task.isCancelled ? 130 : 0
    } catch {
      return report(error, arguments)
    }
  }

  private static func report(_ error: any Error, _ arguments: [String]) -> Int32 {
    if error is CancellationError || Task.isCancelled { return 130 }
    let code = exitCode(for: error)
    switch code {
    case .success:  // help, the version, a completion script
      do { try say(fullMessage(for: error)) } catch {
        warn("\(error)")
        return 1
      }
      return 0
    case .validationFailure:
      warn(usage(oneLine(message(for: error)), arguments))
      return 2
    default:
      if !(error is ExitCode) { warn(oneLine(describe(error))) }
      return 1
    }
  }

  /// What is wrong with the arguments, and where they are explained.
  private static func usage(_ problem: String, _ arguments: [String]) -> String {
    let names = configuration.subcommands.map { $0._commandName }
    let help = (["duet"] + arguments.prefix(1).filter(names.contains) + ["--help"]).joined(separator: " ")
    let text = problem.prefix(1).lowercased() + problem.dropFirst()
    return text.hasSuffix("?") ? "\(text) See \(help)" : "\(text); see \(help)"
  }

  /// What is wrong, as the error itself says it.
  private static func describe(_ error: any Error) -> String {
    type(of: error) is NSError.Type ? problem(error) : "\(error)"
  }

  private static func oneLine(_ text: String) -> String {
    var line = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
      .joined(separator: " ")
    if line.hasSuffix(".") { line.removeLast() }
    return line
  }
}

/// Says something on standard error.
func warn(_ text: String) { try? StandardStream.errors.write("duet: \(printable(text))\n") }

/// Prints a line.
func say(_ text: String = "") throws { try StandardStream.output.write(text + "\n") }
