import DuetDocuments
import DuetRouter
import DuetRuntime
import Foundation
import Testing

@Suite("The router")
struct RouterTests {
  /// A router that goes by the share of the question's words that the text holds.
  private static func byCoverage() throws -> Router {
    var weights = [Float](repeating: 0, count: RouteSignals.names.count)
    weights[try #require(RouteSignals.names.firstIndex(of: "coverage"))] = 10
    return Router(RouteModel(weights: weights, bias: -5), tokens: { $0.utf8.map { Int32($0) } })
  }

  private static let passage = "The lease of the house in Mill Lane ends on 4 May 2031."

  @Test("takes context that speaks of what is asked, and leaves out other context")
  func help() throws {
    let router = try Self.byCoverage()
    let helped = Router.decide(
      Router.Turn("When does the lease end?", passages: [Self.passage]), .auto, with: router)
    #expect(helped.route == .grounded && helped.score ?? 0 > 0.5 && !helped.leavesOutContext)
    let other = Router.decide(
      Router.Turn("Who composed Parsifal?", passages: [Self.passage]), .auto, with: router)
    #expect(other.route == .free && other.score ?? 1 < 0.5 && other.leavesOutContext)
    #expect(Router.decide(Router.Turn("Hello"), .auto, with: router).score == nil)
  }

  @Test("takes a question that leans on the one before for one about the same passages")
  func followUp() throws {
    let router = try Self.byCoverage()
    let before = ("When does the lease of the house end?", [Self.passage])
    let turn = Router.Turn("And where is it?", previous: before)
    #expect(Router.decide(turn, .auto, with: router).route == .grounded)
    let another = Router.Turn("Which planets have rings of ice?", previous: before)
    #expect(Router.decide(another, .auto, with: router).route == .free)
  }

  @Test("does as its policy says")
  func policies() throws {
    let router = try Self.byCoverage()
    let other = Router.Turn("Who composed Parsifal?", passages: [Self.passage])
    #expect(Router.decide(other, .presence, with: router).route == .grounded)
    #expect(Router.decide(other, .grounded, with: router).route == .grounded)
    #expect(Router.decide(Router.Turn("Hello"), .presence, with: router).route == .free)
    let helped = Router.Turn("When does the lease end?", passages: [Self.passage])
    #expect(Router.decide(helped, .free, with: router).route == .free)
    // Without a router presence decides.
    #expect(Router.decide(other, .auto, with: nil).route == .grounded)
  }

  @Test(
    "survives messages of any kind",
    arguments: ["", " ", "?", String(repeating: "a? ", count: 40), "\u{0}\n\n\u{301}"])
  func oddMessages(message: String) throws {
    let router = try Self.byCoverage()
    let decision = Router.decide(
      Router.Turn(message, passages: [message, ""], previous: (message, [message])), .auto, with: router)
    #expect(decision.score.map(\.isFinite) != false)
  }

  // MARK: Meaning

  /// Texts that name an animal are one in meaning, all others another.
  private struct Animals: TextEncoder {
    var name = "animals"
    let dimensions = 2
    func vectors(of texts: [String]) -> [[Float]] {
      texts.map { $0.contains("cat") || $0.contains("feline") ? [1, 0] : [0, 1] }
    }
  }

  private static func meaningModel() -> RouteModel {
    let none = [Float](repeating: 0, count: RouteSignals.names.count)
    return RouteModel(
      weights: none, bias: -1, meaning: RouteModel.Meaning(encoder: "animals", weights: none + [10], bias: -5)
    )
  }

  private func route(_ turn: Router.Turn, _ encoder: (any TextEncoder)?) -> Router.Decision {
    let router = Router(Self.meaningModel(), tokens: { $0.utf8.map { Int32($0) } }, encoder: encoder)
    return Router.decide(turn, .auto, with: router)
  }

  @Test("takes texts for helpful that an encoder finds close, if it is the one that the model knows")
  func meaning() {
    let close = Router.Turn(
      "Where does the cat sleep?", passages: ["Felines, such as the feline of this house, rest."])
    let far = Router.Turn("Where does the cat sleep?", passages: ["The lease ends in May."])
    #expect(route(close, Animals()).route == .grounded && route(far, Animals()).route == .free)
    #expect(route(close, nil).route == .free && route(close, Animals(name: "others")).route == .free)
  }

  @Test("believes what retrieval has compared, and encodes nothing then")
  func similarities() {
    var turn = Router.Turn("Where does the cat sleep?", passages: ["The lease ends in May."])
    turn.similarities = [0.9]
    #expect(route(turn, nil).route == .grounded && route(turn, Animals()).route == .grounded)
    turn.similarities = [nil]
    #expect(route(turn, nil).route == .free && route(turn, Animals()).route == .free)
  }

  // MARK: Files

  private static func temporary() -> String {
    FileManager.default.temporaryDirectory.path + "/duet-\(UUID().uuidString).gguf"
  }

  @Test("reads the weights that it wrote")
  func roundTrip() throws {
    let path = Self.temporary()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let weights = RouteSignals.names.indices.map { Float($0) / 7 - 1 }
    let model = RouteModel(weights: weights, bias: 0.25)
    try model.write(to: path, name: "test")
    #expect(try RouteModel(path: path) == model)
    let other = Self.meaningModel()
    try other.write(to: path, name: "test")
    #expect(try RouteModel(path: path) == other)
  }

  @Test("refuses files that hold no router, or that are cut short")
  func badFiles() throws {
    let path = Self.temporary()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Self.meaningModel().write(to: path, name: "test")
    let whole = try Data(contentsOf: URL(filePath: path))
    // The last tensor may be followed by up to 31 bytes that nothing reads.
    for length in stride(from: 0, to: whole.count - 32, by: 7) {
      try whole.prefix(length).write(to: URL(filePath: path))
      #expect(throws: RouteModelError.self) { try RouteModel(path: path) }
    }
    var bytes = [UInt8](whole)
    for position in bytes.indices {
      bytes[position] ^= 0x5a
      defer { bytes[position] ^= 0x5a }
      try Data(bytes).write(to: URL(filePath: path))
      // Whatever opens gives finite scores.
      guard let model = try? RouteModel(path: path) else { continue }
      let isFinite = (model.weights + (model.meaning?.weights ?? [])).allSatisfy { $0.isFinite }
      #expect(isFinite)
    }
  }

  // MARK: Evaluation

  @Test("is measured by accuracy, ranks and calibration")
  func evaluation() throws {
    let turns = try JSONDecoder().decode(
      [LabelledTurn].self,
      from: Data(
        """
        [{"group": "gold", "message": "When does the lease end?", "passages": ["\(Self.passage)"], "helps": true},
         {"group": "other", "message": "Who composed Parsifal?", "passages": ["\(Self.passage)"], "helps": false},
         {"group": "none", "message": "Hello", "helps": false},
         {"group": "gold", "message": "Who composed Parsifal?", "passages": ["\(Self.passage)"], "helps": true}]
        """.utf8))
    let result = RouteEvaluation(turns, router: try Self.byCoverage())
    #expect(result.accuracy == 0.75)
    #expect(result.groups.map(\.name) == ["gold", "other", "none"])
    #expect(result.groups.map(\.accuracy) == [0.5, 1, 1])
    // Of the four pairs of one that helps and one that does not three are won and one is drawn.
    #expect(result.auroc == 0.875)
  }
}
