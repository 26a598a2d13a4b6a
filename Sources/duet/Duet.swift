import ArgumentParser
import DuetRuntime

@main
struct Duet: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "duet",
    abstract: "Chat with documents, offline, on a machine without a GPU.")
}
