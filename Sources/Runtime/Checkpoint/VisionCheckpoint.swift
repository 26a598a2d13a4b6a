/// The part of a checkpoint that reads images: a vision transformer and what projects its results, of LLaVA 1.5,
/// Idefics 3, SmolVLM and Gemma 3, as their makers publish them (huggingface.co/docs/transformers).
///
/// It is presented as the mmproj GGUF file that llama.cpp's converter would make of it. Sizes come from the tensors where
/// these show them, the rest from `config.json` and the processor's file.
public struct VisionCheckpoint: Sendable {
  /// The folder.
  public let path: String
  /// The part as a GGUF file.
  public let file: GGUFFile

  /// Opens a folder.
  ///
  /// - Complexity: O(tensors).
  /// - Throws: `CheckpointError`, naming the file and the field or tensor.
  public init(path: String) throws(CheckpointError) {
    let folder = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    let config = try VisionConfig(folder: folder)
    let sources = try CheckpointFiles(folder: folder)
    var reader = VisionTensors(folder: folder, kind: config.kind)
    for source in sources.files { for tensor in source.tensors { try reader.add(tensor) } }
    let (tensors, made) = try reader.finished()
    let pairs = try config.pairs(tensors, folder)
    self.path = folder
    do {
      file = try GGUFFile(
        path: folder, metadata: GGUFMetadata(path: folder, keys: pairs.keys, values: pairs.values),
        tensors: tensors, parts: sources.files.map(\.file) + (made.map { [$0] } ?? []))
    } catch { throw .metadata(error) }
  }
}

/// The encoders that are known, by the names of their projectors in GGUF.
private enum VisionKind: String {
  case mlp
  case idefics3
  case gemma3

  /// By `model_type`.
  static let types: [(String, VisionKind)] = [
    ("llava", .mlp), ("idefics3", .idefics3), ("smolvlm", .idefics3), ("gemma3", .gemma3),
  ]

  /// Of the channels, where no processor's file says otherwise: CLIP's (arXiv 2103.00020) or a half.
  var usualMean: [Double] { self == .mlp ? [0.48145466, 0.4578275, 0.40821073] : [0.5, 0.5, 0.5] }
  var usualDeviation: [Double] { self == .mlp ? [0.26862954, 0.26130258, 0.27577711] : [0.5, 0.5, 0.5] }
  var usualEpsilon: Double { self == .mlp ? 1e-5 : 1e-6 }
  var usualActivation: String { self == .mlp ? "quick_gelu" : "gelu_pytorch_tanh" }
  /// Heads where none are stated: what the classes of configurations have.
  static let usualHeads = 12
}

/// GGUF's names of the tensors.
private struct VisionTensors {
  let folder: String
  let kind: VisionKind
  private var tensors: [TensorInfo] = []
  private var names: Set<String> = []
  private var made: [(name: String, values: [Float])] = []

  init(folder: String, kind: VisionKind) {
    self.folder = folder
    self.kind = kind
  }

  private static let prefixes = ["model.", "vision_tower.", "vision_model."]
  /// The language model, and what is computed or not used for its embeddings.
  private static let ignored = [
    "language_model.", "text_model.", "lm_head.", "head.", "embeddings.position_ids",
  ]

  private static let parts = [
    "embeddings.class_embedding": "v.class_embd", "embeddings.patch_embedding": "v.patch_embd",
    "embeddings.position_embedding": "v.position_embd", "pre_layrnorm": "v.pre_ln",
    "post_layernorm": "v.post_ln",
    "multi_modal_projector.linear_1": "mm.0", "multi_modal_projector.linear_2": "mm.2",
    "connector.modality_projection.proj": "mm.model.fc",
    "multi_modal_projector.mm_input_projection_weight": "mm.input_projection.weight",
    "multi_modal_projector.mm_soft_emb_norm": "mm.soft_emb_norm",
  ]
  private static let layerParts = [
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out", "layer_norm1": "ln1", "layer_norm2": "ln2", "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
  ]

