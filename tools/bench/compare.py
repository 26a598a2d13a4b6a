#!/usr/bin/env python3
"""Duet's speed and memory beside llama.cpp's, in alternating runs on one machine.

usage: compare.py MODEL.gguf --llama DIR [--duet BINARY] [--runs 5] [--prefill 512] [--decode 128]
                  [--depth 0] [--threads 2] [--json OUT.json]

DIR holds llama-bench and llama-completion. Each round runs one after the other, so that a busy spell
of the machine meets both; the ratio is the median of the rounds' ratios. Standard library only.
Memory is the peak of RssAnon over the run, which leaves out the mapped file, at the same context for
both. Start-up is the wall time of a process that answers two letters with one token; llama.cpp's
warm-up run is left out of that.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

# measure -> (unit, whether more is better)
MEASURES = {
    "prefill": ("tokens/s", True),
    "decode": ("tokens/s", True),
    "memory": ("MB", False),
    "start_up": ("s", False),
}


def anonymous_bytes(pid):
    """RssAnon of a process, 0 once it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def watched(command):
    """(standard output, peak anonymous bytes) of a run, sampled every 2 ms"""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               stdin=subprocess.DEVNULL)
    peak, ended = [0], threading.Event()

    def sample():
        while not ended.wait(0.002):
            peak[0] = max(peak[0], anonymous_bytes(process.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    output, errors = process.communicate()
    ended.set()
    sampler.join()
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} failed with {process.returncode}: {errors.strip()[-500:]}")
    return output, peak[0]


def wall_time(command):
    start = time.monotonic()
    watched(command)
    return time.monotonic() - start


def llama_round(arguments):
    folder = Path(arguments.llama)
    output, peak = watched([
        str(folder / "llama-bench"), "-m", arguments.model, "-t", str(arguments.threads), "-r", "1",
        "-p", str(arguments.prefill), "-n", str(arguments.decode), "-d", str(arguments.depth), "-o", "json"])
    rows = json.loads(output)
    start_up = wall_time([
        str(folder / "llama-completion"), "-m", arguments.model, "-t", str(arguments.threads),
        "-no-cnv", "--no-warmup", "-c", "512", "-n", "1", "-p", "Hi"])
    return {
        "prefill": next(row["avg_ts"] for row in rows if row["n_prompt"]),
        "decode": next(row["avg_ts"] for row in rows if row["n_gen"]),
        "memory": peak / 1e6,
        "start_up": start_up,
    }


def duet_round(arguments):
    output, peak = watched([
        arguments.duet, "bench", "--model", arguments.model, "--threads", str(arguments.threads),
        "--prefill", str(arguments.prefill), "--decode", str(arguments.decode),
        "--depth", str(arguments.depth), "--json"])
    result = json.loads(output)
    rows = result if isinstance(result, list) else result.get("rows", [result])
    start_up = wall_time([arguments.duet, "chat", "--model", arguments.model, "--threads",
                          str(arguments.threads), "--max-tokens", "1", "Hi"])
    measured = {
        "prefill": next(row["prefill_tokens_per_s"] for row in rows if row.get("prefill_tokens_per_s")),
        "decode": next(row["decode_tokens_per_s"] for row in rows if row.get("decode_tokens_per_s")),
        "memory": peak / 1e6,
        "start_up": start_up,
    }
    fractions = [row["bandwidth_fraction"] for row in rows if row.get("bandwidth_fraction")]
    return measured | ({"bandwidth_fraction": fractions[0]} if fractions else {})


def spread(values):
    """(median, lower quartile, upper quartile)"""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return statistics.median(values), low, high


def cell(values):
    middle, low, high = spread(values)
    return f"{middle:.4g} ({low:.4g} to {high:.4g})"


def show(arguments, rounds):
    print(f"{Path(arguments.model).name}, {arguments.threads} threads, prefill {arguments.prefill}, decode "
          f"{arguments.decode}, depth {arguments.depth}; median (quartiles) of {arguments.runs} rounds\n")
    systems = [name for name in ("duet", "llama.cpp") if rounds[name]]
    print("| measure | " + " | ".join(systems) + (" | duet / llama.cpp |" if len(systems) > 1 else " |"))
    print("|---|" + "---|" * (len(systems) + (len(systems) > 1)))
    for measure, (unit, more) in MEASURES.items():
        columns = [[row[measure] for row in rounds[name]] for name in systems]
        cells = [cell(values) for values in columns]
        if len(columns) > 1:
            cells.append(cell([own / peer for own, peer in zip(*columns)]))
        better = "more" if more else "less"
        print(f"| {measure}, {unit} ({better} is better) | " + " | ".join(cells) + " |")
    fractions = [row["bandwidth_fraction"] for row in rounds["duet"] if "bandwidth_fraction" in row]
    if fractions:
        print(f"\nDuet's decode reads at {cell(fractions)} of the rate of the mapped file.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--llama", required=True, help="folder of llama-bench and llama-completion")
    parser.add_argument("--duet", help="the duet binary; without it llama.cpp alone is measured")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=128)
    parser.add_argument("--depth", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="also write every round's figures here")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"compare.py: the load is {load:.1f}; figures of a busy machine say little", file=sys.stderr)
    rounds = {"duet": [], "llama.cpp": []}
    for _ in range(arguments.runs):
        if arguments.duet:
            rounds["duet"].append(duet_round(arguments))
        rounds["llama.cpp"].append(llama_round(arguments))
    show(arguments, rounds)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"settings": vars(arguments), "load": load, "rounds": rounds}, indent=2) + "\n")


if __name__ == "__main__":
    main()
