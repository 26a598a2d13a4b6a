import DuetRuntime
import FoundationEssentials

let path = ProcessInfo.processInfo.environment["DUET_MODEL"] ?? "SmolLM2-135M-Instruct.Q4_1.gguf"
let session = Session(Engine(try Model(path: path)))
for try await text in session.reply(to: "Why is the sky blue?") {
  print(text, terminator: "")
}
print()
