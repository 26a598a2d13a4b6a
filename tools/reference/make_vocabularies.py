#!/usr/bin/env python3
"""Makes vocabularies for record_tokens.py --vocabularies.

  make_vocabularies.py small DIR OUT          the small ones of Tests/RuntimeTests/Fixtures/vocabularies, cut from
                                              DIR/ggml-vocab-NAME.gguf as llama.cpp's source package has them
  make_vocabularies.py rules FILE OUT NAME…   OUT/NAME.gguf: the vocabulary of FILE with other rules for words
  make_vocabularies.py json FILE RULES OUT    OUT, a GGUF file with the tokens of a tokenizer.json of byte pairs

Byte-level: the bytes, the first merges and the special tokens. Pieces, WordPiece and unigram: the first
tokens, single characters and the special ones. record_tokens.py --vocabularies OUT then records their tokens.
"""

import json
import os
import struct
import sys

import gguf_metadata
from gguf import GGUFWriter

KINDS = {"gpt2": 600, "llama": 900, "bert": 1500, "t5": 900}
NAMES = {"llama-bpe": "byte-level", "phi-3": "pieces", "bert-bge": "word-pieces", "nomic-bert-moe": "unigram"}


def cut(source, target):
    pairs = gguf_metadata.read(source)
    fields = {key: value for key, value in pairs.items() if key.startswith(("tokenizer.ggml", "general"))}
    model, tokens, kinds = (fields["tokenizer.ggml." + k] for k in ("model", "tokens", "token_type"))
    special = [i for i, kind in enumerate(kinds) if kind in (2, 3, 4)][:24]
    merges = fields.get("tokenizer.ggml.merges", [])[: KINDS[model]]
    wholes = {"".join(merge.split(" ")) for merge in merges}
    kept = [
        i for i, (token, kind) in enumerate(zip(tokens, kinds))
        if i in special or kind == 6 or (model == "gpt2" and (i < 256 or token in wholes))
        or (model != "gpt2" and kind == 1 and (i % 31 == 0 and i < 31 * KINDS[model] // 3 or model == "bert" and 1000 < i < 2200))
        or (model in ("llama", "t5") and kind == 1 and (i < KINDS[model] // 2))
        or (model == "llama" and kind == 1 and len(token) == 1 and (token < "\u0250" or token == "▁" or i % 5 == 0))
    ]
    writer = GGUFWriter(target, fields["general.architecture"])
    writer.add_string("general.name", fields.get("general.name", "") or os.path.basename(target))
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(fields.get("tokenizer.ggml.pre", "default"))
    writer.add_token_list([tokens[i] for i in kept])
    writer.add_token_types([kinds[i] for i in kept])
    if "tokenizer.ggml.scores" in fields:
        writer.add_token_scores([fields["tokenizer.ggml.scores"][i] for i in kept])
    if merges:
        writer.add_token_merges(merges)
    for key, value in fields.items():
        name = key.removeprefix("tokenizer.ggml.")
        if name.endswith("_token_id") and value in kept:
            writer.add_uint32(key, kept.index(value))
        elif isinstance(value, bool):
            writer.add_bool(key, value)
    finish(writer, target, len(kept))


def finish(writer, target, count):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    print(target, count, "tokens,", os.path.getsize(target), "bytes")


def with_rules(source, target, rules):
    """A copy of a file without tensors in which the rules have another name."""
    key = b"tokenizer.ggml.pre" + struct.pack("<I", 8)
    data = open(source, "rb").read()
    start = data.index(key) + len(key)
    (length,) = struct.unpack_from("<Q", data, start)
    with open(target, "wb") as out:
        out.write(data[:start] + struct.pack("<Q", len(rules)) + rules.encode() + data[start + 8 + length :])


def from_json(source, rules, target):
    published = json.load(open(source, encoding="utf-8"))
    tokens = {number: (text, 1) for text, number in published["model"]["vocab"].items()}
    for added in published["added_tokens"]:
        tokens[added["id"]] = added["content"], 3 if added["special"] else 4
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in published["model"]["merges"]]
    writer = GGUFWriter(target, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(rules)
    writer.add_token_list([tokens.get(i, (f"[PAD{i}]", 5))[0] for i in range(max(tokens) + 1)])
    writer.add_token_types([tokens.get(i, ("", 5))[1] for i in range(max(tokens) + 1)])
    writer.add_token_merges(merges)
    finish(writer, target, max(tokens) + 1)


def main():
    match sys.argv[1:]:
        case ["small", source, target]:
            for name, short in NAMES.items():
                cut(os.path.join(source, f"ggml-vocab-{name}.gguf"), os.path.join(target, short + ".gguf"))
        case ["rules", source, target, *names]:
            for name in names:
                with_rules(source, os.path.join(target, name + ".gguf"), name)
        case ["json", source, rules, target]:
            from_json(source, rules, target)
        case _:
            raise SystemExit(__doc__)


main()
