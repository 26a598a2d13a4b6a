import Foundation
import Testing

/// `duet caption` and `duet chat --image`, with the vision part that comes with Duet.
@Suite(
  "Captions", .serialized,
  .enabled(if: ModelFiles.available(ModelFiles.smolLM2), ModelFiles.absent),
  .enabled(if: DuetProgram.exists, DuetProgram.absent))
struct CaptionTests {
  private struct Row: Decodable {
    let file: String
    let caption: String
    let seconds: Double
    let choices: [String: Double]?
  }

  private static let folder =
    URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path + "/docs/captions"

  private static let pictures =
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
    .filter { $0.hasSuffix(".jpg") }.sorted().prefix(2).map { folder + "/" + $0 }

  private func rows(_ text: String) throws -> [Row] {
    try text.split(separator: "\n").map { try JSONDecoder().decode(Row.self, from: Data($0.utf8)) }
  }

  @Test("a row for each picture; what cannot be read is named")
  func rows() throws {
    let program = try DuetProgram(), pictures = Self.pictures
    defer { program.remove() }
    try #require(pictures.count == 2)
    let result = try program.run("caption", pictures[0], "/no/such.jpg", #filePath, pictures[1], "--json")
    let found = try rows(result.output)
    #expect(result.status == 1 && found.map(\.file) == pictures)
    for row in found {
      #expect(row.caption.hasSuffix(".") && row.caption.split(separator: " ").count > 3 && row.seconds > 0)
    }
    #expect(result.errors.contains("/no/such.jpg") && result.errors.contains("CaptionTests.swift is neither"))
    // A picture is described alike alone, and on standard input.
    let alone = try program.run("caption", pictures[1])
    #expect(alone.status == 0 && alone.output == found[1].caption + "\n" && alone.errors.isEmpty)
  }

  @Test("the formats hold file and caption")
  func formats() throws {
    let program = try DuetProgram()
    defer { program.remove() }
    let picture = program.folder + "/a \"b\", <c>.jpg"
    try FileManager.default.copyItem(atPath: try #require(Self.pictures.first), toPath: picture)
    let caption = try program.run("caption", picture).output.trimmingCharacters(in: .newlines)
    let quoted = picture.replacingOccurrences(of: "\"", with: "\"\"")
    #expect(
      try program.run("caption", picture, "--format", "csv").output
        == "file,caption\r\n\"\(quoted)\",\(caption)\r\n")
    #expect(
      try program.run("caption", picture, "--format", "markdown").output == "![\(caption)](<\(picture)>)\n")
    let marked = picture.replacingOccurrences(of: "\"", with: "&quot;").replacingOccurrences(
      of: "<", with: "&lt;"
    )
    .replacingOccurrences(of: ">", with: "&gt;")
    #expect(
      try program.run("caption", picture, "--format", "alt").output
        == "<img src=\"\(marked)\" alt=\"\(caption)\">\n")
    let text = program.folder + "/a \"b\", <c>.txt", xmp = program.folder + "/a \"b\", <c>.xmp"
    #expect(try program.run("caption", program.folder, "--format", "sidecar").status == 0)
    #expect(try String(contentsOfFile: text, encoding: .utf8) == caption + "\n")
    let again = try program.run("caption", picture, "--format", "sidecar")
    #expect(again.status == 1 && again.errors.contains("--force"))
    #expect(try program.run("caption", picture, "--format", "xmp-sidecar", "--force").status == 0)
    #expect(try String(contentsOfFile: xmp, encoding: .utf8).contains(">\(caption)</rdf:li>"))
  }

  @Test("questions have probable answers, and words have regions")
  func questions() throws {
    let program = try DuetProgram(), picture = try #require(Self.pictures.first)
    defer { program.remove() }
    let asked = try program.run(
      "caption", picture, "--json", "--question", "Is there a train in the picture?", "--choices", "Yes, No")
    let choices = try #require(try rows(asked.output).first?.choices)
    #expect(Set(choices.keys) == ["Yes", "No"] && abs(choices.values.reduce(0, +) - 1) < 1e-6)
    let drawing = program.folder + "/x.svg"
    let told = try program.run("caption", picture, "--explain", drawing)
    let words = told.output.split { $0 == " " || $0 == "\n" }
    let svg = try String(contentsOfFile: drawing, encoding: .utf8)
    #expect(svg.components(separatedBy: "<use ").count == words.count + 1)
    #expect(svg.components(separatedBy: "fill-opacity").count == 49 * words.count + 1)
    #expect(try program.run("caption", picture, "--explain", drawing).status == 1)
  }

  @Test("a chat about a picture goes to the tuning that sees")
  func chat() throws {
    let program = try DuetProgram(), picture = try #require(Self.pictures.first)
    defer { program.remove() }
    let result = try program.run("chat", "--json", "--image", picture, "What is in the picture?")
    #expect(result.status == 0 && result.output.contains("\"route\":\"seeing\""), "\(result)")
    let missing = try program.run("chat", "--image", "/no/such.jpg", "What is it?")
    #expect(missing.status == 1 && missing.errors.contains("/no/such.jpg"))
    let blind = try program.run("chat", "--image", picture, "--model", ModelFiles.smolLM2, "What is it?")
    #expect(blind.status == 2 && blind.errors.contains("--vision"))
  }
}
