#!/usr/bin/env python3
"""Writes files of made English-like text: words by Zipf's law, the commonest being English's own.

    tools/bench/make_texts.py FOLDER [--megabytes 100] [--seed 1]

Files hold 20 to 400 kB, in paragraphs of 30 to 150 words. DUET_DOCUMENTS_BENCH=FOLDER tools/test --filter
DocumentsTests.SpeedTests then measures indexing beside a bare FTS5 table, and queries.
"""

import argparse
import itertools
import pathlib
import random

COMMON = """the of and to in a is that for it as was with be by on not he i this are or his from at which but have an
had they you were their one all we can her has there been if more when will would who so no she time people world year
new first city university war name team school government work state national league play history number years""".split()
SYLLABLES = [c + v + e for c in "b c d f g h l m n p r s t v st tr pl".split() for v in "a e i o u".split()
             for e in ["", "n", "r", "s", "l"]]
VOCABULARY = 60_000


def words(rng):
    made = set()
    while len(made) < VOCABULARY:
        made.add("".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4))))
    return COMMON + sorted(made, key=lambda word: (len(word), rng.random()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    vocabulary = words(rng)
    weights = list(itertools.accumulate(1 / (rank + 2.7) for rank in range(len(vocabulary))))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    left, number = arguments.megabytes * 1_000_000, 0
    while left > 0:
        size, file = min(left, rng.randint(20_000, 400_000)), []
        while size > 0:
            chosen = rng.choices(vocabulary, cum_weights=weights, k=rng.randint(30, 150))
            sentences = [chosen[first:first + 15] for first in range(0, len(chosen), 15)]
            paragraph = " ".join(" ".join(sentence).capitalize() + "." for sentence in sentences)
            file.append(paragraph)
            size -= len(paragraph) + 2
            left -= len(paragraph) + 2
        (arguments.folder / f"{number:04}.txt").write_text("\n\n".join(file) + "\n")
        number += 1


main()
