import DuetDocuments
import DuetRouter
import DuetRuntime

/// Who answers in a chat.
enum Speaker {
  case model(Engine, Tuning?)
  case pair(Pair)

  /// What runs the model, or the tuning that answers from context.
  var engine: Engine {
    switch self {
    case .model(let engine, _): engine
    case .pair(let pair): pair.grounded.engine
    }
  }

  var name: String {
    switch self {
    case .model(let engine, _): engine.model.name
    case .pair(let pair): pair.name
    }
  }

  func chat(policy: Router.Policy, system: String?, documents: DocumentCollection?) -> Chat {
    switch self {
    case .model(let engine, let tuning): Chat(engine, system: system, documents: documents, tuning: tuning)
    case .pair(let pair): Chat(pair, policy: policy, system: system, documents: documents)
    }
  }

  /// Waits until what prompts became is on disk.
  func finishSaving() async {
    await engine.finishSaving()
    if case .pair(let pair) = self { await pair.free.engine.finishSaving() }
  }
}
