#!/usr/bin/env python3
"""Records the tokens that an independent implementation gives for many strings.

Oracles: llama.cpp (llama_peer.py; the vocabulary is read from the GGUF file itself), and the tokenizers
library, for vocabularies and for where the pre-tokenizers cut (--words). Versions are in requirements.txt.

  record_tokens.py --models DIR --hard tokens.jsonl        a few hundred hard strings
  record_tokens.py --models DIR --text DIR --all all.jsonl  these, and every string of DIR/*.jsonl
  record_tokens.py --vocabularies DIR [--text DIR]          for each DIR/NAME.gguf, which may hold a vocabulary
                                                            alone, DIR/NAME.jsonl with these strings, by the
                                                            tokenizers library: with DIR/NAME.json, the model's
                                                            tokenizer.json, where there is one, or else with what
                                                            gguf_tokenizer.py makes of the file; or --oracle
                                                            llama.cpp
  record_tokens.py --words words.jsonl                      where the pre-tokenizers cut

A line of the token files: {"text": …} (or "hex" for bytes that are not UTF-8), and for each model
"plain", the tokens with special names as ordinary text, and "special", where different, the tokens
with them parsed; --vocabularies writes these two beside the text. llama.cpp replaces bytes that are not UTF-8 for byte-level vocabularies, so such
strings carry no tokens; tests check that they come back whole. It also takes Gemma's HTML tag </s> for an
end of text, which the published tokenizer (SentencePiece model and tokenizer.json) does not: strings with
it carry no tokens for Gemma.
"""

import argparse
import glob
import json
import os
import random
import unicodedata

MODELS = {
    "smollm2": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "gemma3": "gemma-3-270m-q4_k_m.gguf",
}

# Whose words are recorded: the rules that the models of the families have.
RULES = (
    "gpt-2", "llama-bpe", "qwen2", "tekken", "gpt-4o", "qwen35", "deepseek-v3", "bloom", "falcon", "smollm", "default")

SPECIAL = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>", "<empty_output>", "<bos>", "<eos>",
    "<pad>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>", "<unused0>", "<unused99>", "[multimodal]",
    "<start_of_image>", "<table>", "</table>", "<h1>", "<b>", "</b>", "<s>", "</s>", "<0x0A>", "<0x00>", "<0xFF>",
]

# Names of control tokens in other vocabularies than the two models'.
OTHER_SPECIAL = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|user|>", "<|assistant|>", "<|end|>",
    "<|system|>", "<|EOT|>", "<fim_prefix>", "<fim_suffix>", "<file_sep>", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "[PAD]",
    "[unused1]", "<|fim▁begin|>", "<｜begin▁of▁sentence｜>", ">>QUESTION<<", ">>ABSTRACT<<", "<PAD>", "<CLS>",
]

FIXED = [
    "", " ", "  ", "   ", "\n", "\n\n", "\t", "\t\t \t", "\r\n", " \n ", "\n \n", "a", " a", "a ", "  a  ",
    "Hello, world!", "Hello  world", " leading", "trailing ", "trailing  ", "don't can't I'll we've they're I'd it's",
    "DON'T CAN'T I'LL WE'VE", "'s 't 're", "''s", "x'S y'Re z'ſ", "1 12 123 1234 12345 1234567", " 1 22 333", "3.14159",
    "1,000,000.00", "½ ¼ Ⅷ ² ३४५ ٣٤٥ 一二三", "a1b2c3", "100%", "$5.00 €10 £3 ¥7", "C++ a->b x==y != <= >= && || ::",
    "foo_bar fooBar FooBar FOO_BAR kebab-case", "https://example.com/a?b=c&d=e#f", "user@example.com",
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n", "def f(x):\n    return x ** 2\n\n\nprint(f(3))\n",
    "SELECT * FROM t WHERE a = 'b';", "{\"key\": [1, 2, {\"k\": null}]}", "<div class=\"x\">text</div>", "\\n \\t \\\\",
    "```swift\nlet x = 1\n```", "# Title\n\n- one\n- two\n\n1. three\n", "a\tb\tc\n1\t2\t3", "a\u00a0b", "a\u2003b\u3000c",
    "e\u0301 \u00e9 n\u0303", "café naïve Zürich Ångström", "Привет, мир! Как дела?", "Γειά σου Κόσμε", "שלום עולם",
    "مرحبا بالعالم ١٢٣", "نَصّ مُشَكَّل", "हिन्दी में लिखा", "ไทยไม่มีช่องว่าง", "你好，世界！这是一个测试。", "こんにちは世界",
    "カタカナとひらがな", "안녕하세요 세계", "中文English混合123文字", "𠀀𠀁 𝒳𝓎", "Tiếng Việt có dấu", "ქართული հայերեն",
    "😀", "👨‍👩‍👧‍👦 family", "👩🏽‍💻🏳️‍🌈", "🇩🇪🇫🇷", "a😀b", "☺️ ☹ ✈️", "1️⃣ 2️⃣", "\u200b\u200c\u200d\ufeff", "\u202eabc\u202c",
    "\u0000", "a\u0000b", "\u0004\u0006\u0013\u0014\u0016\u001d", "x\u0004y", "\u0001\u0007\u001b[0m", "\u007f", "\u0085a\u2028b\u2029c",
    "\u001c \u001d \u001e \u001f", "\ufffd", "\ufffe\uffff", "\U0010ffff", "\U000e0001", "\ue000", "\U0003ffff",
    "▁", "▁▁ a▁b", " ▁ ", "Ġ Ċ ĠĠ Ġthe", "<0x41>", "x> </y> </z>", "> </", ">\n</a>", ">  </a>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "!!!!!!!!!!!!!!!!", "................", "----------------",
    "================", "________", "\n" * 31, "\n" * 32, "\n" * 70, "\r" * 5, "\t" * 31, "\t" * 40, "ababababab" * 5,
    "The quick brown fox jumps over the lazy dog. " * 4, "supercalifragilisticexpialidocious", "antidisestablishmentarianism",
    "ACGTACGTTAGCTAGCTAGCATCG", "0xDEADBEEF 0b1010 1e-10", "don’t “quoted” — dash… ‘single’", "½cup", "x²+y³", "№5 ™ ® ©",
    "ﬁ ﬂ ﬃ", "ß ẞ ſ", "z'ſabc I'ſ x'ſſ 'ſT'S", "a  \t<mask> \n b<mask><mask>",
    "İi̇ ıI", "ǅ ǆ", "ʰʷ ˈ", "Ω Ω K K", "a\u0300\u0301\u0302b", "A" * 100, "é" * 50, "字" * 50, "🙂" * 30,
]


