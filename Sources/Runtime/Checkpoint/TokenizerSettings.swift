/// The `tokenizer_config.json` of a checkpoint, if there is one, and its chat templates, which may be
/// files of their own.
struct TokenizerSettings {
  private let root: JSONValue?
  private let templateFile: String?

  /// The largest chat template that is read.
  private static let maximumTemplateBytes = 1 << 20

  init(folder: String) throws(CheckpointError) {
    let path = folder + "/tokenizer_config.json"
    root = MappedFile.exists(path) ? try JSONDocument(path: path).root : nil
    templateFile = try Self.template(folder + "/chat_template.jinja")
  }

  private static func template(_ path: String) throws(CheckpointError) -> String? {
    guard MappedFile.exists(path) else { return nil }
    do {
      let file = try MappedFile(path: path)
      guard file.count <= maximumTemplateBytes else {
        throw CheckpointError.invalid(path: path, field: "the template", problem: "is larger than a megabyte")
      }
      return file.withBytes(0..<file.count) { $0.text }
    } catch let error as FileError {
      throw .file(error)
    } catch let error as CheckpointError {
      throw error
    } catch {
      throw .notCheckpoint(path: path)
    }
  }

  func value(_ name: String) -> JSONValue? {
    guard let value = root?[name], !value.isNull else { return nil }
    return value
  }

  /// The text of a special token: `bos`, `eos`, `unk` and the like.
  func token(_ name: String) -> String? {
    guard let value = value("\(name)_token") else { return nil }
    return value.string ?? value["content"]?.string
  }

  /// The template of `tokenizer_config.json`, or else that of the file; of several named ones each.
  func setTemplates(_ pairs: inout MetadataPairs) {
    guard let value = value("chat_template") else {
      return pairs.set("tokenizer.chat_template", templateFile)
    }
    if let template = value.string { return pairs.set("tokenizer.chat_template", template) }
    var names: [String] = []
    for entry in value.elements {
      guard let name = entry["name"]?.string, let template = entry["template"]?.string else { continue }
      guard name != "default" else { pairs.set("tokenizer.chat_template", template); continue }
      let key = String(name.unicodeScalars.map { Self.isNameScalar($0) ? Character($0) : "_" })
      names.append(key)
      pairs.set("tokenizer.chat_template.\(key)", template)
    }
    if !names.isEmpty { pairs.set("tokenizer.chat_templates", .array(GGUFArray(strings: names))) }
  }

  private static func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
  }
}

/// The numbers of special tokens, and whether texts are put between them.
struct SpecialTokenKeys {
  /// `bos` and the like with their numbers, in order.
  private var numbers: [(name: String, number: Int)] = []
  private var adds: [(name: String, value: Bool)] = []

  private static let names = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"]
  private static let keys = ["unk": "unknown", "sep": "seperator", "pad": "padding"]

  init(_ root: JSONValue, _ settings: TokenizerSettings, config: CheckpointConfig) {
    var texts: [String: String] = [:]
    for name in Self.names { texts[name] = settings.token(name) }
    texts["bos"] = texts["bos"] ?? texts["cls"]
    texts["eos"] = texts["eos"] ?? texts["sep"]
    for processor in Self.processors(root) { read(processor, &texts) }
    for name in Self.names {
      if let flag = settings.value("add_\(name)_token")?.bool { setAdds(name, flag, replaces: false) }
    }
    var added: [[UInt8]: Int] = [:]
    root["added_tokens"]?.forEachElement { token in
      guard let text = token["content"]?.bytes, let number = token["id"]?.integer else { return }
      if added[text] == nil { added[text] = number }
    }
    for name in Self.names + ["eot", "eom"] {
      if let text = texts[name] { setNumber(name, added[Array(text.utf8)]) }
    }
    for name in Self.names { setNumber(name, config.value("\(name)_token_id")?.integer) }
  }

