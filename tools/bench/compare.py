#!/usr/bin/env python3
"""Duet's speed and memory beside llama.cpp's, in alternating runs on one machine.

usage: compare.py MODEL.gguf... --llama DIR [--duet BINARY] [--runs 5] [--prefill 512] [--decode 128]
                  [--depth 0] [--threads 2] [--flash 0] [--measures prefill,decode] [--json OUT.json]

DIR holds llama-bench and llama-completion. Each round runs one after the other, so that a busy spell
of the machine meets both; the ratio is the median of the rounds' ratios. Standard library only.
Memory is the peak of RssAnon over the run, which leaves out the mapped file, at the same context for
both. Start-up is the wall time of a process that answers a prompt of some twenty tokens with one
token; llama.cpp's warm-up run is left out of that.
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

PROMPT = "What is the name of the longest river that flows through the north of Italy, and where does it end?"

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


def llama_round(arguments, model):
    folder = Path(arguments.llama)
    command = [str(folder / "llama-bench"), "-m", model, "-t", str(arguments.threads), "-r", "1",
               "-p", str(arguments.prefill), "-n", str(arguments.decode), "-d", str(arguments.depth), "-o", "json"]
    if arguments.flash:
        command += ["-fa", arguments.flash]
    output, peak = watched(command)
    rows = json.loads(output)
    measured = {"memory": peak / 1e6}
    measured |= {"prefill": row["avg_ts"] for row in rows if row["n_prompt"]}
    measured |= {"decode": row["avg_ts"] for row in rows if row["n_gen"]}
    if "start_up" in arguments.measures:
        measured["start_up"] = wall_time([
            str(folder / "llama-completion"), "-m", model, "-t", str(arguments.threads),
            "-no-cnv", "--no-warmup", "-c", "512", "-n", "1", "-p", PROMPT])
    return measured


def duet_round(arguments, model):
    output, peak = watched([
        arguments.duet, "bench", "--model", model, "--threads", str(arguments.threads),
        "--prefill", str(arguments.prefill), "--decode", str(arguments.decode),
        "--depth", str(arguments.depth), "--repetitions", "1", "--json"])
    row = json.loads(output)["rows"][0]
    measured = {
        "prefill": row["prefill_tokens_per_s"],
        "decode": row["decode_tokens_per_s"],
        "memory": peak / 1e6,
        "bandwidth_fraction": row["bandwidth_fraction"],
        "read_rate": row["read_gb_per_s"],
        "arithmetic_fraction": row["arithmetic_fraction"],
        "peak": row["peak_g_per_s"],
    }
    if "start_up" in arguments.measures:
        measured["start_up"] = wall_time([
            arguments.duet, "chat", "--model", model, "--threads", str(arguments.threads),
            "--max-tokens", "1", PROMPT])
    return {name: value for name, value in measured.items() if value is not None}


def spread(values):
    """(median, lower quartile, upper quartile)"""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return statistics.median(values), low, high


def cell(values):
    middle, low, high = spread(values)
    return f"{middle:.4g} ({low:.4g} to {high:.4g})"


def show(arguments, model, rounds):
    """The model's rows of the table."""
    for measure in arguments.measures:
        columns = [[row[measure] for row in rounds[name] if measure in row] for name in ("duet", "llama.cpp")]
        if not columns[1]:
            continue
        cells = [cell(values) if values else "-" for values in columns]
        cells.append(cell([own / peer for own, peer in zip(*columns)]) if columns[0] else "-")
        print(f"| {Path(model).stem} | {measure}, {MEASURES[measure][0]} | " + " | ".join(cells) + " |", flush=True)
    fractions = [row["arithmetic_fraction"] for row in rounds["duet"] if "arithmetic_fraction" in row]
    if fractions and "prefill" in arguments.measures:
        peaks = [row["peak"] for row in rounds["duet"]]
        print(f"| | prefill's products, of {statistics.median(peaks):.0f} billion/s | {cell(fractions)} | | |", flush=True)
    fractions = [row["bandwidth_fraction"] for row in rounds["duet"] if "bandwidth_fraction" in row]
    if fractions and "decode" in arguments.measures:
        rates = [row["read_rate"] for row in rounds["duet"]]
        print(f"| | decode reads, of the mapped file's {statistics.median(rates):.1f} GB/s | {cell(fractions)} | | |",
              flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="model")
    parser.add_argument("--llama", required=True, help="folder of llama-bench and llama-completion")
    parser.add_argument("--duet", help="the duet binary; without it llama.cpp alone is measured")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=128)
    parser.add_argument("--depth", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--flash", choices=["0", "1"], help="llama.cpp's flash attention; its own choice by default")
    parser.add_argument("--measures", default=",".join(MEASURES), help="which, parted by commas (default: %(default)s)")
    parser.add_argument("--json", help="also write every round's figures here")
    arguments = parser.parse_args()
    arguments.measures = arguments.measures.split(",")
    unknown = [name for name in arguments.measures if name not in MEASURES]
    if unknown:
        parser.error(f"no measure is called {unknown[0]}; there are {', '.join(MEASURES)}")
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"compare.py: the load is {load:.1f}; figures of a busy machine say little", file=sys.stderr)
    print(f"{arguments.threads} threads, prefill {arguments.prefill}, decode {arguments.decode}, depth "
          f"{arguments.depth}; median (quartiles) of {arguments.runs} rounds\n")
    print("| model | measure | Duet | llama.cpp | ratio |\n|---|---|---|---|---|")
    written = {}
    for model in arguments.models:
        rounds = {"duet": [], "llama.cpp": []}
        for _ in range(arguments.runs):
            if arguments.duet:
                rounds["duet"].append(duet_round(arguments, model))
            rounds["llama.cpp"].append(llama_round(arguments, model))
        show(arguments, model, rounds)
        written[model] = rounds
    if arguments.json:
        settings = {name: value for name, value in vars(arguments).items() if name != "models"}
        Path(arguments.json).write_text(json.dumps({"settings": settings, "load": load, "rounds": written}, indent=2) + "\n")


if __name__ == "__main__":
    main()
