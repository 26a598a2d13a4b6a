import DuetRuntime
import Foundation
import Testing

@Suite struct TemplateReferenceTests {
  @Test(arguments: ["snippets", "chats"])
  func `renders recorded templates byte for byte`(fixture: String) throws {
    let reference = try TemplateReference(fixture: fixture)
    #expect(reference.cases.count > 60)
    for recorded in reference.cases {
      let name = "\(recorded.template) with \(recorded.context)"
      switch (recorded.render(reference.date), recorded.expected) {
      case (.success(let text), let expected?):
        #expect(text.utf8.elementsEqual(expected.utf8), "\(name) \(difference(text, expected))")
      case (.failure(let error), _?): Issue.record("\(name): \(error)")
      case (.success(let text), nil): Issue.record("\(name) should fail but makes \(text.debugDescription)")
      case (.failure, nil): break
      }
    }
  }

  static let referencePath = ProcessInfo.processInfo.environment["DUET_TEMPLATE_REFERENCE"]

  @Test(.enabled(if: referencePath != nil, "DUET_TEMPLATE_REFERENCE names no file"))
  func `renders other projects' templates byte for byte`() throws {
    let reference = try TemplateReference(path: Self.referencePath ?? "")
    var (agreeing, failing, problems) = (0, 0, [String]())
    for recorded in reference.cases {
      let name = "\(recorded.template) with \(recorded.context)"
      switch (recorded.render(reference.date), recorded.expected) {
      case (.success(let text), let expected?) where text.utf8.elementsEqual(expected.utf8): agreeing += 1
      case (.success(let text), let expected?): problems.append("\(name) \(difference(text, expected))")
      case (.failure(let error), _?): problems.append("\(name): \(error)")
      case (.success, nil): problems.append("\(name) should fail")
      case (.failure, nil): failing += 1
      }
    }
    print("\(agreeing) of \(reference.cases.count) agree, \(failing) fail in both")
    #expect(problems.isEmpty, "\(problems.count) differ:\n\(problems.joined(separator: "\n"))")
  }
}
