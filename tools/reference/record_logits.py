#!/usr/bin/env python3
"""Records what an fp32 reference predicts, as a small JSON fixture for Tests/Golden.

The reference is transformers in fp32 on the same dequantised weights (reference_model.py); the token
ids are llama.cpp's. Versions: see requirements.txt beside this file.

usage: record_logits.py MODEL.gguf --output Tests/Golden/Fixtures/NAME.json

Per sequence: its text and ids, at each position the five likeliest next ids and their natural
log-probabilities over the whole vocabulary, and the sum of -log p of its own tokens after the first.
Per prompt: its greedy continuation and by how much each token's log-probability leads the next one's,
so that a test can stop at a near tie.
"""

import argparse
import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import torch

import llama_peer
import reference_model

SEQUENCES = [
    "The Wright brothers flew the first powered aeroplane near Kitty Hawk, North Carolina, on "
    "17 December 1903. The flight lasted twelve seconds and covered about thirty-seven metres.",
    "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n\n\nprint(gcd(48, 18))  # 6\n",
    "Café prices: 3,50 € – naïve? Привет, мир! 日本語のテキスト 👩‍🚀\n\n  - two  spaces\tand a tab",
]
PROMPTS = [
    "The capital of France is",
    "One, two, three, four, five,",
    "Water is made of hydrogen and",
]
TOP = 5
CONTINUED = 24


def rounded(values):
    return [round(float(value), 5) for value in values]


def sequence(model, text, ids):
    logs = torch.log_softmax(reference_model.logits(model, ids).double(), dim=1)
    best = logs.topk(TOP, dim=1)
    own = logs[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    return {
        "text": text,
        "ids": ids,
        "negative_log_likelihood": round(float(-own.sum()), 5),
        "top_ids": best.indices.tolist(),
        "top_log_probabilities": [rounded(row) for row in best.values],
    }


def continuation(model, text, ids):
    continued, margins = reference_model.greedy(model, ids, CONTINUED)
    return {"text": text, "ids": ids, "continuation": continued, "margins": rounded(margins)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()
    tokenizer = llama_peer.Peer(arguments.model, vocabulary_only=True)
    model, metadata = reference_model.load(arguments.model)

    def ids(text):
        return metadata.start + tokenizer.tokenize(text)

    fixture = {
        "model_sha256": hashlib.sha256(Path(arguments.model).read_bytes()).hexdigest(),
        "recorded_with": {name: version(name) for name in ("gguf", "torch", "transformers")},
        "sequences": [sequence(model, text, ids(text)) for text in SEQUENCES],
        "continuations": [continuation(model, text, ids(text)) for text in PROMPTS],
    }
    lines = json.dumps(fixture, ensure_ascii=False, separators=(",", ":"))
    Path(arguments.output).write_text(lines.replace('},{"text"', '},\n{"text"').replace(':[{"text"', ':[\n{"text"') + "\n")
    for row in fixture["sequences"]:
        print(f"{len(row['ids'])} tokens, -log p {row['negative_log_likelihood']}")
    for row in fixture["continuations"]:
        print(f"smallest margin {min(row['margins'])}: {row['text']}", row["continuation"])


if __name__ == "__main__":
    main()