  mutating func add(_ tensor: TensorInfo) throws(CheckpointError) {
    var stem = tensor.name[...]
    for prefix in Self.prefixes where stem.hasPrefix(prefix) { stem = stem.dropFirst(prefix.count) }
    guard !Self.ignored.contains(where: stem.hasPrefix) else { return }
    var suffix = ""
    for end in [".weight", ".bias"] where stem.hasSuffix(end) {
      stem = stem.dropLast(end.count)
      suffix = end
    }
    // LLaVA takes its features before the last norm.
    if kind == .mlp && stem == "post_layernorm" { return }
    guard let target = Self.target(String(stem)) else {
      throw .tensor(path: folder, tensor: tensor.name, problem: "is not known in vision models of this kind")
    }
    let name = target + suffix
    guard names.insert(name).inserted else {
      throw .tensor(path: folder, tensor: tensor.name, problem: "occurs twice")
    }
    if name == "mm.soft_emb_norm.weight" {
      // Stored less 1, as Gemma's other norms are.
      return made.append((name, try CheckpointTensors.floats(tensor).map { $0 + 1 }))
    }
    tensors.append(
      TensorInfo(name: name, shape: tensor.shape, type: tensor.type, range: tensor.range, file: tensor.file))
  }

  private static func target(_ stem: String) -> String? {
    if let target = parts[stem] { return target }
    let prefix = "encoder.layers."
    guard stem.hasPrefix(prefix) else { return nil }
    let rest = stem.dropFirst(prefix.count).split(separator: ".", maxSplits: 1)
    guard rest.count == 2, let index = Int(rest[0]), (0..<1_024).contains(index),
      let part = layerParts[String(rest[1])]
    else { return nil }
    return "v.blk.\(index).\(part)"
  }

  func finished() throws(CheckpointError) -> ([TensorInfo], MappedFile?) {
    try CheckpointTensors.joined(tensors, made, folder: folder)
  }
}

/// What `config.json` and the processor's file say.
private struct VisionConfig {
  let kind: VisionKind
  private let path: String
  private let root: JSONValue
  private let vision: JSONValue

  init(folder: String) throws(CheckpointError) {
    path = folder + "/config.json"
    guard MappedFile.exists(path) else { throw .notCheckpoint(path: folder) }
    root = try JSONDocument(path: path).root
    let type = root["model_type"]?.string ?? "unknown"
    guard let kind = VisionKind.types.first(where: { $0.0 == type })?.1 else {
      throw .unknownArchitecture(path: path, name: type, known: VisionKind.types.map(\.0))
    }
    guard let vision = root["vision_config"], vision.isObject else {
      throw .missing(path: path, field: "vision_config")
    }
    self.kind = kind
    self.vision = vision
    guard kind == .mlp else { return }
    // What the encoder does, and LLaVA 1.5 was trained with.
    if let layer = root["vision_feature_layer"], !layer.isNull, layer.integer != -2 {
      throw .unsupported(path: path, feature: "a vision_feature_layer other than -2")
    }
    if let strategy = root["vision_feature_select_strategy"]?.string, strategy != "default" {
      throw .unsupported(path: path, feature: "the vision_feature_select_strategy \(strategy)")
    }
    if let activation = root["projector_hidden_act"]?.string, activation != "gelu" {
      throw .unsupported(path: path, feature: "the projector_hidden_act \(activation)")
    }
  }

