import DuetRuntime
import Foundation
import Testing

/// Templates come with models, so that each of these is an attack.
@Suite struct TemplateSafetyTests {
  /// What a template makes, on a stack as small as threads have on some platforms.
  private func outcome(
    _ source: String, _ variables: [String: TemplateValue] = [:], limits: TemplateLimits = TemplateLimits()
  ) async -> Result<String, TemplateError> {
    await timed(source, variables, limits: limits).result
  }

  /// The outcome, and the seconds of processor time that it took: on two cores that run hundreds of
  /// tests, the clock tells more of these than of the template.
  private func timed(
    _ source: String, _ variables: [String: TemplateValue] = [:], limits: TemplateLimits = TemplateLimits()
  ) async -> (result: Result<String, TemplateError>, seconds: Double) {
    await withCheckedContinuation { continuation in
      let thread = Thread {
        let result = Self.render(source, variables, limits)
        var time = timespec()
        let status = unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        let seconds = Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        continuation.resume(returning: (result, status == 0 ? seconds : .infinity))
      }
      thread.stackSize = 512 << 10
      thread.start()
    }
  }

  private static func render(
    _ source: String, _ variables: [String: TemplateValue], _ limits: TemplateLimits
  ) -> Result<String, TemplateError> {
    do throws(TemplateError) {
      return .success(try ChatTemplate(source: source).render(variables: variables, limits: limits))
    } catch {
      return .failure(error)
    }
  }

  private func limit(_ source: String, _ limits: TemplateLimits = TemplateLimits()) async -> TemplateLimit? {
    guard case .failure(.limit(_, let limit)) = await outcome(source, limits: limits) else { return nil }
    return limit
  }

  /// Bounds of the same kind that are reached sooner.
  private var fewer: TemplateLimits {
    var limits = TemplateLimits()
    limits.steps /= 10
    return limits
  }

  private func repeated(_ text: String, _ count: Int = 20_000) -> String {
    String(repeating: text, count: count)
  }

  @Test func `refuses deeply nested sources`() async {
    let sources = [
      ("(", ")"), ("[", "]"), ("{1:", "}"), ("not ", ""), ("-", ""), ("f(", ")"), ("x[", "]"),
      ("1 if 1 else ", ""),
      ("x is in [", "]"), ("x|join(", ")"), ("1 if (", ") else 1"),
    ]
    for (open, close) in sources {
      #expect(await limit("{{ " + repeated(open) + "1" + repeated(close) + " }}") == .depth, "\(open)")
      #expect(await outcome("{{ " + repeated(open)) != .success(""), "\(open)")
    }
    #expect(await limit("{% set " + repeated("(") + "x" + repeated(")") + " = 1 %}") == .depth)
    for block in [
      "if 1", "for x in y", "filter upper", "macro m()", "call m()", "set x", "with x=1", "generation",
    ] {
      #expect(await limit(repeated("{% \(block) %}")) == .depth, "\(block)")
    }
  }

  @Test func `takes long chains without nesting`() async throws {
    let chains = [
      "1" + repeated(" + 1"), "1" + repeated(" ~ ''"), "1" + repeated(" and 1"),
      "0" + repeated(" or 0") + " or 1",
      "'1'" + repeated("|trim"), "1" + repeated(" == 1"), "x" + repeated(".a"), "'1'" + repeated("[0]"),
      "1" + repeated(" * 1"),
    ]
    for chain in chains {
      let result = await outcome("{% set n = namespace() %}{{ (\(chain)) is defined }}")
      if case .failure(.limit) = result { Issue.record("\(chain.prefix(12)) is refused") }
    }
    let branches = "{% if 0 %}" + repeated("{% elif 0 %}") + "{% else %}yes{% endif %}"
    #expect(await outcome(branches) == .success("yes"))
  }

