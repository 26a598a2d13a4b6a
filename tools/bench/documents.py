#!/usr/bin/env python3
"""Time to the first token of a question about a document: the first time, and after a restart.

Runs `duet chat` with the document as the system text: with an empty cache folder, then again with
another question, then without the cache. Start included. Medians of the rounds.

    tools/bench/documents.py squad.dev.jsonl --duet .build/release/duet --rounds 5
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

CHARACTERS = 9_200  # about 2,000 tokens


def documents(path):
    """(text, questions) of each article: its paragraphs joined until they are long enough."""
    articles = {}
    for line in open(path, encoding="utf-8"):
        row = json.loads(line)
        articles.setdefault(row["title"], []).append(row)
    for rows in articles.values():
        text, taken = "", []
        for row in rows:
            if row["context"] not in taken and len(text) < CHARACTERS:
                text += ("\n\n" if text else "") + row["context"]
                taken.append(row["context"])
        if len(text) >= CHARACTERS:
            yield text, [row["instruction"] for row in rows if row["context"] in taken]


def ask(duet, model, text, question, folder, *extra):
    """Seconds from the start of the process to its first token, and the tokens that were cached."""
    command = [duet, "chat", "--json", "--max-tokens", "1", "--system", f"Text: {text}", *extra]
    command += ["--model", model] if model else []
    start = time.perf_counter()
    output = subprocess.run(command + ["--", question], env={**os.environ, "XDG_CACHE_HOME": folder},
                            check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout
    wall = time.perf_counter() - start
    answer = json.loads(output)
    # The whole process, but for what it does after its only token: writing the cache.
    within = answer["timings"]["load_s"] + answer["timings"]["first_token_s"]
    return within, wall, answer["usage"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("text")
    parser.add_argument("--duet", required=True)
    parser.add_argument("--model")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    first, again, ratios = [], [], []
    for number, (text, questions) in zip(range(arguments.rounds), documents(arguments.text)):
        with tempfile.TemporaryDirectory() as folder:
            cold, _, usage = ask(arguments.duet, arguments.model, text, questions[0], folder)
            _, warm, cached = ask(arguments.duet, arguments.model, text, questions[-1], folder)
        print(f"round {number + 1}: {usage['prompt_tokens']} tokens, first {cold:.3f} s; after a restart "
              f"{warm:.3f} s with {cached['cached_tokens']} of {cached['prompt_tokens']} cached", flush=True)
        first.append(cold)
        again.append(warm)
        ratios.append(warm / cold)
    print(f"first question {statistics.median(first):.3f} s, another after a restart "
          f"{statistics.median(again):.3f} s: ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
