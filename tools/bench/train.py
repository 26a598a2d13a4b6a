#!/usr/bin/env python3
"""Duet's training beside PyTorch's with peft, in alternating runs on one machine.

usage: train.py MODEL.gguf ROWS.jsonl --python PYTHON [--duet BINARY] [--runs 3] [--steps 4] [--threads 2]
                [--packing sorted] [--batch-tokens 1024] [--json OUT.json]

Both train LoRA of rank 16 on all projections of the same rows, grounded. PyTorch runs tools/train: fp32,
the base frozen, attention by its fused kernel, the vocabulary product for positions in the loss only.
PYTHON is an interpreter with tools/train/requirements.txt. Tokens per second are the median of a run's
steps but the first, and the ratio is the median of the rounds' ratios. Memory is the peak over a run
of RssAnon, and of VmRSS, which has the mapped file in it. The peak of sgemm is measured by the same
PyTorch between the runs; its share counts the products of the layers alone, 4 operations forward and
backward for each of their weights and tokens. Standard library only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

TRAIN = Path(__file__).resolve().parents[1] / "train/train.py"
SGEMM = """
import time, torch
torch.set_num_threads({threads})
a, b = torch.randn(1024, 1536), torch.randn(1536, 1024)
best = 0
for _ in range(30):
    start = time.perf_counter(); a @ b; best = max(best, 2 * 1024 * 1024 * 1536 / (time.perf_counter() - start))
print(best / 1e9)
"""


def status(pid):
    """(RssAnon, VmRSS) in bytes, zero once the process has ended"""
    found = {}
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("RssAnon", "VmRSS"):
                found[name] = int(value.split()[0]) * 1024
    except OSError:
        pass
    return found.get("RssAnon", 0), found.get("VmRSS", 0)


def watched(command):
    """(peak RssAnon, peak VmRSS) of a run, sampled every 20 ms"""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peaks, ended = [0, 0], threading.Event()

    def sample():
        while not ended.wait(0.02):
            for index, value in enumerate(status(process.pid)):
                peaks[index] = max(peaks[index], value)

    sampler = threading.Thread(target=sample)
    sampler.start()
    _, errors = process.communicate()
    ended.set()
    sampler.join()
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} failed with {process.returncode}: {errors.strip()[-800:]}")
    return peaks


def speed(path, key):
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    values = [line[key] for line in lines if key in line]
    return statistics.median(values[1:] or values)


def torch_round(arguments, folder):
    metrics = folder / "torch.jsonl"
    metrics.unlink(missing_ok=True)
    peaks = watched([
        arguments.python, str(TRAIN), "--base", arguments.model, "--data", arguments.rows, "--limit", "400",
        "--steps", str(arguments.steps), "--threads", str(arguments.threads), "--cpu", "--packing", arguments.packing,
        "--batch-tokens", str(arguments.batch_tokens), "--metrics", str(metrics)])
    return result(speed(metrics, "tokens_per_s"), peaks)


def duet_round(arguments, folder):
    out = folder / "duet.gguf"
    peaks = watched([
        arguments.duet, "train", "--base", arguments.model, "--data", arguments.rows, "--arm", "grounded",
        "--steps", str(arguments.steps), "--threads", str(arguments.threads), "--out", str(out), "--force",
        *arguments.duet_option])
    return result(speed(folder / "duet.metrics.jsonl", "tokens_per_second"), peaks)


def result(tokens_per_s, peaks):
    return {"tokens_per_s": tokens_per_s, "anonymous_gb": peaks[0] / 1e9, "resident_gb": peaks[1] / 1e9}


def sgemm(arguments):
    """Operations per second, in 1e9"""
    code = SGEMM.format(threads=arguments.threads)
    return float(subprocess.run([arguments.python, "-c", code], check=True, capture_output=True, text=True).stdout)


def layer_weights(arguments):
    """Weights of the layers' matrices, those that every token is multiplied by."""
    code = ("import sys; from gguf import GGUFReader; print(sum(int(t.n_elements) for t in GGUFReader(sys.argv[1]).tensors"
            " if t.name.startswith('blk.') and len(t.shape) > 1))")
    return int(subprocess.run([arguments.python, "-c", code, arguments.model], check=True, capture_output=True,
                              text=True).stdout)


def show(arguments, rounds, peak, weights):
    systems = [name for name in ("duet", "torch") if rounds[name]]
    print("| measure | " + " | ".join(systems) + (" | duet / torch |" if len(systems) > 1 else " |"))
    print("|---|" + "---|" * (len(systems) + (len(systems) > 1)))
    for key in ("tokens_per_s", "anonymous_gb", "resident_gb"):
        columns = [[row[key] for row in rounds[name]] for name in systems]
        cells = [f"{statistics.median(values):.3f}" for values in columns]
        if len(columns) > 1:
            cells.append(f"{statistics.median(own / theirs for own, theirs in zip(*columns)):.3f}")
        print(f"| {key} | " + " | ".join(cells) + " |")
    print(f"\nsgemm: {peak:.0f} Gop/s with {arguments.threads} threads")
    for name in systems:
        used = statistics.median(row["tokens_per_s"] for row in rounds[name]) * 4 * weights / 1e9
        print(f"{name}: products of the layers at {100 * used / peak:.0f} % of it")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("rows")
    parser.add_argument("--python", default=sys.executable, help="interpreter with PyTorch and peft")
    parser.add_argument("--duet", help="the duet binary; without it PyTorch alone is measured")
    parser.add_argument("--duet-option", action="append", default=[], help="passed to duet train")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--packing", default="sorted", choices=("packed", "sorted"), help="of PyTorch")
    parser.add_argument("--batch-tokens", type=int, default=1024, help="of PyTorch")
    parser.add_argument("--json", help="also write every round's figures here")
    arguments = parser.parse_args()
    if os.getloadavg()[0] > 0.5:
        print("train.py: the machine is busy; its figures say little", file=sys.stderr)
    rounds, peaks = {"duet": [], "torch": []}, []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.runs):
            if arguments.duet:
                rounds["duet"].append(duet_round(arguments, Path(folder)))
            peaks.append(sgemm(arguments))
            rounds["torch"].append(torch_round(arguments, Path(folder)))
    show(arguments, rounds, max(peaks), layer_weights(arguments))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"settings": vars(arguments), "sgemm": peaks, "rounds": rounds}, indent=2) + "\n")


if __name__ == "__main__":
    main()
