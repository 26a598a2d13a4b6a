/// How the values of a tensor are laid out in a file.
///
/// Raw values are the type numbers of the GGUF specification
/// (github.com/ggml-org/ggml, docs/gguf.md). Quantized types store `blockLength` values in
/// `blockBytes` bytes; rows of a tensor are whole blocks.
public enum TensorType: UInt32, Sendable, CaseIterable {
  case f32 = 0
  case f16 = 1
  case q4_0 = 2
  case q4_1 = 3
  case q5_0 = 6
  case q5_1 = 7
  case q8_0 = 8
  case q2_K = 10
  case q3_K = 11
  case q4_K = 12
  case q5_K = 13
  case q6_K = 14
  case iq4_nl = 20
  case iq4_xs = 23
  case i32 = 26
  case bf16 = 30
  case mxfp4 = 39

  /// The name that the format's other tools use, such as `Q4_K`.
  public var name: String {
    switch self {
    case .f32: "F32"
    case .f16: "F16"
    case .bf16: "BF16"
    case .i32: "I32"
    case .q4_0: "Q4_0"
    case .q4_1: "Q4_1"
    case .q5_0: "Q5_0"
    case .q5_1: "Q5_1"
    case .q8_0: "Q8_0"
    case .q2_K: "Q2_K"
    case .q3_K: "Q3_K"
    case .q4_K: "Q4_K"
    case .q5_K: "Q5_K"
    case .q6_K: "Q6_K"
    case .iq4_nl: "IQ4_NL"
    case .iq4_xs: "IQ4_XS"
    case .mxfp4: "MXFP4"
    }
  }

  /// Values in one block: 1 for plain numbers, 32 or 256 for quantized types.
  public var blockLength: Int {
    switch self {
    case .f32, .f16, .bf16, .i32: 1
    case .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .iq4_nl, .mxfp4: 32
    case .q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq4_xs: 256
    }
  }

  /// Bytes of one block.
  public var blockBytes: Int {
    switch self {
    case .f32, .i32: 4
    case .f16, .bf16: 2
    case .q4_0, .iq4_nl: 18
    case .q4_1: 20
    case .q5_0: 22
    case .q5_1: 24
    case .q8_0: 34
    case .q2_K: 84
    case .q3_K: 110
    case .q4_K: 144
    case .q5_K: 176
    case .q6_K: 210
    case .iq4_xs: 136
    case .mxfp4: 17
    }
  }

  /// Whether values are stored in blocks that share a scale.
  public var isQuantized: Bool { blockLength > 1 }

  /// Whether the runtime can multiply by weights of this type; `I32` holds indices, not weights.
  public var isWeight: Bool { self != .i32 }

  /// Bytes of a row of `count` values; `count` must be a multiple of `blockLength`.
  public func rowBytes(_ count: Int) -> Int { count / blockLength * blockBytes }

  /// The type with this name, in any case, or nil.
  public init?(name: String) {
    let upper = name.uppercased()
    guard let match = Self.allCases.first(where: { $0.name == upper }) else { return nil }
    self = match
  }
}