def hard_strings():
    """Fixed strings, runs, special names in places, and random text."""
    rng = random.Random(20240917)
    strings = list(FIXED)
    strings += [" " * n for n in (4, 5, 8, 15, 16, 17, 30, 31, 32, 33, 62, 63, 64, 100)]
    strings += ["a" + " " * n + "b" for n in (1, 2, 3, 4, 8, 31, 32, 33)]
    strings += ["x" + "\n" * n + "  y" for n in (1, 2, 3, 4)]
    for name in SPECIAL:
        strings += [name, f"a{name}b", f" {name} ", f"{name}{name}\n{name}", name[:-1], name[1:]]
    strings += ["<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n", "<|im_start|>user\nHi<|im_end|>\n"]
    strings += [random_text(rng, rng.randint(1, 40)) for _ in range(80)]
    return strings


def random_text(rng, count):
    """Characters of all planes, the common ones more often."""
    ranges = [(0x20, 0x7E)] * 4 + [
        (0, 0x1F), (0x7F, 0x24F), (0x250, 0x7FF), (0x900, 0x1FFF), (0x2000, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF),
        (0xAC00, 0xD7A3), (0xF900, 0xFFFF), (0x1F300, 0x1FAFF), (0x10000, 0x1FFFF), (0x20000, 0x323AF),
    ]
    text = ""
    while len(text) < count:
        low, high = rng.choice(ranges)
        code = rng.randint(low, high)
        # Characters of later Unicode versions than this are letters to one implementation and not to another.
        if unicodedata.category(chr(code)) not in ("Cn", "Cs"):
            text += chr(code) * rng.choice((1, 1, 1, 1, 2, 3))
            if rng.random() < 0.2:
                text += rng.choice((" ", "\n", "  ", "\u200d", "'s", "\t"))
    return text


def hard_bytes():
    """Bytes that are not UTF-8."""
    rng = random.Random(7)
    fixed = ["ff", "80", "c0af", "e28096", "f0808080", "eda080", "f4908080", "61ff62", "20c3", "e281", "f09f98", "e29681e296"]
    fixed += ["c328", "a0a1", "e228a1", "f0288cbc", "20ff20fe20", "0aff0a", "27ff73", "31ff32", "f09f9880f09f98", "fefefffe"]
    return fixed + [rng.randbytes(rng.randint(1, 40)).hex() for _ in range(40)]


def more_strings(folder):
    """Every string of the data, lines of this source and its neighbours as code, and random text."""
    for path in sorted(glob.glob(os.path.join(folder, "*.jsonl"))):
        for line in open(path, encoding="utf-8"):
            row = json.loads(line)
            yield from (v for v in row.values() if isinstance(v, str) and v)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for pattern in ("Sources/**/*.swift", "Sources/**/*.h", "Sources/**/*.c", "tools/**/*.py"):
        for path in sorted(glob.glob(os.path.join(root, pattern), recursive=True)):
            text = open(path, encoding="utf-8").read()
            yield text
            yield from text.split("\n\n")
    rng = random.Random(99)
    pieces = SPECIAL + [" ", "  ", "\n", "\t", "a", "the", "'s", "12", "é", "字", "🙂", "▁"]
    for _ in range(3000):
        yield random_text(rng, rng.randint(1, 120))
        yield "".join(rng.choice(pieces) for _ in range(rng.randint(1, 30)))
    for code in range(0x80, 0x30000):
        if code % 16 == 0:
            named = [c for c in map(chr, range(code, code + 16)) if unicodedata.category(c) not in ("Cn", "Cs")]
            yield "".join(f"a{c}1{c} {c}" for c in named)


