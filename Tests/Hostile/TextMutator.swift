import DuetDocuments
import DuetRuntime
import Foundation

/// Makes mutants of documents, chat templates and vocabularies of the kinds that decoders do not have.
struct TextMutator: MutantSource {
  enum Kind: Int, CaseIterable {
    case html, docx, template, vocabulary
  }

  let seed: UInt64
  private let seeds: [Kind: [[UInt8]]]
  private let vocabularies: [Mutator]

  init(seed: UInt64) throws {
    self.seed = seed
    seeds = [
      .html: [Array(TextSeeds.html.utf8)], .docx: [TextSeeds.docx],
      .template: TextSeeds.templates.map { Array($0.utf8) },
    ]
    vocabularies = try [SeedVocabulary.wordPiece, SeedVocabulary.unigram].map {
      try Mutator(model: $0, seed: seed)
    }
  }

  var ownBytes: Int {
    seeds.values.joined().reduce(0) { $0 + $1.count } + vocabularies.reduce(0) { $0 + $1.ownBytes }
  }

  private func kind(_ number: Int) -> Kind { Kind.allCases[number % Kind.allCases.count] }

  var suffix: String { "bin" }
  func allowance(size: Int) -> Int { 2 * size + 192 << 20 }

  /// The last byte says the kind.
  func mutant(_ number: Int) -> Mutant {
    var mutant = content(number)
    mutant.bytes.append(UInt8(kind(number).rawValue))
    return mutant
  }

  private func content(_ number: Int) -> Mutant {
    let kind = kind(number)
    if kind == .vocabulary {
      return vocabularies[number / 4 % vocabularies.count].mutant(number + Amplifier.allCases.count)
    }
    var random = SplitMix64(state: seed &+ UInt64(number) &* 0xD134_2543_DE82_EF95)
    var bytes = seeds[kind]?.randomElement(using: &random) ?? []
    for _ in 0..<Int.random(in: 1...6, using: &random) { change(&bytes, kind, using: &random) }
    return Mutant(bytes: bytes, story: "\(kind)")
  }

  /// Texts at which a parser may slip, by kind.
  private static let tokens: [Kind: [String]] = [
    .html: [
      "<", "</", "<!--", "-->", "<script>", "<pre>", "&#x110000;", "&#0;", "&", "<table><tr><td>", "\"",
      "<h1>", "\u{0}",
    ],
    .docx: ["PK\u{3}\u{4}", "<w:p>", "</w:p>", "<w:t>", "<?xml", "<![CDATA[", "&lt;", "PK\u{5}\u{6}"],
    .template: [
      "{{", "}}", "{%", "%}", "{#", "-%}", "{% for m in messages %}", "{% endfor %}", "{% if x %}",
      "{% macro f(a) %}", "((((((",
      "[[[[", "|tojson", "|length", "**", "//", "'\\u", "range(99999)", "~", "namespace(a=1)",
      "9223372036854775807", "-", "not ",
      "{% set x = x ~ x %}", "loop.index", "messages[-1:]", "|batch(0)", "|indent(99999999)", "is defined",
      "strftime_now('%Q')",
    ],
  ]

  private func change(_ bytes: inout [UInt8], _ kind: Kind, using random: inout SplitMix64) {
    guard !bytes.isEmpty else { return }
    let place = Int.random(in: 0..<bytes.count, using: &random)
    switch Int.random(in: 0..<8, using: &random) {
    case 0: bytes.removeSubrange(place...)
    case 1: bytes.removeSubrange(place..<min(bytes.count, place + .random(in: 1...40, using: &random)))
    case 2, 3: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 4:
      let part = bytes[place..<min(bytes.count, place + .random(in: 1...200, using: &random))]
      let count = [1, 2, 50, 400].randomElement(using: &random) ?? 1
      bytes.insert(contentsOf: repeatElement(part, count: count).joined(), at: place)
    case 5: bytes[place] = .random(in: 0...255, using: &random)
    default:
      let token = Self.tokens[kind]?.randomElement(using: &random) ?? ""
      let count = [1, 1, 1, 3, 70, 3_000].randomElement(using: &random) ?? 1
      bytes.insert(contentsOf: String(repeating: token, count: count).utf8, at: place)
    }
  }

  func exercise(path: String) -> Outcome {
    var bytes = [UInt8](FileManager.default.contents(atPath: path) ?? Data())
    guard let kind = bytes.popLast().flatMap({ Kind(rawValue: Int($0)) }) else { return .refused("empty") }
    guard kind != .vocabulary else { return exerciseVocabulary(path) }
    guard kind != .template else { return exerciseTemplate(bytes) }
    do throws(ReadError) {
      let document = try DocumentReader().document(bytes, path: kind == .docx ? "m.docx" : "m.html")
      precondition(Chunker.chunks(document).allSatisfy { !$0.text.isEmpty })
      return .accepted
    } catch {
      precondition(!error.description.isEmpty)
      return .refused("document")
    }
  }

  private func exerciseTemplate(_ bytes: [UInt8]) -> Outcome {
    do throws(TemplateError) {
      let template = try ChatTemplate(source: String(decoding: bytes, as: UTF8.self))
      let messages = [
        ChatMessage(role: .system, content: "Be brief."), ChatMessage(role: .user, content: "Hi <b>é"),
      ]
      _ = try template.render(messages: messages, addGenerationPrompt: true, variables: ["bos_token": "<s>"])
      return .accepted
    } catch {
      precondition(!error.description.isEmpty)
      return .refused("template")
    }
  }

  private func exerciseVocabulary(_ path: String) -> Outcome {
    guard let file = try? GGUFFile(path: path) else { return .refused("file") }
    do throws(TokenizerError) {
      let tokenizer = try Tokenizer(metadata: file.metadata)
      for text in [
        "The cat sat, été 한글 1️⃣ ｱ [MASK]</s> \u{0}", String(repeating: "abc", count: 400), "\u{FFFD} ﬁ",
      ] {
        let tokens = tokenizer.encode(
          Array(text.utf8) + [0xff, 0xc3], parseSpecial: true, addBeginning: true, addEnd: true)
        _ = tokenizer.decode(tokens, special: true)
      }
    } catch {
      precondition(!error.description.isEmpty)
      return .refused("tokenizer")
    }
    return .accepted
  }
}
