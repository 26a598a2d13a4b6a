#!/usr/bin/env python3
"""Cuts whole vocabularies down to the small ones of Tests/RuntimeTests/Fixtures/vocabularies.

  make_vocabularies.py DIR OUT    DIR holds ggml-vocab-NAME.gguf as llama.cpp's source package has them

Byte-level: the bytes, the first merges and the special tokens. Pieces, WordPiece and unigram: the first
tokens, single characters and the special ones. record_tokens.py --vocabularies OUT then records their tokens.
"""

import os
import sys

from gguf import GGUFReader, GGUFWriter

KINDS = {"gpt2": 600, "llama": 900, "bert": 1500, "t5": 900}
NAMES = {"llama-bpe": "byte-level", "phi-3": "pieces", "bert-bge": "word-pieces", "nomic-bert-moe": "unigram"}


def cut(source, target):
    reader = GGUFReader(source)
    fields = {key: field.contents() for key, field in reader.fields.items() if key.startswith(("tokenizer.ggml", "general"))}
    model, tokens, kinds = (fields["tokenizer.ggml." + k] for k in ("model", "tokens", "token_type"))
    special = [i for i, kind in enumerate(kinds) if kind in (2, 3, 4)][:24]
    merges = fields.get("tokenizer.ggml.merges", [])[: KINDS[model]]
    wholes = {"".join(merge.split(" ")) for merge in merges}
    kept = [
        i for i, (token, kind) in enumerate(zip(tokens, kinds))
        if i in special or kind == 6 or (model == "gpt2" and (i < 256 or token in wholes))
        or (model != "gpt2" and kind == 1 and (i % 31 == 0 and i < 31 * KINDS[model] // 3 or model == "bert" and 1000 < i < 2200))
        or (model in ("llama", "t5") and kind == 1 and (i < KINDS[model] // 2))
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
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    print(target, len(kept), "tokens,", os.path.getsize(target), "bytes")


def main():
    source, target = sys.argv[1:]
    for name, short in NAMES.items():
        cut(os.path.join(source, f"ggml-vocab-{name}.gguf"), os.path.join(target, short + ".gguf"))


main()
