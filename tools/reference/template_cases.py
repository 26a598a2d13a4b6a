"""The templates and conversations that record_templates.py renders. All are this project's own."""


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **fields):
    return {"role": "assistant", "content": text, **fields}


def system(text):
    return {"role": "system", "content": text}


def call(name, arguments, id="call00001"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place, \"now\" or <later>.",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "description": "A town & its country"},
                "days": {"type": "integer", "default": 1, "minimum": 0.5},
                "unit": {"type": "string", "enum": ["°C", "°F"]},
            },
            "required": ["place"],
        },
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "The time.",
        "parameters": {"type": "object", "properties": {}},
    },
}

LONG = [m for i in range(10) for m in (user(f"Question {i}?"), assistant(f"Answer {i}.\n"))]

CONVERSATIONS = {
    "one": [user("Hello, who are you?")],
    "system": [system("Be brief."), user("Hi")],
    "turns": [user("One?"), assistant("1"), user("Two?"), assistant("2"), user("Three?")],
    "system-turns": [system("You count.\n"), user("One?"), assistant("1"), user("Two?")],
    "ends-assistant": [user("One?"), assistant("1")],
    "spaces": [system("  padded \n"), user("\n\n  Hi there \t "), assistant("  yes\n"), user(" ")],
    "unicode": [user("Grüße 你好 🙂 שלום e\u0301 é \u00a0\u2028x"), assistant("ça\tva 👩‍👩‍👧"), user("…ß")],
    "empty": [user("")],
    "empty-system": [system(""), user("x")],
    "long": [system("Keep going.")] + LONG + [user("Last?")],
    "markup": [user("<b>'quoted' & \"double\" {{ not.a.tag }} {% raw %}</b>\r\nnext")],
    "thinking": [
        user("Why?"),
        assistant("<think>\nbecause\n</think>\n\nSo.", reasoning_content="because"),
        user("And?"),
    ],
    "tool-call": [
        user("Weather in Köln?"),
        assistant("", tool_calls=[call("weather", {"place": "Köln", "days": 2})]),
        {"role": "tool", "name": "weather", "content": "{\"sky\": \"rain\"}", "tool_call_id": "call00001"},
        assistant("It rains."),
        user("Thanks"),
    ],
    "two-calls": [
        system("Use tools."),
        user("Time and weather?"),
        assistant("Let me see.", tool_calls=[call("clock", {}), call("weather", {"place": "Rome"}, "call00002")]),
        {"role": "tool", "name": "clock", "content": "12:00", "tool_call_id": "call00001"},
        {"role": "tool", "name": "weather", "content": "sun", "tool_call_id": "call00002"},
    ],
    "parts": [
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image"}]},
    ],
    "wrong-order": [assistant("I begin."), user("Oh?"), user("And again?")],
    "late-system": [user("Hi"), system("Now be kind."), user("Well?")],
    "none": [],
}


def contexts():
    result = {}
    for name, messages in CONVERSATIONS.items():
        for prompt in (True, False):
            variables = {
                "messages": messages,
                "add_generation_prompt": prompt,
                "bos_token": "<s>",
                "eos_token": "</s>",
            }
            suffix = "+" if prompt else "-"
            result[name + suffix] = variables
            if name in ("one", "system-turns", "tool-call", "two-calls"):
                result[name + "/tools" + suffix] = {**variables, "tools": [WEATHER, CLOCK]}
                result[name + "/no-tools" + suffix] = {**variables, "tools": None, "documents": None}
    result["one/thinking"] = {**result["one+"], "enable_thinking": False}
    result["thinking/on"] = {**result["thinking+"], "enable_thinking": True, "date_string": "1 May 2025"}
    functions = {"functions": "[{\"name\": \"clock\"}]", "datetime": "Sun, 1 Mar 2026"}
    result["system-turns/functions"] = {**result["system-turns+"], **functions}
    return result


CONTEXTS = contexts()

