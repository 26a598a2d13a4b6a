import DuetRuntime

/// What a file is quantized to: one type throughout, or one of the customary mixes, in which tensors
/// that matter more get more bits. Names, and the numbers that files state, are those that GGUF's
/// other tools use.
public enum QuantizationScheme: String, Sendable, CaseIterable {
  case f32 = "F32"
  case f16 = "F16"
  case bf16 = "BF16"
  case q8_0 = "Q8_0"
  case q4_0 = "Q4_0"
  case q4_1 = "Q4_1"
  case q5_0 = "Q5_0"
  case q5_1 = "Q5_1"
  case q2_K = "Q2_K"
  case q3_K_S = "Q3_K_S"
  case q3_K_M = "Q3_K_M"
  case q3_K_L = "Q3_K_L"
  case q4_K_S = "Q4_K_S"
  case q4_K_M = "Q4_K_M"
  case q5_K_S = "Q5_K_S"
  case q5_K_M = "Q5_K_M"
  case q6_K = "Q6_K"
  case iq4_nl = "IQ4_NL"
  case iq4_xs = "IQ4_XS"
  case mxfp4 = "MXFP4"

  /// The scheme of this name, in any case; `Q3_K`, `Q4_K` and `Q5_K` stand for the mixes `_M`.
  public init?(name: String) {
    let upper = name.uppercased()
    let full = ["Q3_K", "Q4_K", "Q5_K"].contains(upper) ? upper + "_M" : upper
    self.init(rawValue: full)
  }

  /// The type of tensors for which nothing else is said.
  public var type: TensorType {
    switch self {
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    case .q8_0: .q8_0
    case .q4_0: .q4_0
    case .q4_1: .q4_1
    case .q5_0: .q5_0
    case .q5_1: .q5_1
    case .q2_K: .q2_K
    case .q3_K_S, .q3_K_M, .q3_K_L: .q3_K
    case .q4_K_S, .q4_K_M: .q4_K
    case .q5_K_S, .q5_K_M: .q5_K
    case .q6_K: .q6_K
    case .iq4_nl: .iq4_nl
    case .iq4_xs: .iq4_xs
    case .mxfp4: .mxfp4
    }
  }

  /// The number of `general.file_type`.
  public var fileType: Int {
    switch self {
    case .f32: 0
    case .f16: 1
    case .q4_0: 2
    case .q4_1: 3
    case .q8_0: 7
    case .q5_0: 8
    case .q5_1: 9
    case .q2_K: 10
    case .q3_K_S: 11
    case .q3_K_M: 12
    case .q3_K_L: 13
    case .q4_K_S: 14
    case .q4_K_M: 15
    case .q5_K_S: 16
    case .q5_K_M: 17
    case .q6_K: 18
    case .iq4_nl: 25
    case .iq4_xs: 30
    case .bf16: 32
    case .mxfp4: 38
    }
  }

  /// The scheme whose tensors are mostly of `type`, for files that were put together tensor by tensor.
  static func named(after type: TensorType) -> QuantizationScheme {
    allCases.first { $0.type == type && !$0.rawValue.hasSuffix("_L") } ?? .f32
  }
}

/// The part that a tensor has in a decoder, as far as mixes care.
enum TensorRole {
  case embedding, output, value, key, query, attentionOutput, queryKeyValue, up, gate, down, other

  init(_ name: String) {
    switch name {
    case "token_embd.weight", "per_layer_token_embd.weight": self = .embedding
    case "output.weight": self = .output
    default:
      let parts = name.split(separator: ".")
      self = name.hasSuffix(".weight") && parts.count > 1 ? Self.role(parts[parts.count - 2]) : .other
    }
  }

  private static func role(_ part: Substring) -> TensorRole {
    switch part {
    case "attn_qkv": .queryKeyValue
    case "attn_v": .value
    case "attn_k": .key
    case "attn_q": .query
    case "attn_output": .attentionOutput
    case _ where part.hasPrefix("ffn_up"): .up
    case _ where part.hasPrefix("ffn_gate"): .gate
    case _ where part.hasPrefix("ffn_down"): .down
    default: .other
    }
  }

  /// Whether the tensor makes values, which suffer most.
  var makesValues: Bool { self == .value || self == .queryKeyValue }
}

/// Which tensor gets which type in a mix: the rules of llama.cpp's quantizer (src/llama-quant.cpp,
/// version of 2026), for decoders without experts.
struct MixRules {
  let scheme: QuantizationScheme
  let layers: Int
  /// Tensors that make values, in layers.
  let valueTensors: Int
  /// Query heads that share one head of keys and values.
  let headsPerGroup: Int
  /// Whether the embedding makes the logits too.
  let isTied: Bool
  let hasImportance: Bool

