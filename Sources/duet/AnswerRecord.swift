import DuetRouter
import DuetRuntime

/// An answer as `duet chat --json` prints it.
struct AnswerRecord: Encodable {
  struct SourceRecord: Encodable {
    let number: Int
    let location: String
    let title: String
    let text: String
  }
  struct SentenceRecord: Encodable {
    let text: String
    let source: Nullable<Int>
    let support: Double
    let attention: Nullable<Double>
  }
  struct UsageRecord: Encodable {
    let promptTokens: Int
    let cachedTokens: Int
    let completionTokens: Int
  }
  struct TimingsRecord: Encodable {
    let loadS: Double
    let firstTokenS: Double
    let prefillS: Double
    let decodeS: Double
    let totalS: Double
  }

  let model: String
  let text: String
  let route: String
  let reason: String
  let score: Nullable<Double>
  let support: Nullable<Double>
  let sentences: [SentenceRecord]
  let sources: [SourceRecord]
  let usage: UsageRecord
  let timings: TimingsRecord
  let finish: String

  init(_ reply: Reply, model: String, loadSeconds: Double, totalSeconds: Double) {
    self.model = model
    text = reply.text
    route = reply.route.rawValue
    reason = reply.reason
    score = Nullable(finite: reply.score)
    support = Nullable(finite: reply.support)
    sentences = reply.sentences.map {
      SentenceRecord(
        text: $0.text, source: Nullable($0.source), support: $0.support,
        attention: Nullable(finite: $0.attention))
    }
    sources = reply.sources.map {
      SourceRecord(number: $0.number, location: $0.location, title: $0.title, text: $0.text)
    }
    usage = UsageRecord(
      promptTokens: reply.usage.promptTokens, cachedTokens: reply.usage.cachedTokens,
      completionTokens: reply.usage.completionTokens)
    timings = TimingsRecord(
      loadS: loadSeconds, firstTokenS: reply.timings.firstToken, prefillS: reply.timings.prefill,
      decodeS: reply.timings.decode, totalS: totalSeconds)
    finish = reply.finish.rawValue
  }
}
