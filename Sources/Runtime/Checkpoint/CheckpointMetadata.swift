#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Makes the metadata of a checkpoint, in the order in which converters write it.
struct CheckpointMetadata {
  let folder: String
  let config: CheckpointConfig
  let family: CheckpointFamily
  let tensors: [TensorInfo]

  func pairs() throws(CheckpointError) -> MetadataPairs {
    var pairs = MetadataPairs()
    pairs.set("general.architecture", family.architecture)
    pairs.set("general.type", "model")
    try addSampling(&pairs)
    pairs.set("general.name", name)
    pairs.set("general.size_label", sizeLabel)
    var architecture = ArchitecturePairs(prefix: family.architecture, fileType: fileType, pairs: pairs)
    try family.metadata(config, &architecture)
    pairs = architecture.pairs
    pairs.set("general.quantization_version", 2)
    let embedding = tensors.first { $0.name == "token_embd.weight" }
    try CheckpointTokenizer(folder: folder, config: config, vocabularySize: embedding?.rows ?? 0).add(
      to: &pairs)
    return pairs
  }

  /// What `generation_config.json` recommends, if there is one.
  private func addSampling(_ pairs: inout MetadataPairs) throws(CheckpointError) {
    let path = folder + "/generation_config.json"
    guard MappedFile.exists(path) else { return }
    let root = try JSONDocument(path: path).root
    if let count = root["top_k"]?.integer, Int32(exactly: count) != nil {
      pairs.set("general.sampling.top_k", .integer(count, .int32))
    }
    pairs.set("general.sampling.top_p", root["top_p"]?.number)
    pairs.set("general.sampling.min_p", root["min_p"]?.number)
    pairs.set("general.sampling.temp", root["temperature"]?.number)
    pairs.set("general.sampling.penalty_repeat", root["repetition_penalty"]?.number)
  }

  /// The folder's name with capitals and spaces, or what the checkpoint says it was made from.
  private var name: String {
    let folderName = folder.split(separator: "/").last.map(String.init) ?? "model"
    let words = folderName.split(whereSeparator: { $0 == "-" || $0 == " " })
    return words.map { Self.title(String($0)) }.joined(separator: " ")
  }

  /// `word` with a capital, unless it has some or begins with a digit, as versions and sizes do.
  private static func title(_ word: String) -> String {
    let isVersion = word.first == "v" && word.dropFirst().first?.isNumber == true
    guard word == word.lowercased(), let first = word.first, !first.isNumber, !isVersion else { return word }
    return first.uppercased() + word.dropFirst()
  }

  /// The number of values in two digits or more: `1.5B`, `135M`, `45K`.
  private var sizeLabel: String {
    let count = Double(tensors.reduce(0) { $0 + $1.elementCount })
    let (unit, scale) = [("T", 1e12), ("B", 1e9), ("M", 1e6)].first { count > $0.1 } ?? ("K", 1e3)
    let scaled = count / scale
    let digits = scaled < 0.5 ? 0 : "\(Int(scaled.rounded(.toNearestOrEven)))".count
    return Self.fixed(scaled, max(0, 2 - digits)) + unit
  }

  private static func fixed(_ value: Double, _ digits: Int) -> String {
    let scale = [1, 10, 100][digits]
    let whole = Int((value * Double(scale)).rounded(.toNearestOrEven))
    guard digits > 0 else { return "\(whole)" }
    let fraction = "\(whole % scale)"
    return "\(whole / scale)." + String(repeating: "0", count: digits - fraction.count) + fraction
  }

  /// The type of most matrices, as `general.file_type` numbers it.
  private var fileType: Int {
    var counts: [TensorType: Int] = [:]
    for tensor in tensors where tensor.shape.count > 1 {
      counts[tensor.type, default: 0] += tensor.elementCount
    }
    return switch counts.max(by: { $0.value < $1.value })?.key {
    case .f16: 1
    case .bf16: 32
    default: 0
    }
  }
}
