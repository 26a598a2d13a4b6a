import DuetRuntime

/// Sound documents and templates that use most of what their readers know.
enum TextSeeds {
  static let html = """
    <!DOCTYPE html><html lang=en><head><meta charset="utf-8"><title>Bees &amp; hives</title><style>p{}</style>
    <script>if (a < b) { document.write("<p>no</p>") }</script></head><body><h1>Bees</h1><!-- note -->
    <p class='a b' data-x=1>They fly &eacute;t&#233; &#x1F41D; <b>fast</b><br/>and far.</p><pre>  kept
     as is</pre><ul><li>one<li>two</ul><table><tr><th>A</th><td>1</td></tr></table><h2>Hives</h2><blockquote>wax</blockquote>
    </body></html>
    """

  static let templates = [
    """
    {%- set ns = namespace(count=0) -%}{{ bos_token }}
    {%- macro show(m, tag='x') %}<|{{ m.role }}|>{{ m['content'] | trim | replace('a', 'b') }}{% endmacro -%}
    {% for m in messages if m.role != 'none' %}
      {%- if loop.first and m.role == "system" %}S{{ m.content | length + 2 ** 3 }}
      {%- elif m.content is string %}{{ show(m) }}{% set ns.count = ns.count + 1 %}
      {%- else %}{{ raise_exception('odd') }}{% endif %}
    {% else %}none{% endfor %}
    {{- messages | tojson(indent=2) }}{{ "%s-%05.2f" | format(ns.count, 1.5) }}{% if add_generation_prompt %}<|a|>{% endif %}
    """,
    """
    {% call(x) wrap() %}{{ x }}{% endcall %}{% macro wrap() %}{{ caller(3) }}{% endmacro %}
    {{ messages | map(attribute='role') | list | join(', ') | upper }} {{ range(3, 9, 2) | list | sum }}
    {% filter indent(2) %}{{ dict(a=1, b=[1, 2.5, none, true]) | dictsort }}{% endfilter %}
    {% raw %}{{ not }}{% endraw %}{{ strftime_now('%d %b %Y') }}{{ 'a' if x is defined else [1,2,3][::-1] }}
    {{ messages | selectattr('role', 'equalto', 'user') | first }}{{ 'x y'.split()[0].title() ~ 3 // 2 }}
    """,
  ]

  /// A stored archive of the parts that a word processor writes.
  static let docx: [UInt8] = {
    let text = """
      <?xml version="1.0"?><w:document xmlns:w="w"><w:body><w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Bees</w:t>
      </w:r></w:p><w:p><w:r><w:t xml:space="preserve">They fly &amp; buzz </w:t><w:tab/><w:br/></w:r></w:p><w:tbl><w:tr><w:tc><w:p>
      <w:r><w:t>cell</w:t></w:r></w:p></w:tc></w:tr></w:tbl></w:body></w:document>
      """
    return archive([("[Content_Types].xml", Array("<Types/>".utf8)), ("word/document.xml", Array(text.utf8))])
  }()

  private static func archive(_ entries: [(name: String, content: [UInt8])]) -> [UInt8] {
    func little(_ value: Int, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    var archive: [UInt8] = [], directory: [UInt8] = []
    for entry in entries {
      let size = little(entry.content.count, 4)
      let common = little(0, 12) + size + size + little(entry.name.utf8.count, 2)
      directory += little(0x0201_4B50, 4) + little(20, 2) + little(20, 2) + common + little(0, 12)
      directory += little(archive.count, 4) + Array(entry.name.utf8)
      archive +=
        little(0x0403_4B50, 4) + little(20, 2) + common + little(0, 2) + Array(entry.name.utf8)
        + entry.content
    }
    let counts = little(entries.count, 2) + little(entries.count, 2)
    return archive + directory + little(0x0605_4B50, 4) + little(0, 4) + counts + little(directory.count, 4)
      + little(archive.count, 4) + little(0, 2)
  }
}

/// Small sound vocabularies of the kinds that encoders have.
enum SeedVocabulary {
  static let wordPieceTokens =
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + ["▁the", "▁cat", "s", "▁sat", ",", "▁e", "te", "▁1"]
  static let unigramTokens = ["<pad>", "</s>", "<unk>", "▁", "▁the", "▁cat", "s", "a", "b", "c", "abc", "é"]

  static var wordPiece: [UInt8] { file("bert", addWordPieces) }
  static var unigram: [UInt8] { file("t5", addUnigram) }

  private static func file(_ architecture: String, _ addTokens: (inout GGUFWriter) -> Void) -> [UInt8] {
    var file = GGUFWriter()
    file.add("general.architecture", .string(architecture))
    addTokens(&file)
    return file.bytes
  }

  static func addWordPieces(to file: inout GGUFWriter) {
    let tokens = wordPieceTokens
    add(tokens, kinds: tokens.indices.map { $0 < 5 ? 3 : 1 }, model: "bert", &file)
    for (name, id) in [("unknown", 1), ("cls", 2), ("seperator", 3)] {
      file.add("tokenizer.ggml.\(name)_token_id", .uint32(UInt32(id)))
    }
  }

  static func addUnigram(to file: inout GGUFWriter) {
    let tokens = unigramTokens
    add(tokens, kinds: tokens.indices.map { $0 == 2 ? 2 : $0 < 2 ? 3 : 1 }, model: "t5", &file)
    file.add("tokenizer.ggml.scores", .floats(tokens.indices.map { -Float($0) }))
    file.add("tokenizer.ggml.add_space_prefix", .bool(true))
    file.add("tokenizer.ggml.remove_extra_whitespaces", .bool(true))
  }

  private static func add(_ tokens: [String], kinds: [Int32], model: String, _ file: inout GGUFWriter) {
    file.add("tokenizer.ggml.model", .string(model))
    file.add("tokenizer.ggml.tokens", .strings(tokens))
    file.add("tokenizer.ggml.token_type", .int32s(kinds))
  }
}
