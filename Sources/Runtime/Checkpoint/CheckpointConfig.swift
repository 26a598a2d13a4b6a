/// The `config.json` of a checkpoint. Fields of a model's text part, where it has others, come first.
struct CheckpointConfig: Sendable {
  let folder: String
  let path: String
  private let root: JSONValue
  private let text: JSONValue?

  init(folder: String) throws(CheckpointError) {
    self.folder = folder
    path = folder + "/config.json"
    guard MappedFile.exists(path) else { throw .notCheckpoint(path: folder) }
    root = try JSONDocument(path: path).root
    guard root.isObject else { throw .invalid(path: path, field: "the file", problem: "is no object") }
    text = root["text_config"].flatMap { $0.isObject ? $0 : nil }
    let names = (root["architectures"]?.elements ?? []).compactMap(\.string)
    language = SeeingLanguage(classes: names, type: text?["model_type"]?.string)
  }

  /// The first of these fields that has a value.
  func value(_ names: String...) -> JSONValue? {
    for name in names {
      if let value = text?[name] ?? root[name], !value.isNull { return value }
    }
    for name in names {
      if text?[name] == nil, let value = language?.defaults?[name] { return value }
    }
    return nil
  }

  /// The classes that the folder's own library reads it with, such as `LlamaForCausalLM`.
  var classes: [String] { (root["architectures"]?.elements ?? []).compactMap(\.string) }
  var modelType: String? { root["model_type"]?.string }

  /// Of a model that reads images for a language model of another family, which that is.
  let language: SeeingLanguage?
  /// The type of the language model of one that sees, where it cannot be read.
  var unknownLanguage: String? {
    guard language == nil, classes.contains(where: SeeingLanguage.classes.contains) else { return nil }
    return text?["model_type"]?.string
  }

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

/// The language model of a model that sees.
struct SeeingLanguage: Sendable {
  /// The class that reads it alone.
  let name: String
  /// What the library takes where `text_config` says nothing, which files rely on (transformers 5.24, the defaults of
  /// `LlamaConfig`, `MistralConfig` and `Qwen2Config`).
  let defaults: JSONValue?

  /// What sees for one of them.
  static let classes = [
    "LlavaForConditionalGeneration", "Idefics3ForConditionalGeneration", "SmolVLMForConditionalGeneration",
  ]

  private static let languages: [String: SeeingLanguage] = [
    "llama": SeeingLanguage("LlamaForCausalLM", #""intermediate_size":11008,"max_position_embeddings":2048"#),
    "mistral": SeeingLanguage(
      "MistralForCausalLM",
      #""intermediate_size":14336,"max_position_embeddings":131072,"num_key_value_heads":8,"sliding_window":4096"#
    ),
    "qwen2": SeeingLanguage(
      "Qwen2ForCausalLM", #""intermediate_size":22016,"max_position_embeddings":32768"#),
  ]

  /// Nil where no class of these is one that sees, or its language model is of another type.
  init?(classes: [String], type: String?) {
    guard classes.contains(where: Self.classes.contains), let found = Self.languages[type ?? "llama"] else {
      return nil
    }
    self = found
  }

  /// What they have in common, and what is each one's own.
  private init(_ name: String, _ own: String) {
    self.name = name
    let fields =
      #"{"hidden_size":4096,"num_hidden_layers":32,"num_attention_heads":32,"rms_norm_eps":1e-6,"rope_theta":10000.0,"#
    let file = try? MappedFile(path: name, bytes: Array("\(fields)\(own)}".utf8))
    defaults = file.flatMap { try? JSONDocument(file: $0).root }
  }
}
