import DuetRuntime
import Foundation
import Testing

/// Templates with what another implementation made of them, as `record_templates.py` writes it.
struct TemplateReference {
  struct Case {
    let template: String
    let context: String
    let source: String
    let variables: [String: TemplateValue]
    /// Nil where the other implementation fails.
    let expected: String?

    /// What this project makes of it.
    func render(_ date: TemplateDate) -> Result<String, TemplateError> {
      do throws(TemplateError) {
        return .success(try ChatTemplate(source: source).render(variables: variables, date: date))
      } catch {
        return .failure(error)
      }
    }
  }

  let date: TemplateDate
  let cases: [Case]

  init(path: String) throws {
    let data = try Data(contentsOf: URL(filePath: path))
    let root = try TemplateValue(json: String(decoding: data, as: UTF8.self)).dictionary
    let now = root["now"]?.integers ?? []
    try #require(now.count == 6)
    date = TemplateDate(
      year: now[0], month: now[1], day: now[2], hour: now[3], minute: now[4], second: now[5])
    let templates = root["templates"]?.dictionary ?? [:]
    let contexts = root["contexts"]?.dictionary ?? [:]
    cases = (root["cases"]?.list ?? []).compactMap { value in
      let entry = value.dictionary
      let (template, context) = (entry["template"]?.string ?? "", entry["context"]?.string ?? "")
      let variables = (contexts[context]?.dictionary.entries ?? []).map { ($0.key, $0.value) }
      return Case(
        template: template, context: context, source: templates[template]?.string ?? "",
        variables: Dictionary(variables) { $1 }, expected: entry["expected"]?.string)
    }
  }

  init(fixture: String) throws {
    let url = try #require(
      Bundle.module.url(forResource: "Fixtures/templates/\(fixture)", withExtension: "json"))
    try self.init(path: url.path)
  }
}

extension TemplateValue {
  var dictionary: TemplateDictionary { if case .dictionary(let value) = self { value } else { [:] } }
  var list: [TemplateValue] { if case .list(let value) = self { value } else { [] } }
  var string: String? { if case .string(let value) = self { value } else { nil } }
  var integers: [Int] { list.compactMap { if case .integer(let value) = $0 { value } else { nil } } }
}

/// The first difference of two texts, for messages.
func difference(_ actual: String, _ expected: String) -> String {
  let common = zip(actual.utf8, expected.utf8).prefix { $0 == $1 }.count
  func around(_ text: String) -> String {
    String(decoding: text.utf8.dropFirst(max(0, common - 40)).prefix(90), as: UTF8.self).debugDescription
  }
  return "differs at byte \(common): \(around(actual)) instead of \(around(expected))"
}
