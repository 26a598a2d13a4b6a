"""From files to examples, as the options say."""

import argparse
import sys
from collections import Counter
from pathlib import Path

import arms
import masks
import rows
from transformers import PreTrainedTokenizerBase


def encoder(options: argparse.Namespace, tokenizer: PreTrainedTokenizerBase) -> masks.Encoder:
    if options.template:
        tokenizer.chat_template = Path(options.template).read_text(encoding="utf-8")
    return masks.Encoder(tokenizer)


def examples(options: argparse.Namespace, encoder: masks.Encoder, paths: list[str], limit: int | None,
             disturb: bool) -> tuple[list[masks.Example], Counter]:
    loaded, skipped = [], Counter()
    for path in paths:
        found, unusable = rows.load(path, options.refusal)
        loaded += found
        skipped += unusable
    loaded = loaded[:limit]
    disturbed = arms.disturbed(loaded, options.distractors, options.unanswerable, options.seed,
                               options.refusal) if disturb else None
    chats, useless = arms.chats(loaded, options.arm, options.placement, options.system, disturbed)
    encoded, long = masks.encode_all(chats, encoder, options.window)
    if not encoded:
        raise SystemExit(f"train.py: {', '.join(paths)}: no row can be used: {describe(skipped + useless + long)}")
    return encoded, skipped + useless + long


def describe(skipped: Counter) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items())) or "none skipped"


def report(name: str, encoded: list[masks.Example], skipped: Counter) -> None:
    tokens, counted = sum(map(len, encoded)), sum(sum(example.weights) for example in encoded)
    print(f"{name}: {len(encoded)} rows, {tokens} tokens, {counted} in the loss; skipped: {describe(skipped)}",
          file=sys.stderr)