  /// More bits go to the first and the last eighth of the layers, and to every third between.
  private func isFavoured(_ layer: Int, of count: Int) -> Bool {
    layer < count / 8 || layer >= 7 * count / 8 || (layer - count / 8) % 3 == 2
  }

  /// The type of a tensor that may be quantized, before its rows are looked at.
  func type(_ name: String, columns: Int) -> TensorType {
    let role = TensorRole(name), layer = layerIndex(name) ?? 0
    if role == .output || (isTied && name == "token_embd.weight") { return outputType(columns) }
    if role.makesValues { return valueType(role, layer) }
    switch role {
    case .down: return downType(layer)
    case .attentionOutput: return attentionOutputType
    default: return scheme.type
    }
  }

  private func outputType(_ columns: Int) -> TensorType {
    if !scheme.type.isQuantized || scheme.type == .q8_0 { return scheme.type }
    return scheme == .mxfp4 || columns % scheme.type.blockLength != 0 ? .q8_0 : .q6_K
  }

  private func valueType(_ role: TensorRole, _ layer: Int) -> TensorType {
    switch scheme {
    case .q2_K: headsPerGroup >= 4 ? .q4_K : .q3_K
    case .q3_K_M: layer < 2 ? .q5_K : .q4_K
    case .q3_K_L: .q5_K
    case .iq4_nl, .iq4_xs: headsPerGroup >= 4 ? .q5_K : scheme.type
    case .q4_K_M, .q5_K_M: isFavoured(layer, of: valueTensors) ? .q6_K : scheme.type
    case .q4_K_S: layer < 4 ? .q5_K : .q4_K
    default: scheme.type
    }
  }

  private func downType(_ layer: Int) -> TensorType {
    switch scheme {
    case .q2_K: .q3_K
    case .q3_K_M: layer < layers / 16 ? .q5_K : .q4_K
    case .q3_K_L: .q5_K
    case .q4_K_M, .q5_K_M: isFavoured(layer, of: layers) ? .q6_K : scheme.type
    case .q4_K_S: layer < layers / 8 ? .q5_K : .q4_K
    case .iq4_nl, .iq4_xs: layer < layers / 8 && !hasImportance ? .q5_K : scheme.type
    case .q4_0: layer < layers / 8 && hasImportance ? .q4_1 : .q4_0
    case .q5_0: layer < layers / 8 && hasImportance ? .q5_1 : .q5_0
    default: scheme.type
    }
  }

  private var attentionOutputType: TensorType {
    switch scheme {
    case .q2_K: .q3_K
    case .q3_K_M: .q4_K
    case .q3_K_L: .q5_K
    default: scheme.type
    }
  }
}

/// The layer of `blk.N.…`.
func layerIndex(_ name: String) -> Int? {
  let parts = name.split(separator: ".", maxSplits: 2)
  return parts.count == 3 && parts[0] == "blk" ? Int(parts[1]) : nil
}

extension TensorType {
  /// The type that stands in where rows of `columns` values are no whole blocks of this one.
  func fitting(_ columns: Int) -> TensorType {
    guard columns % blockLength != 0 else { return self }
    let smaller: TensorType =
      switch self {
      case .q2_K, .q3_K: .q4_0
      case .q4_K: .q5_0
      case .q5_K: .q5_1
      case .q6_K: .q8_0
      case .iq4_xs: .iq4_nl
      default: .f16
      }
    return columns % smaller.blockLength == 0 ? smaller : .f16
  }

  /// Bits of one weight, scales included.
  public var bitsPerWeight: Double { 8 * Double(blockBytes) / Double(blockLength) }

  /// The share of squared error in values that are normally distributed, as measured with this
  /// quantizer: what can be said before looking at the weights.
  var nominalError: Double {
    switch self {
    case .f32, .i32: 0
    case .f16: 4.3e-8
    case .bf16: 2.7e-6
    case .q8_0: 2.9e-5
    case .q6_K: 2.8e-4
    case .q5_1: 1.4e-3
    case .q5_K: 1.2e-3
    case .q5_0: 1.8e-3
    case .q4_1: 6.1e-3
    case .q4_K: 4.9e-3
    case .iq4_nl: 5.4e-3
    case .iq4_xs: 5.5e-3
    case .q4_0: 7.4e-3
    case .mxfp4: 1.4e-2
    case .q3_K: 2.1e-2
    case .q2_K: 6.8e-2
    }
  }
}
