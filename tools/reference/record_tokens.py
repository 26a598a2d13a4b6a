#!/usr/bin/env python3
"""Records the tokens that an independent implementation gives for many strings.

Oracles: llama.cpp for tokens (llama_peer.py; the vocabulary is read from the GGUF file itself), and the
tokenizers library for where the pre-tokenizers cut (--words). Versions are in requirements.txt.

  record_tokens.py --models DIR --hard tokens.jsonl        a few hundred hard strings
  record_tokens.py --models DIR --text DIR --all all.jsonl  these, and every string of DIR/*.jsonl
  record_tokens.py --vocabularies DIR [--text DIR]          for each DIR/NAME.gguf, which may hold a vocabulary
                                                            alone, DIR/NAME.jsonl with these strings; where
                                                            DIR/NAME.json is the model's tokenizer.json, that
                                                            is the oracle, by the tokenizers library
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

WORDS = {
    "gpt-2": [r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"],
    "llama-bpe": [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    ],
    "qwen2": [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    ],
}
SPACE = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
CASED = [rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+", rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*"]
ENDING = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WORDS["tekken"] = [rf"{CASED[0]}|{CASED[1]}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*" + SPACE]
WORDS["gpt-4o"] = [
    rf"{CASED[0]}{ENDING}?|{CASED[1]}{ENDING}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*" + SPACE
]
WORDS["qwen35"] = [
    rf"{ENDING}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*" + SPACE
]
WORDS["deepseek-v3"] = [
    r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
    + SPACE,
]
WORDS["bloom"] = [" ?[^(\\s|.,!?…。，、।۔،)]+"]
WORDS["falcon"] = [r"[\p{P}$+<=>^~|`]+", *WORDS["gpt-2"], r"[0-9][0-9][0-9]"]
WORDS["smollm"] = [r"\p{N}", *WORDS["gpt-2"]]
WORDS["default"] = [r"[\p{P}\$\+<=>\^~\|]+", *WORDS["gpt-2"], r"\p{N}+", r"[0-9][0-9][0-9]"]

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
    "ﬁ ﬂ ﬃ", "ß ẞ ſ", "İi̇ ıI", "ǅ ǆ", "ʰʷ ˈ", "Ω Ω K K", "a\u0300\u0301\u0302b", "A" * 100, "é" * 50, "字" * 50, "🙂" * 30,
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


def record_vocabularies(strings, folder):
    """Of llama.cpp, save for strings that it is known to read otherwise than the published tokenizer does:
    `</s>`, which it takes for an end of text wherever it is a token, and what no_oracle says."""
    from llama_peer import Peer

    strings = list(dict.fromkeys(strings))
    for path in sorted(glob.glob(os.path.join(folder, "*.gguf"))):
        peer, name = Peer(path, vocabulary_only=True), os.path.basename(path).removesuffix(".gguf")
        published = os.path.join(folder, name + ".json")
        if os.path.exists(published):
            rows = published_rows(strings, published)
        else:
            rows = ({"text": t, "plain": peer.tokenize(t), "special": peer.tokenize(t, special=True)}
                    for t in strings if not no_oracle(t, name))
        count = 0
        with open(path.removesuffix(".gguf") + ".jsonl", "w", encoding="utf-8") as out:
            for row in rows:
                count += 1
                if row["special"] == row["plain"]:
                    del row["special"]
                out.write(json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n")
        print(f"{path}: {count} strings", flush=True)


def no_oracle(text, name):
    """Whether llama.cpp departs from the published tokenizer: it has the capitals and small letters of Tekken
    and GPT-4o in ASCII alone, and its WordPiece keeps Hangul syllables and does not strip all marks."""
    if "</s>" in text:
        return True
    if name in ("tekken", "gpt-4o"):
        return any(unicodedata.category(c)[0] == "M" for c in text)
    if name in ("bert-bge", "word-pieces"):
        return any(unicodedata.category(c)[0] in "CM" or c in "\u00ad" or "\uac00" <= c <= "\ud7a3" for c in
                   unicodedata.normalize("NFD", text)) or any(len(word) > 90 for word in text.split())
    return False


def published_rows(strings, path):
    """What the tokenizers library makes of texts without names of control tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    names = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    for text in strings:
        if not any(name in text for name in names):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            yield {"text": text, "plain": ids, "special": ids}


def record_words(path):
    from tokenizers import Regex, pre_tokenizers

    rules = {
        name: pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(e), "isolated") for e in expressions])
        for name, expressions in WORDS.items()
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
    options = parser.parse_args()
    if options.hard:
        record(hard_strings(), options.models, options.hard)
    if options.all:
        record([*hard_strings(), *more_strings(options.text)], options.models, options.all)
    if options.vocabularies:
        more = [form.format(name) for name in OTHER_SPECIAL for form in ("{}", "a{}b", " {} ", "{0}{0}\n{0}")]
        more += more_strings(options.text) if options.text else []
        record_vocabularies([*hard_strings(), *(text for text in more if len(text) <= 4000)], options.vocabularies)
    if options.words:
        record_words(options.words)


main()
