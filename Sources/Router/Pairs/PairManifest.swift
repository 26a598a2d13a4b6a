#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// What a pair consists of: a base model, its *grounded* and its *free* tuning, and their router.
///
/// A JSON file. Paths are relative to the manifest's folder unless they begin with a slash; a base of
/// which only a name is given is looked for among the user's models.
public struct PairManifest: Sendable, Equatable, Codable {
  /// A file of the pair.
  public struct Part: Sendable, Equatable, Codable {
    /// Where it lies.
    public var file: String
    /// SHA-256 of the file, 64 hexadecimal digits.
    public var sha256: String
    /// The licence of the weights, by its SPDX name where it has one.
    public var licence: String?
    /// The name under which it can be fetched.
    public var package: String?

    /// A part by its file and digest.
    public init(file: String, sha256: String, licence: String? = nil, package: String? = nil) {
      self.file = file
      self.sha256 = sha256
      self.licence = licence
      self.package = package
    }
  }

  /// How a tuning is stored.
  public enum Form: String, Sendable, Codable {
    /// LoRA adapters over the base.
    case adapters
    /// Whole models; the base is then only named.
    case models
  }

  /// The manifest's version, 1.
  public var format = 1
  /// What the pair is called.
  public var name: String
  /// Whether the tunings are adapters or whole models.
  public var form: Form
  /// The model that both are tunings of.
  public var base: Part
  /// The tuning that answers from context.
  public var grounded: Part
  /// The tuning that answers without.
  public var free: Part
  /// The router; without one, whatever has context goes to *grounded*.
  public var router: Part?
  /// The encoder of pictures and its projector to the base's embeddings; without one the pair sees nothing.
  public var vision: Part?
  /// The tuning that was trained with the vision part; without one *grounded* answers about pictures.
  public var seeing: Part?
  /// Points of an evaluation, 0 to 100, by column.
  public var scores: [String: Double]?

  /// A manifest of these parts.
  public init(name: String, form: Form, base: Part, grounded: Part, free: Part, router: Part? = nil) {
    self.name = name
    self.form = form
    self.base = base
    self.grounded = grounded
    self.free = free
    self.router = router
  }

  /// All parts with what they are called.
  public var parts: [(role: String, part: Part)] {
    var parts = [("base", base), ("grounded", grounded), ("free", free)]
    if let router { parts.append(("router", router)) }
    if let vision { parts.append(("vision part", vision)) }
    if let seeing { parts.append(("seeing", seeing)) }
    return parts
  }

  /// A manifest is a page of text; a larger file is something else.
  private static let maximumBytes = 1 << 20

  /// Reads a manifest; the files that it names are not opened.
  ///
  /// - Throws: `PairError`.
  public init(path: String) throws(PairError) {
    guard let data = FileManager.default.contents(atPath: path) else { throw .missing(path: path) }
    guard data.count <= Self.maximumBytes else { throw .notAManifest(path: path, problem: "it is too large") }
    do {
      self = try JSONDecoder().decode(Self.self, from: data)
    } catch let error as DecodingError {
      throw .notAManifest(path: path, problem: Self.problem(error))
    } catch {
      throw .notAManifest(path: path, problem: "it is no JSON")
    }
    guard format == 1 else { throw .notAManifest(path: path, problem: "its format is \(format), not 1") }
    for (role, part) in parts { try Self.check(role, part, path) }
  }

  private static func check(_ role: String, _ part: Part, _ path: String) throws(PairError) {
    guard !part.file.isEmpty, !part.file.contains("\0") else {
      throw .notAManifest(path: path, problem: "\(role) names no file")
    }
    guard part.sha256.utf8.count == 64, part.sha256.allSatisfy({ $0.isASCII && $0.isHexDigit }) else {
      throw .notAManifest(path: path, problem: "the sha256 of \(role) is not 64 hexadecimal digits")
    }
  }

  private static func problem(_ error: DecodingError) -> String {
    func name(_ path: [any CodingKey]) -> String {
      path.isEmpty ? "it" : path.map(\.stringValue).joined(separator: ".")
    }
    return switch error {
    case .keyNotFound(let key, let context): "\(name(context.codingPath + [key])) is missing"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      "\(name(context.codingPath)) is of another type"
    case .dataCorrupted(let context) where context.codingPath.isEmpty: "it is no JSON"
    case .dataCorrupted(let context): "\(name(context.codingPath)) is not one of the known values"
    @unknown default: "it is no JSON"
    }
  }

  /// The text of the file.
  public func encoded() -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let data = (try? encoder.encode(self)) ?? Data()
    return String(decoding: data, as: UTF8.self) + "\n"
  }
}

/// Why a pair could not be used.
public enum PairError: Error, Equatable, CustomStringConvertible {
  case missing(path: String)
  case notAManifest(path: String, problem: String)
  case missingPart(path: String, role: String, file: String)
  case changed(path: String, role: String, file: String)
  case differentTokenizers(path: String)

  /// What is wrong, where, and what to do.
  public var description: String {
    switch self {
    case .missing(let path): "cannot read \(path); check the path and its permissions"
    case .notAManifest(let path, let problem):
      "\(path) is no manifest of a pair: \(problem); make one with duet pair make"
    case .missingPart(let path, let role, let file):
      "\(path) names \(file) as its \(role), which is not there; put it there, or make the pair again"
    case .changed(let path, let role, let file):
      "\(file) is not the \(role) that \(path) was made with: its SHA-256 differs; fetch it again, or make the pair again"
    case .differentTokenizers(let path):
      "the two models of \(path) have different vocabularies; a pair is two tunings of one model"
    }
  }
}
