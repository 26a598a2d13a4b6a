import DuetDocuments
import DuetRouter
import DuetRuntime
import DuetTerminal
import Foundation

/// Reads the documents of a chat into the user's index.
struct DocumentIndex {
  private let library: DocumentLibrary

  init() throws {
    try Folders.makeData()
    library = try DocumentLibrary(path: Folders.documents, pdfText: PDFText.extract)
    if library.wasRebuilt { warn("the document index was damaged and is made anew") }
  }

  /// Indexes files and folders, with a progress bar; names the files that were left out.
  ///
  /// - Throws: `CommandError.noDocuments` where none gave text.
  func collection(_ paths: [String], isVerbose: Bool = false) throws -> DocumentCollection {
    let paths = paths.map(Folders.expanded)
    let bar = Progress("reading documents", unit: "kB")
    let report = try library.add(paths: paths) { progress in
      bar.update(progress.bytesDone / 1_000, of: progress.bytesTotal / 1_000)
    }
    bar.clear()
    if report.isEmpty, paths.count == 1, report.skipped.count == 1 { throw report.skipped[0] }
    nameSkipped(report.skipped, isVerbose: isVerbose)
    guard !report.isEmpty else { throw CommandError.noDocuments(paths: paths) }
    if isVerbose {
      warn(
        "documents: \(report.added) added, \(report.updated) updated, \(report.unchanged) unchanged, "
          + "\(report.removed) removed, \(report.skipped.count) left out")
    }
    return try ranked(report.collection)
  }

  /// More passages than these take minutes to encode; their collection is ranked by words alone.
  private static let mostEncoded = 4_000

  /// The collection ranked by meaning too, where a sentence encoder is installed.
  private func ranked(_ collection: DocumentCollection) throws -> DocumentCollection {
    guard let path = try? ModelFiles.path(ModelFiles.encoderName),
      try collection.passageCount() <= Self.mostEncoded
    else { return collection }
    let encoder: SentenceEncoder
    do { encoder = try SentenceEncoder(path: path, kernels: Folders.kernels) } catch {
      warn("documents are ranked by words alone: \(error)")
      return collection
    }
    let ranked = collection.ranked(by: encoder)
    let bar = Progress("encoding passages", unit: "passages")
    try ranked.encodePassages { bar.update($0, of: $1) }
    bar.clear()
    return ranked
  }

  /// More files than these are counted, so that a folder of pictures does not hide the answer.
  private static let namedFiles = 5

  private func nameSkipped(_ files: [SkippedFile], isVerbose: Bool) {
    let named = isVerbose || files.count <= Self.namedFiles + 1 ? files.count : Self.namedFiles
    for file in files.prefix(named) { warn("left out: \(file)") }
    let rest = files.count - named
    if rest > 0 { warn("left out: \(Figures.grouped(rest)) more; chat --verbose names them") }
  }
}