  private func integer(
    _ value: JSONValue?, _ field: String, in range: ClosedRange<Int>
  ) throws(CheckpointError) -> Int? {
    guard let value, !value.isNull else { return nil }
    guard let number = value.integer, range.contains(number) else {
      throw .invalid(
        path: path, field: field, problem: "is no whole number of \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// Makes the metadata.
  func pairs(_ tensors: [TensorInfo], _ folder: String) throws(CheckpointError) -> MetadataPairs {
    let sizes = try VisionSizes(tensors, folder, kind)
    let heads =
      try integer(vision["num_attention_heads"], "num_attention_heads", in: 1...1_024)
      ?? VisionKind.usualHeads
    let activation = vision["hidden_act"]?.string ?? kind.usualActivation
    guard ["quick_gelu", "gelu", "gelu_pytorch_tanh"].contains(activation) else {
      throw .unsupported(path: path, feature: "the hidden_act \(activation)")
    }
    let epsilon = vision["layer_norm_eps"]?.number ?? kind.usualEpsilon
    guard epsilon >= 0, epsilon < 1 else {
      throw .invalid(path: path, field: "layer_norm_eps", problem: "is not between 0 and 1")
    }
    var pairs = MetadataPairs()
    pairs.set("general.architecture", "clip")
    pairs.set("general.type", "mmproj")
    pairs.set("clip.has_vision_encoder", true)
    pairs.set("clip.projector_type", kind.rawValue)
    pairs.set("clip.use_gelu", activation != "quick_gelu")
    let prefix = "clip.vision."
    pairs.set(prefix + "image_size", sizes.side)
    pairs.set(prefix + "patch_size", sizes.patch)
    pairs.set(prefix + "embedding_length", sizes.width)
    pairs.set(prefix + "feed_forward_length", sizes.hidden)
    pairs.set(prefix + "projection_dim", sizes.projection)
    pairs.set(prefix + "block_count", sizes.layers)
    pairs.set(prefix + "attention.head_count", heads)
    pairs.set(prefix + "attention.layer_norm_epsilon", epsilon)
    pairs.set(prefix + "projector.scale_factor", try merge(sizes))
    try addProcessor(to: &pairs, folder, prefix)
    pairs.set("general.quantization_version", 2)
    return pairs
  }

  /// Neighbouring patches in each direction that make one embedding; nil for one.
  private func merge(_ sizes: VisionSizes) throws(CheckpointError) -> Int? {
    switch kind {
    case .mlp: return nil
    case .idefics3: return try integer(root["scale_factor"], "scale_factor", in: 1...64) ?? 2
    case .gemma3:
      let tokens = try integer(root["mm_tokens_per_image"], "mm_tokens_per_image", in: 1...65_536) ?? 256
      let side = (1...256).first { $0 * $0 == tokens }, grid = sizes.side / sizes.patch
      guard let side, grid % side == 0 else {
        throw .invalid(
          path: path, field: "mm_tokens_per_image",
          problem: "is \(tokens), no square that divides \(grid) x \(grid)")
      }
      return grid / side
    }
  }

  /// Means, deviations and the largest side, from whichever file has them.
  private func addProcessor(
    to pairs: inout MetadataPairs, _ folder: String, _ prefix: String
  ) throws(CheckpointError) {
    var said: JSONValue?, place = folder + "/preprocessor_config.json"
    if MappedFile.exists(place) { said = try JSONDocument(path: place).root }
    if said?["image_mean"] == nil, MappedFile.exists(folder + "/processor_config.json") {
      place = folder + "/processor_config.json"
      said = try JSONDocument(path: place).root["image_processor"] ?? said
    }
    for (name, usual) in [("image_mean", kind.usualMean), ("image_std", kind.usualDeviation)] {
      var values = usual
      if let list = said?[name], !list.isNull {
        values = list.elements.compactMap(\.number)
        guard values.count == 3, list.count == 3, values.allSatisfy({ (0...1).contains($0) }) else {
          throw .invalid(path: place, field: name, problem: "is not three numbers of 0 to 1")
        }
      }
      pairs.set(prefix + name, .array(GGUFArray(floats: values.map { Float($0) })))
    }
    if kind == .idefics3, let longest = said?["size"]?["longest_edge"]?.integer,
      (16...4_096).contains(longest)
    {
      pairs.set(prefix + "preproc_image_size", longest)
    }
  }
}

/// What the tensors' shapes say.
private struct VisionSizes {
  let side: Int
  let patch: Int
  let width: Int
  let hidden: Int
  let layers: Int
  let projection: Int

  init(_ tensors: [TensorInfo], _ folder: String, _ kind: VisionKind) throws(CheckpointError) {
    func tensor(_ name: String, dimensions: Int) throws(CheckpointError) -> TensorInfo {
      guard let tensor = tensors.first(where: { $0.name == name }) else {
        throw .missing(path: folder, field: "tensor for \(name)")
      }
      guard tensor.shape.count == dimensions else {
        throw .tensor(path: folder, tensor: name, problem: "has the shape \(tensor.shape)")
      }
      return tensor
    }
    let patches = try tensor("v.patch_embd.weight", dimensions: 4)
    patch = patches.shape[0]
    width = patches.shape[3]
    let positions = try tensor("v.position_embd.weight", dimensions: 2).rows
    let squares = positions - (tensors.contains { $0.name == "v.class_embd" } ? 1 : 0)
    guard let grid = (1...1_024).first(where: { $0 * $0 == squares }) else {
      throw .tensor(
        path: folder, tensor: "v.position_embd.weight", problem: "has \(positions) rows, no square")
    }
    side = grid * patch
    hidden = try tensor("v.blk.0.ffn_up.weight", dimensions: 2).rows
    var layers = 0
    while tensors.contains(where: { $0.name == "v.blk.\(layers).ffn_up.weight" }) { layers += 1 }
    self.layers = layers
    projection =
      switch kind {
      case .mlp: try tensor("mm.2.weight", dimensions: 2).rows
      case .idefics3: try tensor("mm.model.fc.weight", dimensions: 2).rows
      case .gemma3: try tensor("mm.input_projection.weight", dimensions: 2).columns
      }
  }
}
