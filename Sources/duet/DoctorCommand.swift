import ArgumentParser
import DuetRuntime
import DuetTerminal
import Foundation

/// `duet doctor`: whether everything is there.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Check this machine, and say what is missing.",
    discussion: """
      Exits with 1 only if chat cannot work.

      Examples:
        duet doctor
        duet doctor --json | jq .problems
      """)

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let examination = Examination()
    if json { try printJSON(examination) } else { try show(examination) }
    if !examination.ok { throw ExitCode(1) }
  }

  private func show(_ found: Examination) throws {
    let cpu = found.cpu, memory = found.memory
    var table = Table([("", .left), ("", .left)])
    table.append(["CPU", "\(cpu.cores) cores, \(cpu.features)"])
    table.append([
      "kernels", (cpu.kernels.value ?? "none") + (cpu.duetCpu.value.map { " (DUET_CPU=\($0))" } ?? ""),
    ])
    table.append([
      "memory", "\(Figures.bytes(memory.totalBytes)), \(Figures.bytes(memory.availableBytes)) available",
    ])
    table.append(["models", found.models.folder])
    for model in found.models.files {
      table.append(["", "\(model.name), \(Figures.bytes(model.bytes))\(model.isDefault ? " (default)" : "")"])
    }
    let space = found.data.freeBytes.value.map { ", \(Figures.bytes($0)) free" } ?? ""
    table.append(["data", "\(found.data.folder)\(found.data.isWritable ? "" : ", not writable")\(space)"])
    table.append(["PDF", found.pdftotext.value ?? "no pdftotext"])
    for line in table.lines.dropFirst() { try say(printable(line)) }
    try say()
    for problem in found.problems { try say("\(problem.isFatal ? "missing" : "note"): \(problem.text)") }
    try say(found.ok ? "duet chat is ready." : "duet chat cannot work yet.")
  }
}
