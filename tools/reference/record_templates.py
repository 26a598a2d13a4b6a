"""Records what Jinja makes of chat templates, for the tests of the template interpreter.

    python tools/reference/record_templates.py
        writes Tests/RuntimeTests/Fixtures/templates/*.json from the templates of this project
    python tools/reference/record_templates.py --folder TEMPLATES [--gguf MODEL ...] --out FILE
        does the same for templates that lie elsewhere; the tests compare with FILE when
        DUET_TEMPLATE_REFERENCE names it

Recorded with jinja2 3.1.6, set up as transformers 5.23 sets it up for chat templates: immutable
sandbox, trim_blocks, lstrip_blocks, loop controls, a plain tojson, raise_exception, strftime_now and
the generation tag.
"""

import argparse
import datetime
import functools
import json
import pathlib

import gguf_metadata
import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from template_cases import CHAT_TEMPLATES, CONTEXTS, SNIPPETS, THINGS

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests/RuntimeTests/Fixtures/templates"
NOW = datetime.datetime(2026, 3, 7, 14, 5, 9)


class Generation(jinja2.ext.Extension):
    """The tag around what the assistant says; a call block, so that it has variables of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_text"), [], [], body).set_lineno(line)

    def _text(self, caller):
        return caller()


class SafeNamespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        self, args = args[0], args[1:]
        attributes = dict(*args, **kwargs)
        for name in attributes:
            SafeNamespace._check(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name, value):
        SafeNamespace._check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def _check(name):
        if name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


class Dict:
    def __call__(self, *args, **kwargs):
        return dict(*args, **kwargs)


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = refuse
    env.globals["strftime_now"] = lambda format: NOW.strftime(format)
    env.globals["dict"] = Dict()
    env.globals["namespace"] = SafeNamespace
    return env


@functools.cache
def compiled(env, source):
    return env.from_string(source)


def render(env, source, variables):
    """The text, or None where Jinja fails, with what it says."""
    try:
        return compiled(env, source).render(**variables), None
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def record(templates, contexts, pairs, errors=False):
    env = environment()
    cases = []
    for template, context in pairs:
        text, error = render(env, templates[template], contexts[context])
        case = {"template": template, "context": context, "expected": text}
        if errors and error:
            case["error"] = error
        cases.append(case)
    return {
        "jinja2": jinja2.__version__,
        "now": [NOW.year, NOW.month, NOW.day, NOW.hour, NOW.minute, NOW.second],
        "templates": templates,
        "contexts": contexts,
        "cases": cases,
    }


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    failing = sum(case["expected"] is None for case in data["cases"])
    print(f"{path.name}: {len(data['cases'])} cases, {failing} of them fail in Jinja")


def record_own():
    pairs = [(name, "things") for name in SNIPPETS]
    write(FIXTURES / "snippets.json", record(SNIPPETS, {"things": THINGS}, pairs))
    pairs = [(template, context) for template in CHAT_TEMPLATES for context in CONTEXTS]
    write(FIXTURES / "chats.json", record(CHAT_TEMPLATES, CONTEXTS, pairs))


def record_folder(folder, models, out):
    templates = {}
    for path in sorted(pathlib.Path(folder).glob("*.jinja")) if folder else []:
        templates[path.name] = path.read_text(encoding="utf-8")
    for model in models:
        source = gguf_metadata.read(model).get("tokenizer.chat_template")
        if source:
            templates[pathlib.Path(model).name] = source
    pairs = [(template, context) for template in templates for context in CONTEXTS]
    write(pathlib.Path(out), record(templates, CONTEXTS, pairs, errors=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="a folder of .jinja files")
    parser.add_argument("--gguf", nargs="*", default=[], help="models whose own template is taken")
    parser.add_argument("--out", help="the file to write for --folder and --gguf")
    arguments = parser.parse_args()
    if arguments.folder or arguments.gguf:
        if not arguments.out:
            parser.error("--folder and --gguf need --out")
        record_folder(arguments.folder, arguments.gguf, arguments.out)
    else:
        record_own()


if __name__ == "__main__":
    main()
