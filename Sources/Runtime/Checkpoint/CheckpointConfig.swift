/// The `config.json` of a checkpoint. Fields of a model's text part, where it has others, come first.
struct CheckpointConfig: Sendable {
  let folder: String
  let path: String
  private let root: JSONValue
  private let text: JSONValue?
  private let seesForLlama: Bool

  init(folder: String) throws(CheckpointError) {
    self.folder = folder
    path = folder + "/config.json"
    guard MappedFile.exists(path) else { throw .notCheckpoint(path: folder) }
    root = try JSONDocument(path: path).root
    guard root.isObject else { throw .invalid(path: path, field: "the file", problem: "is no object") }
    text = root["text_config"].flatMap { $0.isObject ? $0 : nil }
    seesForLlama =
      (root["architectures"]?.elements ?? []).contains { Self.seeing.contains($0.string ?? "") }
      && text?["model_type"]?.string ?? "llama" == "llama"
  }

  /// The first of these fields that has a value.
  func value(_ names: String...) -> JSONValue? {
    for name in names {
      if let value = text?[name] ?? root[name], !value.isNull { return value }
    }
    guard seesForLlama else { return nil }
    for name in names {
      if let value = Self.llama?[name] { return value }
    }
    return nil
  }

  /// Classes that read images for a language model of another family, llama where none is said.
  private static let seeing = [
    "LlavaForConditionalGeneration", "Idefics3ForConditionalGeneration", "SmolVLMForConditionalGeneration",
  ]
  private static let textClasses = [
    "llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM",
  ]

  /// The classes that the folder's own library reads it with, such as `LlamaForCausalLM`; of models that see, the class
  /// of their language model.
  var classes: [String] {
    let names = (root["architectures"]?.elements ?? []).compactMap(\.string)
    guard names.contains(where: Self.seeing.contains) else { return names }
    let type = text?["model_type"]?.string ?? "llama"
    return [Self.textClasses[type] ?? type]
  }
  var modelType: String? { text?["model_type"]?.string ?? root["model_type"]?.string }

  /// What the library takes where the language model of one that sees says nothing: LLaVA's files rely on it.
  private static let llama: JSONValue? = {
    let fields =
      #"{"hidden_size":4096,"intermediate_size":11008,"num_hidden_layers":32,"num_attention_heads":32,"#
      + #""rms_norm_eps":1e-6,"max_position_embeddings":2048,"rope_theta":10000.0}"#
    guard let file = try? MappedFile(path: "llama", bytes: Array(fields.utf8)) else { return nil }
    return try? JSONDocument(file: file).root
  }()

  func invalid(_ field: String, _ problem: String) -> CheckpointError {
    .invalid(path: path, field: field, problem: problem)
  }

  func integer(_ names: String..., in range: ClosedRange<Int> = 0...Int(UInt32.max)) throws(CheckpointError)
    -> Int?
  {
    for name in names {
      guard let value = value(name) else { continue }
      guard let number = value.integer else { throw invalid(name, "is no whole number") }
      guard range.contains(number) else {
        throw invalid(name, "is \(number), where \(range.lowerBound) to \(range.upperBound) is allowed")
      }
      return number
    }
    return nil
  }

  func number(_ name: String) throws(CheckpointError) -> Double? {
    guard let value = value(name) else { return nil }
    guard let number = value.number else { throw invalid(name, "is no number") }
    return number
  }

  func flag(_ name: String) -> Bool { value(name)?.bool ?? false }

  func required<T>(_ name: String, _ value: T?) throws(CheckpointError) -> T {
    guard let value else { throw .missing(path: path, field: name) }
    return value
  }

  var headCount: Int {
    get throws(CheckpointError) {
      try required("num_attention_heads", integer("num_attention_heads", in: 1...65_536))
    }
  }

  var keyValueHeadCount: Int {
    get throws(CheckpointError) {
      if let count = try integer("num_key_value_heads", in: 1...65_536) { return count }
      return try headCount
    }
  }

  var width: Int {
    get throws(CheckpointError) { try required("hidden_size", integer("hidden_size", in: 1...1 << 20)) }
  }

  /// As stated, or else the width shared out among the heads.
  var headSize: Int {
    get throws(CheckpointError) {
      if let size = try integer("head_dim", in: 2...8_192) { return size }
      return try width / headCount
    }
  }
}

/// The rotary embedding of a checkpoint, by the names of either generation of files: `rope_parameters`
/// holds all of it, `rope_scaling` what is not in fields of their own.
struct CheckpointRotary: Sendable {
  let config: CheckpointConfig
  private let all: JSONValue?
  private let global: JSONValue?

  init(_ config: CheckpointConfig) {
    self.config = config
    all = [config.value("rope_parameters"), config.value("rope_scaling")].compactMap { $0 }.first(
      where: \.isObject)
    global = all?["full_attention"] ?? all
  }

  private func value(_ name: String) -> JSONValue? {
    guard let value = global?[name], !value.isNull else { return nil }
    return value
  }

  func number(_ name: String) throws(CheckpointError) -> Double? {
    guard let value = value(name) else { return nil }
    guard let number = value.number else { throw config.invalid("rope_parameters.\(name)", "is no number") }
    return number
  }

  /// `default`, `linear`, `llama3`, `yarn`, `longrope` or another; nil where nothing is said.
  var type: String? { (value("rope_type") ?? value("type"))?.string.map { $0 == "su" ? "longrope" : $0 } }

  func base() throws(CheckpointError) -> Double? {
    if let base = try number("rope_theta") { return base }
    for name in ["global_rope_theta", "rope_theta"] {
      if let base = try config.number(name) { return base }
    }
    return nil
  }

  /// Of layers with a window.
  func localBase() throws(CheckpointError) -> Double? {
    if let base = all?["sliding_attention"]?["rope_theta"]?.number { return base }
    return try config.number("rope_local_base_freq")
  }

  func partialFactor() throws(CheckpointError) -> Double {
    let own = try number("partial_rotary_factor"), outer = try config.number("partial_rotary_factor")
    let factor = own ?? outer ?? 1
    guard factor > 0, factor <= 1 else {
      throw config.invalid("partial_rotary_factor", "is \(factor), where 0 to 1 is allowed")
    }
    return factor
  }

  func originalContext() throws(CheckpointError) -> Int? {
    guard
      let value = value("original_max_position_embeddings")
        ?? config.value("original_max_position_embeddings")
    else { return nil }
    guard let number = value.integer, number > 0, number <= Int(UInt32.max) else {
      throw config.invalid("original_max_position_embeddings", "is no whole number above 0")
    }
    return number
  }

  /// Factors of wavelengths, one for each pair.
  func factors(_ name: String) throws(CheckpointError) -> [Float]? {
    guard let list = value(name) else { return nil }
    let factors = list.elements.compactMap(\.number).map(Float.init)
    guard !factors.isEmpty, factors.count == list.count, factors.count <= 4_096,
      factors.allSatisfy({ $0 > 0 && $0.isFinite })
    else { throw config.invalid("rope_parameters.\(name)", "is no list of numbers above 0") }
    return factors
  }
}
