#!/usr/bin/env python3
"""Duet's quantizer beside llama.cpp's: speed, size, and what the files lost.

usage: quantize.py speed MODEL-F16.gguf --llama FOLDER --duet BINARY [--types ...] [--runs 5] [--threads 2]
       quantize.py quality TRUTH.gguf TEXT --llama FOLDER --duet BINARY --work FOLDER [--types ...]
                   [--tokens 20000] [--imatrix FILE.gguf] [--budgets Q4_K_M,Q3_K_M] [--json OUT.json]

`speed` alternates both on one file, each time making a new one, and prints the median of the rounds' ratios of time, with the peak of
Duet's anonymous memory (RssAnon, sampled every 5 ms).

`quality` makes every type with both, then reads TEXT with all files in single precision (duet compare) and
prints the mean KL from TRUTH. Of tensors that are the same to the byte in both files nothing need be
compared: such files are read once. With --imatrix both use it. Under --budgets Duet also makes a file of
the size of llama.cpp's, choosing a type per tensor. What is in --work already is not made again.
Standard library only.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

TYPES = ["F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0",
         "IQ4_NL", "IQ4_XS", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K"]  # fmt: skip
# Of models that are compared at once: their logits are held side by side.
GROUP = 6


def watched(command):
    """(seconds, peak of RssAnon in bytes)"""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak, ended = 0, threading.Event()

    def sample():
        nonlocal peak
        while not ended.wait(0.005):
            try:
                text = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                return
            found = [line.split()[1] for line in text.splitlines() if line.startswith("RssAnon")]
            peak = max(peak, int(found[0]) * 1024 if found else 0)

    sampler = threading.Thread(target=sample)
    sampler.start()
    _, errors = process.communicate()
    seconds = time.perf_counter() - start
    ended.set()
    sampler.join()
    if process.returncode != 0:
        raise SystemExit(f"{command[0]} failed with {process.returncode}: {errors.strip()[-800:]}")
    return seconds, peak


def commands(arguments, source, kind, ours, theirs, imatrix=None):
    threads = str(arguments.threads)
    duet = [arguments.duet, "quantize", source, ours, "--type", kind, "--threads", threads, "--force"]
    llama = [str(Path(arguments.llama) / "llama-quantize"), source, theirs, kind, threads]
    if imatrix:
        duet += ["--imatrix", imatrix]
        llama[1:1] = ["--imatrix", imatrix]
    return duet, llama


def speed(arguments):
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        ours, theirs = Path(folder) / "ours.gguf", Path(folder) / "theirs.gguf"
        for kind in arguments.types:
            duet, llama = commands(arguments, arguments.model, kind, str(ours), str(theirs))
            rounds = []
            for _ in range(arguments.runs):
                for path in (ours, theirs):
                    path.unlink(missing_ok=True)
                rounds.append((watched(duet), watched(llama)))
            rows.append({
                "type": kind,
                "seconds": statistics.median(own[0] for own, _ in rounds),
                "llama_seconds": statistics.median(other[0] for _, other in rounds),
                "times_faster": statistics.median(other[0] / own[0] for own, other in rounds),
                "anonymous_mb": max(own[1] for own, _ in rounds) / 1e6})
            print(rows[-1], flush=True)
    print("\n| type | Duet, s | llama.cpp, s | times faster | anonymous MB |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['type']} | {row['seconds']:.2f} | {row['llama_seconds']:.2f} | {row['times_faster']:.2f} "
              f"| {row['anonymous_mb']:.0f} |")
    return rows


def tensor_hash(duet, path):
    """Of the bytes of all tensors, in the order of their names."""
    listing = json.loads(subprocess.run([duet, "inspect", path, "--json"], check=True, capture_output=True).stdout)
    data, digest = Path(path).read_bytes(), hashlib.sha256()
    for tensor in sorted(listing["tensors"], key=lambda tensor: tensor["name"]):
        start = tensor["offset"]
        digest.update(tensor["name"].encode() + data[start:start + tensor["bytes"]])
    return digest.hexdigest()


def make(command, path):
    if not Path(path).exists():
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def compare(arguments, files):
    """What `duet compare` says of each file; what is known already from an earlier call is not measured again."""
    known = Path(arguments.work) / f"{Path(arguments.model).stem}-{arguments.tokens}.json"
    results = json.loads(known.read_text()) if known.exists() else {}
    missing = [path for path in files if path not in results]
    for start in range(0, len(missing), GROUP):
        group = missing[start:start + GROUP]
        output = subprocess.run(
            [arguments.duet, "compare", arguments.model, *group, "--text", arguments.text, "--tokens",
             str(arguments.tokens), "--threads", str(arguments.threads), "--json"], check=True, capture_output=True)
        for path, row in zip(group, json.loads(output.stdout)["models"]):
            results[path] = row
        known.write_text(json.dumps(results, indent=1))
        print(f"{min(start + GROUP, len(missing))} of {len(missing)} files read", flush=True)
    return results


def quality(arguments):
    work, stem = Path(arguments.work), Path(arguments.model).stem
    mark = "-imatrix" if arguments.imatrix else ""
    pairs, same = {}, {}
    for kind in arguments.types:
        ours, theirs = (str(work / f"{stem}-{kind}{mark}-{name}.gguf") for name in ("duet", "llama"))
        duet, llama = commands(arguments, arguments.model, kind, ours, theirs, arguments.imatrix)
        pairs[kind] = make(duet, ours), make(llama, theirs)
        same[kind] = tensor_hash(arguments.duet, ours) == tensor_hash(arguments.duet, theirs)
    budgets = {}
    for kind in filter(None, arguments.budgets.split(",")):
        path, size = str(work / f"{stem}-{kind}{mark}-budget.gguf"), Path(pairs[kind][1]).stat().st_size
        command = [arguments.duet, "quantize", arguments.model, path, "--size", str(size), "--threads",
                   str(arguments.threads)]
        budgets[kind] = make(command + (["--imatrix", arguments.imatrix] if arguments.imatrix else []), path)
    wanted = [path for kind, pair in pairs.items() for path in pair[:1 if same[kind] else 2]]
    results = compare(arguments, wanted + list(budgets.values()))
    rows = []
    for kind, (ours, theirs) in pairs.items():
        own = results[ours]
        rows.append(row(kind, ours, own, theirs, own if same[kind] else results[theirs], same[kind]))
    for kind, path in budgets.items():
        theirs = pairs[kind][1]
        rows.append(row(f"--size of {kind}", path, results[path], theirs,
                        results[pairs[kind][0] if same[kind] else theirs], False))
    show(rows)
    for kind in budgets:
        show_best(rows, next(r for r in rows if r["type"] == f"--size of {kind}"))
    return rows


def show_best(rows, budget):
    """The best file of one type or mix, of either quantizer, that is no larger than the one under a budget."""
    fixed = [(r[side + "kl"], name + r["type"], r[side + "bytes"]) for r in rows if "--size" not in r["type"]
             for side, name in (("", "Duet's "), ("llama_", "llama.cpp's ")) if r[side + "bytes"] <= budget["llama_bytes"]]
    kl, name, size = min(fixed)
    print(f"{budget['type']}: mean KL {budget['kl']:.5f} in {budget['bytes'] / 1e6:.1f} MB; the best fixed type is {name}, "
          f"{kl:.5f} in {size / 1e6:.1f} MB: {budget['kl'] / kl:.3f} of it")


def row(name, ours, own, theirs, other, is_same):
    return {
        "type": name, "bytes": Path(ours).stat().st_size, "llama_bytes": Path(theirs).stat().st_size,
        "same_tensors": is_same, "kl": own["mean_kl"], "kl_margin": own["mean_kl_margin"], "llama_kl": other["mean_kl"],
        "ratio": own["mean_kl"] / other["mean_kl"] if other["mean_kl"] else 1.0,
        "perplexity": own["perplexity"], "llama_perplexity": other["perplexity"],
        "log_difference": own["log_perplexity_difference"],
        "log_difference_margin": own["log_perplexity_difference_margin"],
        "llama_log_difference": other["log_perplexity_difference"],
        "llama_log_difference_margin": other["log_perplexity_difference_margin"]}


def show(rows):
    print("\n| type | MB | llama.cpp, MB | mean KL | llama.cpp | ratio | perplexity, log difference | llama.cpp |")
    print("|---|---|---|---|---|---|---|---|")
    for r in rows:
        other = "same tensors" if r["same_tensors"] else f"{r['llama_kl']:.5f}"
        print(f"| {r['type']} | {r['bytes'] / 1e6:.1f} | {r['llama_bytes'] / 1e6:.1f} | {r['kl']:.5f} ± {r['kl_margin']:.5f} "
              f"| {other} | {r['ratio']:.3f} | {r['log_difference']:+.4f} ± {r['log_difference_margin']:.4f} "
              f"| {r['llama_log_difference']:+.4f} ± {r['llama_log_difference_margin']:.4f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    subparsers = parser.add_subparsers(required=True)
    for name, function in (("speed", speed), ("quality", quality)):
        command = subparsers.add_parser(name)
        command.set_defaults(run=function)
        command.add_argument("model")
        if name == "quality":
            command.add_argument("text")
            command.add_argument("--tokens", type=int, default=20_000)
            command.add_argument("--imatrix")
            command.add_argument("--budgets", default="", help="types whose sizes Duet is given as a budget")
        else:
            command.add_argument("--runs", type=int, default=5)
        command.add_argument("--llama", required=True, help="folder of llama-quantize")
        command.add_argument("--duet", required=True, help="the duet binary")
        command.add_argument("--work", help="folder for the files that are made", required=name == "quality")
        command.add_argument("--types", type=lambda text: text.split(","), default=TYPES)
        command.add_argument("--threads", type=int, default=2)
        command.add_argument("--json", help="also write the rows here")
    arguments = parser.parse_args()
    rows = arguments.run(arguments)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