CHATML = """\
{%- if messages and messages[0].role == 'system' -%}
    {%- set start = 1 %}
    {{- '<|im_start|>system\\n' + messages[0].content | trim + '<|im_end|>\\n' }}
{%- else %}
    {%- set start = 0 %}
    {{- '<|im_start|>system\\nYou are Duet.<|im_end|>\\n' }}
{%- endif %}
{%- if tools %}
    {{- '<tools>' }}
    {%- for tool in tools %}
        {{- '\\n' ~ tool | tojson }}
    {%- endfor %}
    {{- '\\n</tools>\\n' }}
{%- endif %}
{%- for message in messages[start:] %}
    {%- if message.content is string %}{% set text = message.content %}{% else %}{% set text = '' %}{% endif %}
    {{- '<|im_start|>' ~ message['role'] ~ '\\n' }}
    {%- if message.tool_calls %}
        {%- for call in message.tool_calls %}
            {%- if call.function is defined %}{% set call = call.function %}{% endif %}
            {{- '<call>' ~ {'name': call.name, 'arguments': call.arguments} | tojson ~ '</call>' }}
            {%- if not loop.last %}{{ '\\n' }}{% endif %}
        {%- endfor %}
    {%- endif %}
    {{- text ~ '<|im_end|>' ~ '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

HEADERS = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{%- if messages | length > 0 and messages[0]['role'] == 'system' %}
    {%- set first = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set first = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today: " + date_string + "\\n\\n" }}
{{- first }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
        {%- if message.content is iterable and message.content is not string %}
            {%- for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}
        {%- else %}
            {{- message['content'] | trim }}
        {%- endif %}
        {{- '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if message.tool_calls | length != 1 %}
            {{- raise_exception("one call at a time") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- call.name ~ '(' }}
        {%- for name, value in call.arguments | items %}
            {{- name + '=' + value | tojson }}
            {%- if not loop.last %}, {% endif %}
        {%- endfor %}
        {{- ')' + "<|eom_id|>" }}
    {%- else %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" + message.content | tojson + "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

STRICT_TURNS = """\
{{ bos_token }}
{% if messages and messages[0]['role'] == 'system' %}
    {% set lead = messages[0]['content'].strip() + '\\n\\n' %}
    {% set rest = messages[1:] %}
{% else %}
    {% set lead = '' %}
    {% set rest = messages %}
{% endif %}
{% for message in rest %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception("roles must alternate") }}
    {% endif %}
    {% set role = 'model' if message['role'] == 'assistant' else message['role'] %}
    {{ '<start_of_turn>' + role + '\\n' + (lead if loop.first else '') -}}
    {% if message['content'] is string %}
        {{- message['content'] | trim }}
    {%- else %}
        {%- for part in message['content'] %}
            {%- if part['type'] == 'image' %}{{ '<image>' }}{% elif part['type'] == 'text' %}{{ part['text'] | trim }}{% endif %}
        {%- endfor %}
    {%- endif %}
    {{- '<end_of_turn>\\n' }}
{% endfor %}
{% if add_generation_prompt %}
    {{- '<start_of_turn>model\\n' }}
{% endif %}
"""

INSTRUCT = """\
{%- set ns = namespace(index=0, last_user=-1) %}
{%- set loop_messages = messages | rejectattr('role', 'equalto', 'system') | list %}
{%- set system = messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | join('\\n\\n') %}
{%- for message in loop_messages %}
    {%- if message.role == 'user' %}{% set ns.last_user = loop.index0 %}{% endif %}
{%- endfor %}
{%- macro arguments(call) -%}
    {"name": {{ call.function.name | tojson }}, "arguments": {{ call.function.arguments | tojson }}, "id": "{{ call.id }}"}
{%- endmacro %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message.role == 'user' %}
        {%- if tools is defined and tools is not none and loop.index0 == ns.last_user %}
            {{- '[AVAILABLE_TOOLS] [' }}
            {%- for tool in tools -%}
                {{- tool.function | tojson(sort_keys=true) }}{{ ', ' if not loop.last else '' }}
            {%- endfor %}
            {{- '][/AVAILABLE_TOOLS]' }}
        {%- endif %}
        {%- if loop.index0 == ns.last_user and system %}
            {{- '[INST] ' ~ system ~ '\\n\\n' ~ message.content ~ '[/INST]' }}
        {%- else %}
            {{- '[INST] ' ~ message.content ~ '[/INST]' }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls %}
        {{- '[TOOL_CALLS] [' }}
        {%- for call in message.tool_calls %}
            {{- arguments(call) }}{% if not loop.last %}{{ ', ' }}{% endif %}
        {%- endfor %}
        {{- ']' ~ eos_token }}
    {%- elif message.role == 'assistant' %}
        {%- generation %}{{ ' ' ~ message.content | trim ~ eos_token }}{% endgeneration %}
    {%- elif message.role == 'tool' %}
        {%- if message.tool_call_id | length != 9 %}{{ raise_exception('ids have nine characters') }}{% endif %}
        {{- '[TOOL_RESULTS] ' ~ {'content': message.content | string, 'call_id': message.tool_call_id} | tojson ~ '[/TOOL_RESULTS]' }}
    {%- endif %}
{%- endfor %}
"""

CHAT_TEMPLATES = {
    "chatml": CHATML,
    "headers": HEADERS,
    "strict-turns": STRICT_TURNS,
    "instruct": INSTRUCT,
}


THINGS = {
    "xs": [3, 1, 2],
    "words": ["pear", "Apple", "fig", "apple"],
    "d": {"b": 1, "a": [1, 2.5, None, True], "items": "shadowed"},
    "people": [
        {"name": "Ann", "age": 30, "home": {"town": "Bonn"}},
        {"name": "bob", "age": 25, "home": {"town": "Aachen"}},
        {"name": "Cy", "age": 30, "home": {}},
    ],
    "s": "  Hello World \n",
    "u": "Grüße, 你好 e\u0301 🙂",
    "n": None,
    "tree": [{"v": 1, "c": [{"v": 2, "c": [{"v": 3, "c": []}]}, {"v": 4, "c": []}]}],
    "f": 2.5,
    "deep": {"x": {"y": [{"z": "found"}]}},
}

# Each is a name and a template; all are rendered with THINGS.
SNIPPETS = {
    # White space.
    "trim-blocks": "{% if true %}\nyes\n{% endif %}\nend\n",
    "trim-only-one": "{% if true %}\n\n yes{% endif %}\n\nend\n\n",
    "lstrip-blocks": "a\n   {% if true %}\n   b\n   {% endif %}\n  c {% if true %} d{% endif %}",
    "lstrip-not-variables": "a\n   {{ 1 }}\n   {{- 2 }}\n",
    "minus": "a  \n {%- if true -%} \n b \n {%- endif -%} \n c",
    "plus": "a\n  {%+ if true +%}\n  b\n  {%+ endif %}\n  c",
    "plus-variable": "a\n  {{+ 1 }}\n",
    "unicode-space": "a\u00a0\u2003{{- 1 -}}\u00a0\u3000b",
    "comments": "a{# one #}b\n  {# two #}\nc{#- three -#}  d\n{# fo%}ur}} #}\n\n",
    "comment-minus": "x {#-#} y {#--#} z",
    "crlf": "a\r\n{% if true %}\r\nb\rc\r\n{% endif %}\r\nend\r\n",
    "raw": "{% raw %}{{ a }} {% if %}{# c #}{% endraw %}|\n  {%- raw -%}  {{ b }}  {%- endraw -%}  \n|",
    "raw-lines": "x\n  {% raw %}\n  y {{ z }}\n  {% endraw %}\nw",
    "final-newlines": "a\n\n\n",
    "brace-in-string": "{{ '}}' ~ \"%}\" ~ '{{' }}",
    "dict-end": "{{ {'a': {'b': 1}}}}",
    "line-start-comment": "{# c #}   {% if true %}x{% endif %}",
    "only-space": "   {% set x = 1 %}   \n  {{ x }}",
    # Literals and operators.
    "numbers": "{{ [1_000, 0x1F, 0o17, 0b101, 1.5, 2e3, 1.5E-3, 1_0.5, 0, 00] }}",
    "floats": "{{ [1e15, 1e16, 123456789.123, 0.0001, 0.00001, 1e22, 5e-324, 1.0, 100.0, 1e100, -0.0, 3.14] }}",
    "strings": "{{ 'a\\tb\\x41\\u00e9\\U0001F642\\101\\q\\\\\\'' ~ \"it's\" }}|{{ 'line\\\nnext' }}",
    "adjacent-strings": "{{ 'a' \"b\" 'c' }}",
    "arithmetic": "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 2 ** 10 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }}",
    "float-arithmetic": "{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 0.1 + 0.2 }} {{ 1 - 0.5 }} {{ 2 * 1.5 }} {{ -7.5 // 2 }} {{ 7.5 % -2 }}",
    "bool-arithmetic": "{{ true + 1 }} {{ true == 1 }} {{ 1 == 1.0 }} {{ false < true }} {{ true * 3 }}",
    "precedence": "{{ 1 ~ 2 * 3 }} {{ 'a' ~ 1 == 'a1' }} {{ 2 + 3 * 4 - 1 }} {{ 'x' if false else 'y' ~ 1 }} {{ 1 + 2 < 4 and not 5 < 4 }} {{ 2 * -3 ** 2 }} {{ -xs[0] ~ 'z' | upper }} {{ 10 - 4 - 3 }} {{ 2 + 2 is even }}",
    "concatenate": "{{ 1 ~ 'a' ~ none ~ true ~ 1.0 ~ [1] ~ missing ~ '|' }}",
    "repeat": "{{ 'ab' * 3 }} {{ [1] * 2 }} {{ 2 * (1, 2) }} {{ 'x' * -1 }}|",
    "unary": "{{ -3 | abs }} {{ - 3 }} {{ +3 }} {{ - -3 }} {{ -xs[0] }} {{ not not 1 }}",
    "compare": "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 < 2 == 2 }} {{ 'a' < 'b' }} {{ 'Z' < 'a' }} {{ [1, 2] < [1, 3] }} {{ (1,) < (1, 2) }} {{ 'é' > 'z' }}",
    "equality": "{{ [1, [2]] == [1, [2]] }} {{ (1,) == [1] }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ 'a' == 1 }} {{ none == false }} {{ missing == missing2 }} {{ missing == none }}",
    "normalisation": "{{ 'é' == 'e\u0301' }} {{ 'e\u0301' | length }} {{ {'é': 1, 'e\u0301': 2} | length }} {{ '\\r\\n' | length }}",
    "in": "{{ 1 in [1] }} {{ 'b' in 'abc' }} {{ 'a' in {'a': 1} }} {{ 4 not in xs }} {{ '' in 'x' }} {{ 1 in missing }} {{ not 1 in [1] }} {{ 2 in range(3) }} {{ 1.0 in [1] }}",
    "logic": "{{ 0 or 'x' }} {{ 1 and 'y' }} {{ '' and 1 }}| {{ none or [] }} {{ 1 or boom() }} {{ 0 and boom() }} {{ not '' }} {{ missing or 'z' }}",
    "ternary": "{{ 1 if true }} {{ 1 if false }}| {{ 'a' if 0 else 'b' if 0 else 'c' }} {{ ('x' if true else 'y') ~ 'z' }}",
    "truth": "{% for x in [0, 1, '', 'a', [], [0], {}, {'a': 1}, none, 0.0, (), range(0), missing] %}{{ 'T' if x else 'F' }}{% endfor %}",
    "tuple": "{{ (1, 'a') }} {{ (1,) }} {{ () }} {{ 1, 2 }} {{ (1) }}",
    "dict-literal": "{{ {'a': 1, 2: 'b', none: true, 1.5: [], (1, 2): 3, true: 4} }} {{ {1: 'a', 1.0: 'b', true: 'c'} }} {{ {'a': 1,} }}",
    "print-values": "{{ none }} {{ true }} {{ 1.0 }} {{ [none, 'a', \"it's\", 'q\"q', '\\n\\x00\\u200b\\xa0é🙂\\\\'] }} {{ {'k': 'v'} }} {{ missing }}|{{ [missing] }}",
    "both-quotes": "{{ ['\\'\"'] }}",
    # Access.
    "attributes": "{{ deep.x.y[0].z }} {{ deep['x']['y'].0['z'] }} {{ d.b }} {{ d['items'] }} {{ d.nothing }}| {{ d['keys'] is callable }} {{ d.items is callable }}",
    "negative-index": "{{ xs[-1] }} {{ 'abc'[-2] }} {{ xs[10] }}| {{ u[7] }} {{ 'abc'[5] }}| {{ (1, 2)[-1] }} {{ xs['a'] }}|",
    "slices": "{{ xs[1:] }} {{ xs[:-1] }} {{ xs[::-1] }} {{ 'hello'[1:4] }} {{ 'hello'[::2] }} {{ 'hello'[-3:] }} {{ u[::-1] }} {{ xs[5:] }} {{ (1, 2, 3)[:2] }} {{ xs[2:0:-1] }} {{ xs[none:2] }} {{ 'hello'[10:0:-3] }} {{ xs[:100] }} {{ range(10)[2:8:3] | list }}",
    "undefined-attribute": "{{ missing.a }}",
    "undefined-call": "{{ missing() }}",
    "undefined-add": "{{ missing + 1 }}",
    "undefined-add-right": "{{ 'a' + missing }}",
    "undefined-order": "{{ missing < 1 }}",
    "undefined-loop": "{% for x in missing %}x{% else %}none{% endfor %} {{ missing | length }} {{ missing | list }} {{ missing | join }}|",
    "none-attribute": "{{ n.a }}|{{ n['b'] }}|",
    "underscore": "{{ xs.__class__ }}|{{ 'a'.__len__ is defined }}|",
    # Statements.
    "if-elif": "{% for x in range(4) %}{% if x == 0 %}zero{% elif x == 1 %}one{% elif x == 2 %}two{% else %}many{% endif %} {% endfor %}",
    "loop-variables": "{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}\n{% endfor %}",
    "loop-cycle": "{% for x in range(5) %}{{ loop.cycle('a', 'b', 'c') }}{% endfor %} {% for x in [1, 1, 2, 2, 1] %}{{ 'c' if loop.changed(x) else '-' }}{% endfor %}",
    "loop-filter": "{% for x in range(10) if x is odd %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}",
    "loop-filter-else": "{% for x in xs if x > 5 %}{{ x }}{% else %}nothing{% endfor %}",
    "loop-unpack": "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "loop-unpack-fails": "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "loop-nested": "{% for x in [1, 2] %}{% set outer = loop %}{% for y in 'ab' %}{{ outer.index }}{{ loop.index }}{{ y }} {% endfor %}{{ loop.index }} {% endfor %}",
    "loop-break": "{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% else %}no{% endfor %}",
    "loop-break-in-block": "{% for x in range(3) %}{% set y %}{{ x }}{% if x == 1 %}{% break %}{% endif %}{% endset %}[{{ y }}]{% endfor %}",
    "loop-recursive": "{% for node in tree recursive %}{{ node.v }}@{{ loop.depth }}{% if node.c %}({{ loop(node.c) }}){% endif %}{% if not loop.last %},{% endif %}{% endfor %}",
    "loop-string": "{% for c in u %}[{{ c }}]{% endfor %}",
    "loop-dict": "{% for k in d %}{{ k }} {% endfor %}{% for k, v in d | items %}{{ k }} {% endfor %}{% for v in d.values() %}{{ v }} {% endfor %}",
    "loop-bare": "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}{% for x in (1, 2) if x %}{{ x }}{% endfor %}",
    "set-scope": "{% set a = 1 %}{% for x in xs %}{% set a = a + x %}{{ a }} {% endfor %}{{ a }} {% if true %}{% set a = 9 %}{% endif %}{{ a }}",
    "set-tuple": "{% set a, b = 1, 2 %}{{ b }}{{ a }}{% set c = 1, %}{{ c }}{% set (e, g) = 'xy' %}{{ e }}{{ g }}",
    "set-block": "{% set a %}\n  <{{ 1 + 1 }}>\n{% endset %}[{{ a }}]{% set b | upper | trim %} x {% endset %}[{{ b }}]",
    "namespace": "{% set ns = namespace(a=1, b='x') %}{% for x in xs %}{% set ns.a = ns.a + x %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}| {{ ns['a'] }} {{ ns }} {% set ns.c %}blk{% endset %}{{ ns.c }} {{ namespace({'q': 1}).q }}",
    "namespace-underscore": "{% set ns = namespace() %}{% set ns._a = 1 %}",
    "namespace-not": "{% set x = {} %}{% set x.a = 1 %}",
    "with": "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% set c = 3 %}{% endwith %}{{ a }}{{ c }}|",
    "macro": "{% macro m(a, b=2, c='x') %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m(b=5, a=4) }}{{ m() }}{{ m(1, 2, 3) }} {{ m.name }} {{ m.arguments }}",
    "macro-default": "{% macro m(a, b=a ~ '!') %}{{ b }}{% endmacro %}{{ m('x') }}{{ m('x', 'y') }}",
    "macro-extra": "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}",
    "macro-too-many": "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "macro-unknown-keyword": "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}",
    "macro-scope": "{% set x = 1 %}{% macro m() %}{{ x }}{% set x = 5 %}{{ x }}{% endmacro %}{{ m() }}{% set x = 2 %}{{ m() }}{{ x }}",
    "macro-recursive": "{% macro f(k) %}{{ k if k < 2 else f(k - 1) | int + f(k - 2) | int }}{% endmacro %}{{ f(10) }}",
    "macro-in-loop": "{% for x in xs %}{% macro m() %}{{ x }}{{ loop.index }}{% endmacro %}{{ m() }} {% endfor %}",
    "call-block": "{% macro box(t) %}<{{ t }}:{{ caller() }}>{% endmacro %}{% call box('a') %}in{{ 1 }}{% endcall %}",
    "call-block-arguments": "{% macro each(v) %}{% for x in v %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}{% call(x, i=0) each(xs) %}{{ i }}={{ x }};{% endcall %}",
    "filter-block": "{% filter upper | replace('B', 'x') %}abc{% if true %}b{% endif %}{% endfilter %}",
    "generation": "a{% generation %}b{% set q = 1 %}{% endgeneration %}c{{ q }}|",
    "print-tag": "{% print 1 %}{% print 'a', 2 %}",
    "spread": "{% macro m(a, b, c) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*[1, 2], **{'c': 3}) }} {{ m(1, *(2, 3)) }}",
    "shadowed-late": "{% for x in [1] %}{{ n2 }}{% endfor %}{% set n2 = 1 %}{{ n2 }}",
    # Methods.
    "string-case": "{{ s.upper() }}{{ s.lower() }}{{ 'hELLO wORLD'.capitalize() }} {{ \"they're ok\".title() }} {{ 'aBc'.swapcase() }} {{ 'ßΣΑΣ ǆ'.upper() }} {{ 'ΑΣ ΣΑ'.lower() }} {{ 'ß'.casefold() }} {{ 'İ'.lower() | length }}",
    "string-strip": "[{{ s.strip() }}][{{ s.lstrip() }}][{{ s.rstrip() }}][{{ 'xxaxx'.strip('x') }}][{{ 'abcab'.rstrip('ba') }}][{{ '\u00a0a\u2003'.strip() }}]",
    "string-split": "{{ ' a b  c '.split() }} {{ 'a,b,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b c '.split(none, 1) }} {{ ' a b c '.rsplit(maxsplit=1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'aXXb'.split('XX')[-1] }} {{ 'a\\nb\\r\\nc\\n'.splitlines() }} {{ 'a\\nb'.splitlines(true) }}",
    "string-find": "{{ 'hello'.find('l') }} {{ 'hello'.rfind('l') }} {{ 'hello'.find('z') }} {{ 'hello'.index('e') }} {{ 'hello'.count('l') }} {{ 'aaaa'.count('aa') }} {{ u.find('🙂') }} {{ 'abc'.count('') }} {{ 'hello'.find('l', 3) }} {{ 'hello'.count('l', 0, 3) }}",
    "string-prefix": "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'abc'.startswith('b', 1) }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('bc') }} {{ 'abc'.startswith('') }}",
    "string-replace": "{{ 'aaa'.replace('a', 'b', 2) }} {{ 'abc'.replace('', '-') }} {{ 'abc'.replace('x', 'y') }} {{ u.replace('ü', 'ue') }}",
    "string-pad": "[{{ 'a'.center(4) }}][{{ 'ab'.center(5, '*') }}][{{ 'a'.ljust(3) }}][{{ 'a'.rjust(3, '0') }}][{{ '-5'.zfill(4) }}][{{ 'a\\tb'.expandtabs(4) }}]",
    "string-parts": "{{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('x') }} {{ '-'.join(['a', 'b']) }} {{ ','.join('abc') }}",
    "string-tests": "{{ 'abc'.isalpha() }} {{ 'ab1'.isalnum() }} {{ '12'.isdigit() }} {{ '²'.isdigit() }} {{ '½'.isnumeric() }} {{ '²'.isdecimal() }} {{ ' \\t'.isspace() }} {{ ''.isspace() }} {{ 'AB'.isupper() }} {{ 'ab!'.islower() }} {{ 'Ab Cd'.istitle() }} {{ 'é'.isascii() }}",
    "string-format": "{{ '{} {1}'.format('a') if false else '{} {}'.format('a', 2) }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x:>5}|{y:<4}|{z:^5}|'.format(x=1, y='a', z='b') }} {{ '{:.2f} {:05d} {:,} {:x} {:+d} {!r}'.format(2.675, 42, 1234567, 255, 3, 'q') }} {{ '{{}}{a.b[0]}'.format(a={'b': [7]}) if false else '{{}}' .format() }} {{ '{:%}'.format(0.25) }}",
    "percent-format": "{{ '%s-%d' % ('a', 5) }} {{ '%5.1f|%-5s|%05d' % (3.14159, 'x', 42) }} {{ '%(a)s' % {'a': 1} }} {{ '100%%' % () }} {{ '%s' % 'one' }} {{ '%x %r' % (255, 'q') }}",
    "dict-methods": "{{ d.get('b') }} {{ d.get('zz') }} {{ d.get('zz', 0) }} {{ d.keys() }} {{ d.values() | list }} {{ d.items() | list }} {{ d.keys() | list | length }} {{ 'a' in d.keys() }} {{ d.copy() == d }}",
    "list-methods": "{{ xs.index(1) }} {{ xs.count(3) }} {{ xs.copy() }}",
    "list-append": "{{ xs.append(4) }}",
    "dict-update": "{{ d.update({}) }}",
    "dict-pop-defined": "{{ d.pop is defined }} {{ xs.append is defined }}",
    # Filters.
    "filter-default": "{{ missing | default('x') }} {{ '' | default('x') }}| {{ '' | default('x', true) }} {{ none | d('y') }} {{ missing | default }}| {{ missing.a | default('z') if false }}|{{ d.q | default(value='x') if false else d.q | default(default_value='w') }}",
    "filter-case": "{{ 'abC' | upper }} {{ 'aBC' | lower }} {{ 'aBC' | capitalize }} {{ \"hello wORLD-foo (bar it's\" | title }} {{ 1 | upper }}",
    "filter-trim": "[{{ s | trim }}][{{ 'xxaxx' | trim('x') }}][{{ none | trim }}]",
    "filter-join": "{{ xs | join }} {{ xs | join(', ') }} {{ people | join('/', attribute='name') }} {{ 'abc' | join('-') }} {{ [1, none, true] | join('|') }}",
    "filter-length": "{{ xs | length }} {{ u | length }} {{ d | count }} {{ range(5) | length }} {{ '' | length }}",
    "filter-length-fails": "{{ 5 | length }}",
    "filter-first-last": "{{ xs | first }} {{ xs | last }} {{ 'abc' | first }} {{ 'abc' | last }} {{ [] | first }}| {{ d | first }} {{ d | last }}",
    "filter-sort": "{{ xs | sort }} {{ words | sort }} {{ words | sort(case_sensitive=true) }} {{ xs | sort(reverse=true) }} {{ people | sort(attribute='name') | map(attribute='name') | list }} {{ people | sort(attribute='age,name') | map(attribute='name') | list }}",
    "filter-sort-fails": "{{ [1, 'a'] | sort }}",
    "filter-dictsort": "{{ {'b': 1, 'A': 3, 'c': 2} | dictsort }} {{ {'b': 1, 'A': 3} | dictsort(true) }} {{ {'b': 3, 'a': 1} | dictsort(by='value', reverse=true) }}",
    "filter-map": "{{ words | map('upper') | list }} {{ people | map(attribute='home.town') | list }} {{ people | map(attribute='home.town', default='?') | join(',') }} {{ [[1, 2], [3]] | map('join', '-') | list }} {{ [1.5] | map('int') | first }}",
    "filter-select": "{{ [1, 2, 3, 4] | select('even') | list }} {{ [0, 1, ''] | select | list }} {{ [1, 2, 3] | reject('gt', 1) | list }} {{ people | selectattr('age', 'equalto', 30) | map(attribute='name') | list }} {{ people | rejectattr('home.town') | map(attribute='name') | list }} {{ people | selectattr('home.town', 'defined') | list | length }} {{ [1, 'a'] | select('string') | list }} {{ xs | select('in', [1, 2]) | list }}",
    "filter-unique": "{{ words | unique | list }} {{ words | unique(true) | list }} {{ [1, 1.0, true, 2] | unique | list }} {{ people | unique(attribute='age') | map(attribute='name') | list }}",
    "filter-extremes": "{{ xs | min }} {{ xs | max }} {{ words | max }} {{ people | min(attribute='age') | items | first }} {{ [] | min }}| {{ xs | sum }} {{ people | sum(attribute='age') }} {{ [[1], [2]] | sum(start=[]) }}",
    "filter-batch": "{{ range(7) | batch(3) | list }} {{ range(7) | batch(3, 'x') | list }} {{ range(7) | slice(3) | list }} {{ range(7) | slice(3, 'x') | list }}",
    "filter-reverse": "{{ 'añb' | reverse }} {{ xs | reverse | list }} {{ range(3) | reverse | list }}",
    "filter-numbers": "{{ '42' | int }} {{ ' 7 ' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ '3.9' | int }} {{ 3.9 | int }} {{ '0x1f' | int(base=16) }} {{ '2.5' | float }} {{ 'x' | float }} {{ 3 | float }} {{ -5 | abs }} {{ none | int }} {{ '1_0' | int }} {{ 'x' | float(1.5) }} {{ '1e3' | float }} {{ '1e3' | int }}",
    "filter-round": "{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 2.1 | round(method='ceil') }} {{ 2.19 | round(1, 'floor') }} {{ 5 | round }} {{ -2.5 | round }} {{ 1e20 | round }} {{ 0.125 | round(2) }}",
    "filter-replace": "{{ 'aaa' | replace('a', 'b') }} {{ 'aaa' | replace('a', 'b', 1) }} {{ 123 | replace(2, 'x') }}",
    "filter-indent": "{{ 'a\\nb\\n\\nc' | indent }}|{{ 'a\\nb' | indent(2, true) }}|{{ 'a\\n\\nb' | indent('> ', blank=true) }}|{{ 'a\\n' | indent(1, true) }}|{{ '' | indent(2, true) }}|",
    "filter-truncate": "{{ 'hello big world' | truncate(10, leeway=0) }} {{ 'hello big world' | truncate(10, true, leeway=0) }} {{ 'hello' | truncate(4) }} {{ 'hello big world' | truncate(9, end='!', leeway=0) }}",
    "filter-text": "{{ 'a b  c' | wordcount }} [{{ 'x' | center(5) }}] {{ 5 | string ~ 1 }} {{ 'abc' | list }} {{ '%s and %d' | format('a', 3) }} {{ '%(x)s' | format(x=1) }}",
    "filter-markup": "{{ '<a>' | escape }} {{ '<a>' | safe }} {{ ('<a>' | safe) + '<b>' }} {{ '<b>' + ('<a>' | e) }} {{ ('<a>' | safe) ~ '<b>' }} {{ 'x<' | e | upper }} {{ '<' | e | e }} {{ '<' | e | forceescape }} {{ ['<' | safe] }} {{ '<' is escaped }} {{ '<' | e is escaped }} {{ '\\'\"&>' | e }}",
    "filter-tojson": "{{ d | tojson }} {{ 'a\"b\\\\\\n\\x01é🙂/<>&' | tojson }} {{ [1.0, 1e20, none, true, (1, 2)] | tojson }} {{ {1: 2, none: 3, true: 4, 1.5: 5} | tojson }} {{ [] | tojson(indent=2) }} {{ '\\x7f\\u2028' | tojson }}",
    "filter-tojson-options": "{{ d | tojson(indent=2) }}\n{{ {'b': 1, 'a': {'d': [], 'c': {}}} | tojson(indent=4, sort_keys=true) }}\n{{ d | tojson(separators=(',', ':')) }} {{ 'é🙂' | tojson(ensure_ascii=true) }} {{ [1, [2]] | tojson(indent='\\t') }} {{ [1] | tojson(indent=0) }}",
    "filter-tojson-undefined": "{{ missing | tojson }}",
    "filter-attr": "{{ d | attr('b') }}|{{ xs | attr('count') is callable }}",
    "filter-chain": "{{ words | map('lower') | unique | sort | join('+') | upper }}",
    "filter-generator": "{% set g = xs | map('string') %}{{ g | join }}{{ g | join }}| {{ xs | select | first }} {{ (xs | map('string')) is iterable }} {{ (xs | map('string')) is sequence }} {{ 'T' if [] | map('string') else 'F' }}",
    "filter-unknown-in-branch": "{% if false %}{{ 1 | from_nowhere }}{% endif %}{{ 2 | nor_this if false else 'ok' }}",
    "filter-unknown": "{{ 1 | from_nowhere }}",
    "filter-unknown-in-loop": "{% if false %}{% for x in xs %}{{ x | from_nowhere }}{% endfor %}{% endif %}",
    "filter-unknown-reached": "{% if true %}{{ 1 | from_nowhere }}{% endif %}",
    # Tests.
    "tests-kind": "{% for x in [1, 1.5, 'a', true, none, [], (), {}, range(2), missing] %}{{ x is number }} {{ x is integer }} {{ x is float }} {{ x is string }} {{ x is boolean }} {{ x is none }} {{ x is sequence }} {{ x is mapping }} {{ x is iterable }} {{ x is defined }} {{ x is undefined }} {{ x is true }} {{ x is false }} {{ x is callable }}\n{% endfor %}",
    "tests-compare": "{{ 3 is odd }} {{ 3 is even }} {{ 6 is divisibleby 3 }} {{ 6 is divisibleby(4) }} {{ 1 is eq 1 }} {{ 1 is ne(2) }} {{ 1 is lt 2 }} {{ 2 is ge 2 }} {{ 1 is in [1, 2] }} {{ 'a' is sameas 'a' }} {{ true is sameas true }} {{ 1 is sameas true }} {{ 'ab' is lower }} {{ 'AB' is upper }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ 'zz' is filter }}",
    "tests-negated": "{{ 1 is not none }} {{ not 1 is none }} {{ missing is not defined }} {{ 1 is not odd and 2 is even }} {{ 1 is none or 2 is not none }}",
    "tests-in-ternary": "{{ 'a' if x is defined else 'b' }} {{ [1 is odd, 2 is odd] }} {{ d.q is defined }} {{ d['b'] is defined and d.b is number }}",
    # Functions.
    "range": "{{ range(3) | list }} {{ range(1, 4) | list }} {{ range(10, 0, -3) | list }} {{ range(3) }} {{ range(1, 9, 2) }} {{ range(5)[2] }} {{ range(0) | list }} {{ range(3, 1) | list }}",
    "range-too-long": "{{ range(100001) | length }}",
    "range-longest": "{{ range(100000) | length }}",
    "dict-function": "{{ dict(a=1, b=2) }} {{ dict({'x': 1}, y=2) }} {{ dict([('k', 'v')]) }} {{ dict(d, b=5).b }}",
    "joiner": "{% set sep = joiner('; ') %}{% for x in xs %}{{ sep() }}{{ x }}{% endfor %} {% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}",
    "raise": "{{ raise_exception('no ' ~ 1) }}",
    "raise-not-reached": "{% if false %}{{ raise_exception('no') }}{% endif %}ok",
    "date": "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M:%S') }} {{ strftime_now('%A, %B %-d, %y %I:%M %p %j %%') }} {{ strftime_now('%F %T %D %R %a %e %u %w') }}",
    # What Jinja refuses.
    "syntax-unclosed": "{% if true %}x",
    "syntax-unknown-tag": "{% nope %}",
    "syntax-brackets": "{{ (1] }}",
    "syntax-empty": "{{ }}",
    "syntax-chained-is": "{{ 1 is odd is true }}",
    "syntax-arguments": "{{ dict(a=1, 2) }}",
    "syntax-break": "{% break %}",
    "syntax-assign": "{% set 1 = 2 %}",
    "zero-division": "{{ 1 / 0 }}",
    "zero-modulo": "{{ 1 % 0 }}",
    "wrong-add": "{{ 1 + 'a' }}",
    "wrong-order": "{{ 1 < 'a' }}",
    "wrong-in": "{{ 1 in 'abc' }}",
    "wrong-loop": "{% for x in 5 %}{% endfor %}",
    "wrong-key": "{{ {[1]: 2} }}",
    "wrong-call": "{{ 5() }}",
}
