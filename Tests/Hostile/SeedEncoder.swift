import DuetRuntime

/// Small sound sentence encoders, random in their weights.
enum SeedEncoder {
  private static let width = 32
  private static let hidden = 64
  private static let context = 80

  /// GGUF files: one of floats that takes means, and one of blocks that takes the first token's vector,
  /// whose tokens are pieces.
  static var files: [[UInt8]] {
    [
      file(SeedVocabulary.wordPieceTokens, SeedVocabulary.addWordPieces, heads: 1, pooling: 1) { _ in .f32 },
      file(SeedVocabulary.unigramTokens, SeedVocabulary.addUnigram, heads: 2, pooling: 2) { name in
        name.hasPrefix("blk") ? .q8_0 : .f16
      },
    ]
  }

  private static func file(
    _ tokens: [String], _ addTokens: (inout GGUFWriter) -> Void, heads: Int, pooling: Int,
    type: (String) -> TensorType
  ) -> [UInt8] {
    var file = GGUFWriter(), random = SplitMix64(state: 7)
    file.add("general.architecture", .string("bert"))
    file.add("general.name", .string("seed"))
    for (name, value) in [
      ("block_count", 1), ("context_length", context), ("embedding_length", width),
      ("feed_forward_length", hidden), ("attention.head_count", heads), ("pooling_type", pooling),
      ("max_sequence_length", context - 4),
    ] { file.add("bert." + name, .uint32(UInt32(value))) }
    file.add("bert.attention.layer_norm_epsilon", .float32(1e-12))
    addTokens(&file)
    for tensor in tensors {
      let shape = tensor.shape(tokens.count), isVector = shape.count == 1
      let type = isVector ? .f32 : type(tensor.name)
      let bytes = SeedModel.weights(count: shape.reduce(1, *), type: type, using: &random)
      file.add(tensor: tensor.name, shape: shape.reversed(), type: type, bytes: bytes)
    }
    return file.bytes
  }

  /// Folders: a `tokenizer.json` of word pieces, one of unigram pieces, and a list of words.
  static var folders: [SeedCheckpoint] {
    [
      folder([.init(name: "tokenizer.json", bytes: Array(wordPieces.utf8), weight: 2)], pooling: means),
      folder([.init(name: "tokenizer.json", bytes: Array(unigram.utf8), weight: 2)], pooling: first),
      folder([.init(name: "vocab.txt", bytes: Array(words.joined(separator: "\n").utf8))], pooling: means),
    ]
  }

  private static let means = #"{"pooling_mode_mean_tokens":true,"pooling_mode_cls_token":false}"#
  private static let first = #"{"word_embedding_dimension":32,"pooling_mode":"cls"}"#

  private static func folder(_ vocabulary: [SeedCheckpoint.File], pooling: String) -> SeedCheckpoint {
    let config = """
      {"architectures":["BertModel"],"model_type":"bert","vocab_size":\(words.count),"hidden_size":\(width),
      "intermediate_size":\(hidden),"num_hidden_layers":1,"num_attention_heads":2,"hidden_act":"gelu",
      "max_position_embeddings":\(context),"layer_norm_eps":1e-12,"type_vocab_size":2,
      "position_embedding_type":"absolute","pad_token_id":0}
      """
    let modules = """
      [{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
      {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},
      {"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}]
      """
    let settings = #"{"do_lower_case":true,"unk_token":"[UNK]","cls_token":"[CLS]","model_max_length":76}"#
    let texts = [
      ("modules.json", modules), ("tokenizer_config.json", settings), ("1_Pooling/config.json", pooling),
      ("sentence_bert_config.json", #"{"max_seq_length":76,"do_lower_case":false}"#),
    ]
    .map { SeedCheckpoint.File(name: $0, bytes: Array($1.utf8)) }
    let weights = SeedCheckpoint.safetensors(tensors.map { ($0.checkpointName, $0.shape(words.count)) })
    return SeedCheckpoint(
      files: [
        .init(name: "config.json", bytes: Array(config.utf8), weight: 3),
        .init(name: "model.safetensors", bytes: weights, weight: 3),
      ] + vocabulary + texts)
  }

  // MARK: Vocabularies

  private static let words =
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    + ["the", "cat", "##s", "sat", ",", "e", "##te", "1", "ab", "##c"]

  private static let marks = (0..<5).map {
    #"{"id":\#($0),"content":"\#(words[$0])","special":true,"normalized":false}"#
  }.joined(separator: ",")

  private static let processor = """
    "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},
    {"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair":[]}
    """

  private static var wordPieces: String {
    """
    {"added_tokens":[\(marks)],"normalizer":{"type":"BertNormalizer","lowercase":true,"strip_accents":null},
    "pre_tokenizer":{"type":"BertPreTokenizer"},\(processor),"model":{"type":"WordPiece","unk_token":"[UNK]",
    "vocab":{\(words.enumerated().map { "\"\($1)\":\($0)" }.joined(separator: ","))}}}
    """
  }

  private static var unigram: String {
    let pieces = words.enumerated().map { index, word in
      #"["\#(index < 5 ? word : word.hasPrefix("##") ? String(word.dropFirst(2)) : "▁" + word)",-\#(index).5]"#
    }
    return """
      {"added_tokens":[\(marks)],"normalizer":null,"pre_tokenizer":{"type":"Metaspace","replacement":"▁",
      "prepend_scheme":"always"},\(processor),"model":{"type":"Unigram","unk_id":1,
      "vocab":[\(pieces.joined(separator: ","))]}}
      """
  }

  // MARK: Weights

  private struct Tensor {
    /// In a GGUF file.
    let name: String
    let checkpointName: String
    /// Rows and columns, or values; rows of 0 are one for each token.
    let sizes: [Int]

    init(_ name: String, _ checkpointName: String, _ sizes: [Int]) {
      self.name = name
      self.checkpointName = checkpointName
      self.sizes = sizes
    }

    func shape(_ tokens: Int) -> [Int] { sizes.map { $0 == 0 ? tokens : $0 } }
  }

  private static var tensors: [Tensor] {
    let layer = "encoder.layer.0."
    var tensors = [
      Tensor("token_embd.weight", "embeddings.word_embeddings.weight", [0, width]),
      Tensor("position_embd.weight", "embeddings.position_embeddings.weight", [context, width]),
      Tensor("token_types.weight", "embeddings.token_type_embeddings.weight", [2, width]),
    ]
    func add(_ name: String, _ published: String, _ sizes: [Int]) {
      tensors.append(Tensor(name + ".weight", published + ".weight", sizes))
      tensors.append(Tensor(name + ".bias", published + ".bias", [sizes[0]]))
    }
    add("token_embd_norm", "embeddings.LayerNorm", [width])
    add("blk.0.attn_output_norm", layer + "attention.output.LayerNorm", [width])
    add("blk.0.layer_output_norm", layer + "output.LayerNorm", [width])
    for (name, published) in [("q", "query"), ("k", "key"), ("v", "value")] {
      add("blk.0.attn_" + name, layer + "attention.self." + published, [width, width])
    }
    add("blk.0.attn_output", layer + "attention.output.dense", [width, width])
    add("blk.0.ffn_up", layer + "intermediate.dense", [hidden, width])
    add("blk.0.ffn_down", layer + "output.dense", [width, hidden])
    return tensors
  }
}
