#!/usr/bin/env python3
"""Records the tokens and loss weights that tools/train gives the rows of Tests/TrainerTests/Fixtures.

usage: record_masks.py --models DIR

DIR holds the models whose tokenizers are used: SmolLM2 with its own chat template, and Gemma 3, which
has none, with Fixtures/turns.jinja. Writes Fixtures/masks.jsonl: for every tokenizer, placement and
arm a line with what was skipped, then a line for each example; weights are a string of 0 and 1, one
for each token. Versions: see requirements.txt beside this file.
"""

import argparse
import json
import sys
from pathlib import Path

from gguf import GGUFReader

import gguf_tokenizer
import reference_model

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests/TrainerTests/Fixtures"
sys.path.insert(0, str(ROOT / "tools/train"))

import arms  # noqa: E402
import masks  # noqa: E402
import rows  # noqa: E402

MODELS = {
    "smollm2": ("SmolLM2-135M-Instruct.Q4_1.gguf", None),
    "gemma3": ("gemma-3-270m-q4_k_m.gguf", "turns.jinja"),
}
WINDOW = 120


def encoder(path, template):
    metadata = reference_model.Metadata(GGUFReader(path))
    tokenizer = gguf_tokenizer.tokenizer(metadata)
    if template:
        tokenizer.chat_template = (FIXTURES / template).read_text()
    return masks.Encoder(tokenizer)


def lines(name, encoder, loaded, skipped):
    for placement in arms.PLACEMENTS:
        for arm in arms.ARMS:
            chats, useless = arms.chats(loaded, arm, placement)
            examples, long = masks.encode_all(chats, encoder, WINDOW)
            case = {"tokenizer": name, "placement": placement, "arm": arm}
            yield case | {"skipped": dict(skipped + useless + long), "examples": len(examples)}
            for example in examples:
                yield {"id": example.id, "ids": example.ids, "weights": "".join(map(str, example.weights))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", required=True, help="folder of the GGUF files")
    models = Path(parser.parse_args().models)
    loaded, skipped = rows.load(FIXTURES / "rows.jsonl")
    with open(FIXTURES / "masks.jsonl", "w", encoding="utf-8") as out:
        for name, (file, template) in MODELS.items():
            for line in lines(name, encoder(models / file, template), loaded, skipped):
                out.write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