  @Test func `bounds recursion`() async {
    #expect(await limit("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}") == .depth)
    #expect(
      await limit(
        "{% macro f() %}{% if 1 %}{% set x %}{{ [(f() | upper) ~ ''] }}{% endset %}{% endif %}{% endmacro %}{{ f() }}"
      ) == .depth)
    #expect(await limit("{% macro f(x=f()) %}{% endmacro %}{{ f() }}") == .depth)
    #expect(
      await limit("{% macro f() %}{% call f() %}{% endcall %}{{ caller() }}{% endmacro %}{{ f() }}") == .depth
    )
    #expect(await limit("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}") == .depth)
    #expect(await limit("{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}") == .depth)
    #expect(
      await limit(
        "{% macro f() %}{% for x in [1] %}{% with y = 1 %}{% filter upper %}{{ not (1 + (f() | length)) }}{% endfilter %}{% endwith %}{% endfor %}{% endmacro %}{{ f() }}"
      ) == .depth)
  }

  @Test func `bounds the depth of values`() async {
    let steps = "{% set n = namespace(x=1) %}{% for i in range(100000) %}"
    for value in [
      "[n.x]", "(n.x,)", "{'a': n.x}", "[n.x] | select", "[n.x].index", "cycler(n.x)", "{'a': n.x}.items()",
    ] {
      #expect(await limit(steps + "{% set n.x = \(value) %}{% endfor %}") == .valueDepth, "\(value)")
    }
    // Namespaces hold each other without bound, and are freed one by one.
    for value in ["namespace(x=n.x)", "namespace(x=n)", "n"] {
      #expect(await outcome(steps + "{% set n.x = \(value) %}{% endfor %}ok") == .success("ok"), "\(value)")
    }
    let loops = "{% for j in [n.x] %}{% set same = loop.changed(n.x) %}{% set n.x = loop %}{% endfor %}"
    #expect(await outcome(steps + loops + "{% endfor %}ok") == .success("ok"))
    #expect(await limit("{% set n = namespace() %}{% set n.n = n %}{{ n }}") == .valueDepth)
    var nested: TemplateValue = 1
    for _ in 0..<200 { nested = [nested] }
    #expect(
      await outcome("{{ x }}", ["x": nested])
        == .failure(.limit(TemplatePosition(line: 1, column: 1), .valueDepth)))
  }

  @Test func `bounds shared values that are huge when walked`() async {
    let doubling =
      "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}"
    for use in [
      "{{ n.x }}", "{{ n.x | tojson }}", "{{ n.x == n.y }}", "{{ n.x < n.y }}",
      "{{ [n.x] | sort }}{{ n.y in [n.x] }}",
    ] {
      let limit = await limit(doubling + use, fewer)
      #expect(limit == .steps || limit == .textBytes, "\(use)")
    }
    let tuples =
      "{% set n = namespace(x=(1,)) %}{% for i in range(60) %}{% set n.x = (n.x, n.x) %}{% endfor %}{{ {n.x: 1} }}"
    if case .success = await outcome(tuples) { Issue.record("a nested tuple is a key") }
  }

  @Test func `bounds time and space`() async {
    let bombs = [
      "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
      "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
      "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
      "{{ 'x' * 9999999999 }}", "{{ [1] * 9999999999 }}", "{{ 'xx' * 9223372036854775807 }}",
      "{{ 'x'.center(9999999999) }}", "{{ 'x'.zfill(99999999999) }}", "{{ 'x' | indent(99999999999, true) }}",
      "{{ ('a' * 1000000).replace('', 'b' * 1000000) }}",
      "{{ (('a,' * 100000).split(',')).__len__ or ('b' * 100000).join('a' * 100000) }}",
      "{{ ['a' * 1000000] * 1000000 | join }}{{ (['a' * 1000] * 1000000) | join }}",
      "{{ [1] | tojson(indent=99999999999) }}", "{{ [1, 2] | slice(99999999) | list }}",
      "{{ [1] | batch(99999999, 0) | list }}",
      "{% set s = 'x' * 1000000 %}{% for i in range(100000) %}{{ s }}{% endfor %}",
      "{% set s = 'ab' * 1000000 %}{% for i in range(100000) %}{% if 'ba' * 100 ~ 'c' in s %}{% endif %}{% endfor %}",
      "{% set s = 'x' * 1000000 %}{% for i in range(100000) %}{{ s[i] }}{% endfor %}",
      "{{ range(100001) }}", "{{ range(-9223372036854775807, 9223372036854775807) }}",
      "{{ '%99999s' % 1 }}{{ '{:99999}'.format(1) }}", "{{ '\\t'.expandtabs(99999999999) }}",
    ]
    for bomb in bombs {
      let (result, seconds) = await timed(bomb, limits: fewer)
      if case .success(let text) = result {
        Issue.record("\(bomb) makes \(text.utf8.count) bytes")
      }
      #expect(seconds < 20, "\(bomb)")
    }
  }

  @Test func `ends endless work within seconds`() async throws {
    struct Endless: Error {}
    let loops = "{% for a in range(100000) %}{% for b in range(100000) %}{{ a ~ b }}{% endfor %}{% endfor %}"
    let (result, seconds) = await timed(loops)
    guard case .failure(.limit(_, let limit)) = result else { throw Endless() }
    #expect(limit == .steps || limit == .textBytes)
    #expect(seconds < 30)
  }

  @Test func `keeps the bounds it is given`() async {
    var limits = TemplateLimits()
    limits.steps = 1000
    #expect(await limit("{% for i in range(2000) %}{% endfor %}", limits) == .steps)
    limits = TemplateLimits()
    limits.textBytes = 10
    #expect(await limit("{{ '12345' }}{{ '123456' }}", limits) == .textBytes)
    #expect(await outcome("{{ '12345' }}{{ '12345' }}", limits: limits) == .success("1234512345"))
  }

  @Test func `fails on numbers beyond 64 bits`() async {
    let largest = "9223372036854775807"
    let sources = [
      "\(largest) + 1", "-\(largest) - 2", "\(largest) * 2", "2 ** 64", "99999999999999999999",
      "0xFFFFFFFFFFFFFFFFFF",
      "(-\(largest) - 1) // -1", "(-\(largest) - 1) | abs", "-(-\(largest) - 1)", "[\(largest), 1] | sum",
      "(1 / 0.0)", "xs[::0]", "'a'.split('')", "1 % 0", "1.5 // 0", "(-\(largest) - 1) % -1",
    ]
    for source in sources {
      if case .success(let text) = await outcome("{{ \(source) }}") { Issue.record("\(source) is \(text)") }
    }
    #expect(
      await outcome("{{ 'abc'[\(largest)] }}{{ 'abc'[-\(largest):\(largest):\(largest)] }}|")
        == .success("a|"))
    #expect(await outcome("{{ 1e308 * 10 }} {{ 'x' | truncate(\(largest)) }}") == .success("inf x"))
    #expect(
      await outcome("{{ [1] | batch(\(largest)) | list }}{{ 'x'.ljust(-\(largest) - 1) }}")
        == .success("[[1]]x"))
  }

  @Test func `survives mutated templates`() async throws {
    let reference = try TemplateReference(fixture: "chats")
    var random = TemplateRandom(state: 7)
    let pieces = [
      "{%", "%}", "{{", "}}", "-", "'", "\"", "(", ")", "[", "]", "|", " if ", " else ", "for x in ", "{#",
      "\\", "9", "é", ".", "~",
    ]
    for recorded in reference.cases
    where recorded.context == "two-calls/tools+" || recorded.context == "parts+" {
      for _ in 0..<1_000 {
        var source = Array(recorded.source.unicodeScalars)
        for _ in 0...random.below(3) {
          let place = random.below(source.count)
          switch random.below(3) {
          case 0: source.removeSubrange(place..<min(source.count, place + random.below(20)))
          case 1: source.insert(contentsOf: pieces[random.below(pieces.count)].unicodeScalars, at: place)
          default: source.removeSubrange(place...)
          }
          if source.isEmpty { source = ["x"] }
        }
        var text = String.UnicodeScalarView()
        text.append(contentsOf: source)
        _ = Self.render(String(text), recorded.variables, TemplateLimits())
      }
    }
  }
}

/// A small random number generator with a seed.
struct TemplateRandom {
  var state: UInt64

  mutating func below(_ bound: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return Int((z ^ (z >> 31)) % UInt64(max(1, bound)))
  }
}
