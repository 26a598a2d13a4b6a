import DuetDocuments
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
    for file in report.skipped { warn("left out: \(file)") }
    guard !report.isEmpty else { throw CommandError.noDocuments(paths: paths) }
    if isVerbose {
      warn(
        "documents: \(report.added) added, \(report.updated) updated, \(report.unchanged) unchanged, "
          + "\(report.removed) removed, \(report.skipped.count) left out")
    }
    return report.collection
  }
}
