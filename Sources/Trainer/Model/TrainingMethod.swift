/// What training changes.
public enum TrainingMethod: Sendable, Equatable {
  /// Small matrices beside the frozen ones (arXiv 2106.09685).
  case lora(LoRAOptions)
  /// Every weight.
  case full
  /// What turns a picture's features into vectors of a model that stays as it is, or has small matrices trained
  /// beside its own.
  case projector(ProjectorOptions)

  var isFull: Bool { self == .full }

  /// The small matrices that are trained; nil where there are none.
  var lora: LoRAOptions? {
    switch self {
    case .lora(let options): options
    case .projector(let options): options.lora
    case .full: nil
    }
  }

  /// The same text for the same method; sets have no order of their own.
  var identity: String {
    if case .projector(let options) = self {
      let beside = options.lora.map { " and \(TrainingMethod.lora($0).identity)" } ?? ""
      return "projector of \(options.features) features over \(options.hidden) values\(beside)"
    }
    guard case .lora(let options) = self else { return "full" }
    let targets = LoRAOptions.Target.allCases.filter(options.targets.contains).map(\.rawValue)
    return "lora of rank \(options.rank), alpha \(options.alpha), dropout \(options.dropout) on "
      + targets.joined(separator: " ")
  }
}

/// The shape of a picture's projector.
public struct ProjectorOptions: Sendable, Equatable {
  /// Values of a feature.
  public let features: Int
  /// Values between the two layers.
  public let hidden: Int
  /// Small matrices of the model that are trained with it; nil for none.
  public let lora: LoRAOptions?

  /// - Precondition: `features` and `hidden` are positive.
  public init(features: Int, hidden: Int, lora: LoRAOptions? = nil) {
    precondition(features > 0 && hidden > 0, "a projector has a width")
    self.features = features
    self.hidden = hidden
    self.lora = lora
  }
}

/// The shape of a low-rank adapter.
public struct LoRAOptions: Sendable, Equatable {
  /// The matrices that can be adapted.
  public enum Target: String, Sendable, CaseIterable {
    case query = "q"
    case key = "k"
    case value = "v"
    case output = "o"
    case gate, up, down

    var part: String {
      switch self {
      case .query: "attn_q"
      case .key: "attn_k"
      case .value: "attn_v"
      case .output: "attn_output"
      case .gate: "ffn_gate"
      case .up: "ffn_up"
      case .down: "ffn_down"
      }
    }
  }

  /// Rows of the first factor.
  public var rank = 16
  /// The change is multiplied by `alpha / rank`.
  public var alpha: Float = 32
  /// The share of inputs that the change does not see, drawn anew for each token.
  public var dropout: Float = 0
  /// The matrices that are adapted. A fused matrix is adapted where one of its parts is named.
  public var targets = Set(Target.allCases)

  /// Rank 16 and alpha 32 on all seven matrices.
  public init() {}

  func adapts(_ part: String) -> Bool {
    if part == "attn_qkv" { return !targets.isDisjoint(with: [.query, .key, .value]) }
    return targets.contains { $0.part == part }
  }
}
