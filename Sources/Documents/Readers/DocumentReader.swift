#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Gives the text of the PDF file at a path, with a form feed after each page, as poppler's
/// `pdftotext` does; an error's description says why there is none.
public typealias PDFTextExtractor = @Sendable (_ path: String) throws -> String

/// Reads files of all known formats.
package struct DocumentReader: Sendable {
  /// Bytes of the largest file that is read.
  package let maximumBytes: Int
  private let pdfText: PDFTextExtractor?

  package init(maximumBytes: Int = 64 << 20, pdfText: PDFTextExtractor? = nil) {
    self.maximumBytes = maximumBytes
    self.pdfText = pdfText
  }

  /// The bytes of the file at `path`.
  package func contents(_ path: String) throws(ReadError) -> [UInt8] {
    guard let data = FileManager.default.contents(atPath: path) else { throw .unreadable }
    guard data.count <= maximumBytes else { throw .tooLarge(bytes: data.count, limit: maximumBytes) }
    return [UInt8](data)
  }

  /// The text and structure of a file whose bytes are `bytes`.
  ///
  /// - Complexity: O(bytes), decompressed.
  package func document(_ bytes: [UInt8], path: String) throws(ReadError) -> Document {
    let format = FileFormat(path: path)
    if bytes.starts(with: "%PDF-".utf8) || format == .pdf { return try pdf(path) }
    let document: Document
    switch format {
    case .docx: document = try DOCXReader.document(bytes)
    case .media, .binary: throw .binary
    case .html:
      if let name = HTMLEncoding.unsupported(bytes) { throw .encoding(name: name) }
      document = HTMLReader.document(try TextDecoding.utf8(bytes[...]))
    case .markdown: document = MarkdownReader.document(try TextDecoding.utf8(bytes[...]))
    case .lines: document = PlainTextReader.document(try TextDecoding.utf8(bytes[...]), layout: .lines)
    case .prose, .pdf, .unknown:
      let text = try TextDecoding.utf8(bytes[...])
      let looksLikeHTML = format == .unknown && HTMLEncoding.looksLikeHTML(text)
      document =
        looksLikeHTML ? HTMLReader.document(text) : PlainTextReader.document(text, layout: .prose)
    }
    guard !document.blocks.isEmpty else { throw .empty }
    return document
  }

  private func pdf(_ path: String) throws(ReadError) -> Document {
    guard let pdfText else { throw .noPDFExtractor }
    let text: String
    do { text = try pdfText(path) } catch { throw .extraction(problem: "\(error)") }
    let document = PlainTextReader.document(try TextDecoding.utf8(Array(text.utf8)[...]), layout: .pages)
    guard !document.blocks.isEmpty else { throw .scan }
    return document
  }
}

/// How a file is read, told by its name.
enum FileFormat: Equatable {
  case prose, lines, markdown, html, docx, pdf
  /// Pictures, sounds and films.
  case media
  /// Known to hold no text that is read.
  case binary
  case unknown

  private static let extensions: [FileFormat: [String]] = [
    .prose: ["txt text rst adoc asciidoc org tex srt vtt eml"],
    .markdown: ["md markdown mdown mkd mdx qmd rmd"],
    .html: ["html htm xhtml"],
    .lines: [
      "swift c h cc cpp cxx hpp hh m mm rs go py pyi rb pl pm lua r jl java kt kts scala groovy cs fs vb",
      "js jsx ts tsx mjs cjs vue php sh bash zsh fish ps1 bat sql hs ml mli ex exs erl clj lisp el scm zig",
      "nim d dart asm s cmake mk make gradle proto graphql css scss less json jsonl ndjson yaml yml toml",
      "ini cfg conf env properties xml xsd plist csv tsv log diff patch tf nix ipynb bib lock",
    ],
    .docx: ["docx"],
    .pdf: ["pdf"],
    .media: ["png jpg jpeg gif webp bmp tif tiff ico heic psd mp3 wav flac ogg m4a mp4 mov avi mkv webm"],
    .binary: [
      "zip gz bz2 xz zst 7z rar tar tgz jar war apk deb rpm dmg iso exe dll so dylib a o obj lib class pyc wasm bin",
      "dat gguf safetensors pt pth onnx npy npz pkl sqlite db ttf otf woff woff2 doc xls ppt xlsx pptx odt",
      "ods odp epub",
    ],
  ]

  private static let byExtension: [String: FileFormat] = {
    var formats: [String: FileFormat] = [:]
    for (format, lines) in extensions {
      for name in lines.joined(separator: " ").split(separator: " ") { formats[String(name)] = format }
    }
    return formats
  }()

  init(path: String) {
    let name = path.split(separator: "/").last ?? ""
    let dot = name.lastIndex(of: ".").map { name[name.index(after: $0)...] } ?? ""
    self = Self.byExtension[dot.lowercased()] ?? .unknown
  }
}

/// What an HTML file says of its own encoding.
enum HTMLEncoding {
  private static let supported: Set<String> = [
    "utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "ascii", "iso-8859-1", "iso-8859-15",
    "latin1", "windows-1252", "cp1252",
  ]

  /// The declared encoding of bytes that are not UTF-8, if it cannot be read.
  static func unsupported(_ bytes: [UInt8]) -> String? {
    let head = String(decoding: bytes.prefix(1024), as: UTF8.self).lowercased()
    guard let mark = head.firstRange(of: "charset=") else { return nil }
    let name = head[mark.upperBound...].drop { $0 == "\"" || $0 == "'" }
      .prefix { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" }
    guard !name.isEmpty, !supported.contains(String(name)) else { return nil }
    return String(validating: bytes, as: UTF8.self) == nil ? String(name) : nil
  }

  /// Whether a text begins as an HTML document does.
  static func looksLikeHTML(_ text: [UInt8]) -> Bool {
    let head = String(decoding: text.drop { $0.isSpace }.prefix(14), as: UTF8.self).lowercased()
    return head.hasPrefix("<!doctype html") || head.hasPrefix("<html")
  }
}