def record(strings, models, path):
    from llama_peer import Peer

    peers = {k: Peer(os.path.join(models, v), vocabulary_only=True) for k, v in MODELS.items()}
    seen = set()
    with open(path, "w", encoding="utf-8") as out:
        for text in strings:
            if text in seen:
                continue
            seen.add(text)
            row = {"text": text}
            for name, peer in peers.items():
                if name == "gemma3" and "</s>" in text:
                    continue
                plain, special = peer.tokenize(text), peer.tokenize(text, special=True)
                row[name] = {"plain": plain} if plain == special else {"plain": plain, "special": special}
            out.write(json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n")
        for data in hard_bytes():
            out.write(json.dumps({"hex": data}, separators=(",", ":")) + "\n")
    print(f"{path}: {len(seen)} strings")


def record_vocabularies(strings, folder, oracle):
    strings = list(dict.fromkeys(strings))
    for path in sorted(glob.glob(os.path.join(folder, "*.gguf"))):
        rows, source = vocabulary_rows(strings, path.removesuffix(".gguf"), oracle)
        with open(path.removesuffix(".gguf") + ".jsonl", "w", encoding="utf-8") as out:
            for text, plain, special in zip(strings, *rows, strict=True):
                row = {"text": text, "plain": plain} | ({"special": special} if special != plain else {})
                out.write(json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n")
        print(f"{path}: {len(strings)} strings, {source}", flush=True)


def vocabulary_rows(strings, path, oracle):
    """The tokens of all strings with names of control tokens as text and parsed, and who says so."""
    import gguf_metadata
    import gguf_tokenizer
    from tokenizers import Tokenizer

    pairs = gguf_metadata.read(path + ".gguf")
    if oracle != "llama.cpp" and os.path.exists(path + ".json"):
        tokenizer, source = Tokenizer.from_file(path + ".json"), "tokenizers with the tokenizer.json"
    elif oracle != "llama.cpp" and pairs["tokenizer.ggml.model"] != "t5":
        tokenizer, source = gguf_tokenizer.backend(pairs.get), "tokenizers with the file's vocabulary"
    else:
        from llama_peer import Peer

        peer = Peer(path + ".gguf", vocabulary_only=True)
        return [[peer.tokenize(t, special=s) for t in strings] for s in (False, True)], "llama.cpp"
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rows = []
    for tokenizer.encode_special_tokens in (True, False):
        # In parts: an encoding holds much more than its numbers.
        rows.append([
            encoding.ids for start in range(0, len(strings), 512)
            for encoding in tokenizer.encode_batch_fast(strings[start : start + 512], add_special_tokens=False)])
    return rows, source


def record_words(path):
    from gguf_tokenizer import WORDS
    from tokenizers import Regex, pre_tokenizers

    rules = {
        name: pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(e), "isolated") for e in WORDS[name]])
        for name in RULES
    }
    with open(path, "w", encoding="utf-8") as out:
        for text in dict.fromkeys(hard_strings()):
            words = {
                name: [len(word.encode()) for word, _ in rule.pre_tokenize_str(text)] for name, rule in rules.items()
            }
            out.write(json.dumps({"text": text, "words": words}, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", help="folder of the GGUF files")
    parser.add_argument("--text", help="folder of .jsonl files")
    parser.add_argument("--hard", help="file to write the hard strings to")
    parser.add_argument("--all", help="file to write all strings to")
    parser.add_argument("--words", help="file to write the pre-tokenizers' words to")
    parser.add_argument("--vocabularies", help="folder of GGUF files to write a recording beside each of")
    parser.add_argument("--oracle", choices=["tokenizers", "llama.cpp"], default="tokenizers",
                        help="of --vocabularies; unigram ones are always llama.cpp's")
    options = parser.parse_args()
    if options.hard:
        record(hard_strings(), options.models, options.hard)
    if options.all:
        record([*hard_strings(), *more_strings(options.text)], options.models, options.all)
    if options.vocabularies:
        more = [form.format(name) for name in OTHER_SPECIAL for form in ("{}", "a{}b", " {} ", "{0}{0}\n{0}")]
        more += more_strings(options.text) if options.text else []
        record_vocabularies([*hard_strings(), *(text for text in more if len(text) <= 4000)], options.vocabularies,
            options.oracle)
    if options.words:
        record_words(options.words)


main()
