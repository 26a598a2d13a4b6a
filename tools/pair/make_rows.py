#!/usr/bin/env python3
"""Mixes the rows that a pair's tunings are trained on: the same file for every arm.

usage: make_rows.py FOLDER --out rows.jsonl [--per-file 1400] [--seed 1]

FOLDER holds squad.train.jsonl, nq.train.jsonl, dolly.train.jsonl, selfinstruct.train.jsonl and
webquestions.train.jsonl: rows {"id", "instruction", "context", "response"} under open licences (CC BY-SA, CC BY,
Apache-2.0). Of each file at most --per-file rows with a context and as many without are drawn, so that the
largest does not drown the others. Rows come in a random order, the same for one seed. Standard library only.
"""

import argparse
import json
import random
from pathlib import Path

FILES = ["squad", "nq", "dolly", "selfinstruct", "webquestions"]


def drawn(path, per_file, rng):
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for has_context in (True, False):
        own = [row for row in rows if bool(row["context"]) == has_context and row["response"]]
        yield from rng.sample(own, min(per_file, len(own)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-file", type=int, default=1400)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, rows = random.Random(options.seed), []
    for name in FILES:
        own = list(drawn(options.folder / f"{name}.train.jsonl", options.per_file, rng))
        rows += [{key: row[key] for key in ("id", "instruction", "context", "response")} for row in own]
        print(f"{name}: {sum(bool(row['context']) for row in own)} with a context, "
              f"{sum(not row['context'] for row in own)} without")
    rng.shuffle(rows)
    options.out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
