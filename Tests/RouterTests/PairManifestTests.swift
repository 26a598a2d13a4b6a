import DuetRouter
import Foundation
import Testing

@Suite("The manifest of a pair")
struct PairManifestTests {
  private static let digest = String(repeating: "0a", count: 32)

  private static let manifest = PairManifest(
    name: "test", form: .adapters,
    base: PairManifest.Part(file: "base.gguf", sha256: digest, licence: "Apache-2.0"),
    grounded: PairManifest.Part(file: "g.gguf", sha256: digest),
    free: PairManifest.Part(file: "f.gguf", sha256: digest),
    router: PairManifest.Part(file: "r.gguf", sha256: digest))

  private func read(_ text: String) throws -> PairManifest {
    let path = FileManager.default.temporaryDirectory.path + "/duet-\(UUID().uuidString).json"
    try Data(text.utf8).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try PairManifest(path: path)
  }

  @Test("is read as it was written")
  func roundTrip() throws {
    #expect(try read(Self.manifest.encoded()) == Self.manifest)
    #expect(Self.manifest.parts.map(\.role) == ["base", "grounded", "free", "router"])
    var seeing = Self.manifest
    seeing.vision = PairManifest.Part(file: "v.gguf", sha256: Self.digest)
    seeing.seeing = PairManifest.Part(file: "s.gguf", sha256: Self.digest)
    #expect(try read(seeing.encoded()) == seeing && seeing != Self.manifest)
    #expect(seeing.parts.map(\.role).suffix(2) == ["vision part", "seeing"])
  }

  @Test(
    "names what is wrong with it",
    arguments: [
      ("", "it is no JSON"), ("[]", "it is of another type"), ("{}", "format is missing"),
      (
        manifest.encoded().replacing("\"adapters\"", with: "\"others\""),
        "form is not one of the known values"
      ),
      (manifest.encoded().replacing("\"format\" : 1", with: "\"format\" : 2"), "its format is 2, not 1"),
      (manifest.encoded().replacing("g.gguf", with: ""), "grounded names no file"),
      (manifest.encoded().replacing("0a0a", with: "zz"), "the sha256 of base is not 64 hexadecimal digits"),
    ])
  func bad(text: String, problem: String) throws {
    let error = #expect(throws: PairError.self) { try read(text) }
    #expect(error?.description.contains(problem) == true, "\(error?.description ?? "")")
  }

  @Test("that is not there, or too large to be one, is refused")
  func absent() {
    #expect(throws: PairError.missing(path: "/nowhere/pair.json")) {
      try PairManifest(path: "/nowhere/pair.json")
    }
    #expect(throws: PairError.self) { try read(String(repeating: " ", count: 2 << 20)) }
  }
}