  private static func processors(_ root: JSONValue) -> [JSONValue] {
    guard let processor = root["post_processor"], processor.isObject else { return [] }
    return processor["processors"]?.elements ?? [processor]
  }

  private mutating func setNumber(_ name: String, _ number: Int?) {
    guard let number, number >= 0, !numbers.contains(where: { $0.name == name }) else { return }
    numbers.append((name, number))
  }

  private mutating func setAdds(_ name: String, _ value: Bool, replaces: Bool = true) {
    if let index = adds.firstIndex(where: { $0.name == name }) {
      if replaces { adds[index].value = value }
    } else {
      adds.append((name, value))
    }
  }

  /// What a step after tokenizing puts around a text.
  private mutating func read(_ processor: JSONValue, _ texts: inout [String: String]) {
    switch processor["type"]?.string {
    case "ByteLevel":
      setAdds("bos", false, replaces: false)
      setAdds("eos", false, replaces: false)
    case "BertProcessing", "RobertaProcessing":
      for name in ["bos", "eos", "sep"] { setAdds(name, true) }
      texts["cls"] = texts["cls"] ?? processor["cls"]?.elements.first?.string
      texts["sep"] = texts["sep"] ?? processor["sep"]?.elements.first?.string
    case "TemplateProcessing": readTemplate(processor, &texts)
    default: break
    }
  }

  private mutating func readTemplate(_ processor: JSONValue, _ texts: inout [String: String]) {
    func special(_ entry: JSONValue?) -> String? { entry?["SpecialToken"]?["id"]?.string }
    let single = processor["single"]?.elements ?? []
    guard single.count > 1 else { return }
    if let first = special(single.first) {
      if first != texts["bos"], first != texts["cls"] {
        texts["bos"] = texts["bos"] ?? first
        texts["cls"] = texts["cls"] ?? first
      }
      setAdds("bos", first == texts["bos"] || first == texts["cls"])
    }
    let last = special(single.last)
    if let last {
      if last != texts["eos"] {
        // The end that is put after texts is not the one after answers.
        texts[texts["eot"] == nil ? "eot" : "eom"] = texts["eos"]
        texts["eos"] = last
      }
      setAdds("eos", true)
    }
    let pair = processor["pair"]?.elements ?? []
    guard !pair.isEmpty, pair.count >= single.count + 1, last != nil || pair.count > 2 else { return }
    readSeparator(pair, first: special(single.first), last: last, &texts)
  }

  /// What lies between the two texts of a pair.
  private mutating func readSeparator(
    _ pair: [JSONValue], first: String?, last: String?, _ texts: inout [String: String]
  ) {
    func special(_ entry: JSONValue?) -> String? { entry?["SpecialToken"]?["id"]?.string }
    var middle = pair[...]
    if let first, special(middle.first) == first { middle = middle.dropFirst() }
    if let last, special(middle.last) == last { middle = middle.dropLast() }
    guard middle.first?["Sequence"]?["id"]?.string == "A", middle.last?["Sequence"]?["id"]?.string == "B",
      middle.count > 2
    else { return }
    let entries = middle.dropFirst().dropLast().map { special($0) }
    let ends = [texts["sep"], texts["eos"]].compactMap { $0 }
    let adds =
      entries.first.map { $0.map(ends.contains) == true && last == nil } == true
      || entries.count == 2 && entries[1].map(ends.contains) == true
    setAdds("sep", adds)
    if adds { texts["sep"] = texts["sep"] ?? texts["eos"] }
  }

  func set(_ pairs: inout MetadataPairs, tokenCount: Int) {
    for (name, number) in numbers where number < tokenCount {
      pairs.set("tokenizer.ggml.\(Self.keys[name] ?? name)_token_id", number)
    }
    for (name, value) in adds where ["bos", "eos", "sep"].contains(name) {
      pairs.set("tokenizer.ggml.add_\(name)_token", value)
    }
  }
}
