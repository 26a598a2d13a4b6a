#!/usr/bin/env python3
"""How far Duet's and llama.cpp's next-token distributions are from an fp32 reference's.

The reference is transformers in fp32 on the same dequantised weights (reference_model.py). The text
is the contexts of a JSON-lines file, cut into windows of 500 tokens, each starting with the model's
start token if it asks for one. Versions: see requirements.txt beside this file.

usage: compare_kl.py MODEL.gguf TEXT.jsonl --cache DIR [--adapter LORA.gguf] [--duet BINARY] [--json OUT.json]

With an adapter, which the reference has worked into its weights, the table also says how far Duet is
from llama.cpp.

The cache keeps the reference's and llama.cpp's logits (vocabulary x 4 bytes a token and system: 0.8 GB
for 4,000 tokens of a vocabulary of 49,152) so that later runs compute Duet's side alone. To compare
the plain C kernels, set DUET_CPU=generic in the environment.
"""

import argparse
import gc
import hashlib
import json
import math
import subprocess
import tempfile
from pathlib import Path

import numpy
import torch

import llama_peer
import reference_model

ROWS = 50  # positions compared at a time: bounds memory at a vocabulary of 262,144


def read_text(path):
    """The distinct contexts of a JSON-lines file, in order."""
    with open(path, encoding="utf-8") as lines:
        contexts = [json.loads(line)["context"] for line in lines]
    return "\n\n".join(context for context in dict.fromkeys(contexts) if context)


def cut(ids, start, window, total):
    """`total` tokens as windows of `window`, each beginning with `start`."""
    step = window - len(start)
    windows = [start + ids[at:at + step] for at in range(0, total // window * step, step)]
    if not windows or len(windows[-1]) < window:
        raise SystemExit(f"the text has {len(ids)} tokens, too few for {total}")
    return windows


class Cache:
    """Logits on disk, keyed by the model's content and the tokens."""

    def __init__(self, folder, model, windows, adapter):
        content = Path(model).read_bytes() + (Path(adapter).read_bytes() if adapter else b"")
        key = hashlib.sha256(content + json.dumps(windows).encode()).hexdigest()[:16]
        self.folder = Path(folder) / f"{Path(model).stem}-{key}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, system, index):
        return self.folder / f"{system}-{index}.npy"

    def fill(self, system, windows, compute):
        """Computes what is missing; `compute()` returns a function from ids to logits."""
        missing = [i for i in range(len(windows)) if not self.path(system, i).exists()]
        function = compute() if missing else None
        for index in missing:
            print(f"{system}: window {index + 1} of {len(windows)}", flush=True)
            part = self.path(system, index).with_suffix(".part.npy")
            numpy.save(part, numpy.asarray(function(windows[index]), dtype=numpy.float32))
            part.rename(self.path(system, index))
        del function
        gc.collect()

    def load(self, system, index):
        return numpy.load(self.path(system, index), mmap_mode="r")


def reference(model, adapter):
    loaded, _ = reference_model.load(model, adapter)
    return lambda ids: reference_model.logits(loaded, ids).numpy()


def duet_logits(binary, model, ids, vocabulary, threads, extra):
    """float32 [positions, vocabulary] from `duet perplexity --logits`"""
    with tempfile.TemporaryDirectory() as folder:
        tokens, output = Path(folder) / "ids.txt", Path(folder) / "logits.f32"
        tokens.write_text(" ".join(map(str, ids)) + "\n")
        subprocess.run([binary, "perplexity", "--model", model, "--tokens", tokens, "--window", str(len(ids)),
                        "--threads", str(threads), "--logits", output, *extra],
                       check=True, stdout=subprocess.DEVNULL)
        values = numpy.fromfile(output, dtype="<f4")
    if values.size != len(ids) * vocabulary:
        raise SystemExit(f"duet wrote {values.size} logits, where {len(ids)} x {vocabulary} were expected")
    return values.reshape(len(ids), vocabulary)


def log_softmax(rows):
    return torch.log_softmax(torch.from_numpy(numpy.array(rows)).double(), dim=1)


def measure(expected, actual, ids):
    """Per position: KL(expected || actual), whether the top ids agree; per next token: both NLLs."""
    kl, agree, nll, nll_expected = [], [], [], []
    for start in range(0, len(ids), ROWS):
        p, q = (log_softmax(x[start:start + ROWS]) for x in (expected, actual))
        kl += (p.exp() * (p - q)).sum(dim=1).tolist()
        agree += (p.argmax(dim=1) == q.argmax(dim=1)).tolist()
        following = torch.tensor(ids[start + 1:start + ROWS + 1])
        rows = torch.arange(len(following))
        nll += (-q[rows, following]).tolist()
        nll_expected += (-p[rows, following]).tolist()
    return dict(kl=kl, agree=agree, nll=nll, nll_reference=nll_expected)


def wilson(hits, total, z=1.96):
    """95% interval of a proportion (Wilson 1927)."""
    p, square = hits / total, z * z
    centre = (p + square / (2 * total)) / (1 + square / total)
    half = z / (1 + square / total) * math.sqrt(p * (1 - p) / total + square / (4 * total * total))
    return centre - half, centre + half


def summary(parts):
    joined = {key: [value for part in parts for value in part[key]] for key in parts[0]}
    kl, hits = numpy.array(joined["kl"]), sum(joined["agree"])
    low, high = wilson(hits, len(kl))
    return {
        "positions": len(kl),
        "kl_mean": float(kl.mean()),
        "kl_mean_standard_error": float(kl.std(ddof=1) / math.sqrt(len(kl))),
        "kl_median": float(numpy.median(kl)),
        "kl_p99": float(numpy.quantile(kl, 0.99)),
        "kl_max": float(kl.max()),
        "top1_agreement": hits / len(kl),
        "top1_low": low,
        "top1_high": high,
        "perplexity": math.exp(float(numpy.mean(joined["nll"]))),
        "perplexity_reference": math.exp(float(numpy.mean(joined["nll_reference"]))),
    }


def show(result):
    print("\n| system | mean KL | s.e. | p99 | top-1 agreement (95%) | perplexity |")
    print("|---|---|---|---|---|---|")
    for name, row in result["systems"].items():
        print(f"| {name} | {row['kl_mean']:.3e} | {row['kl_mean_standard_error']:.1e} | {row['kl_p99']:.3e} "
              f"| {row['top1_agreement']:.4f} ({row['top1_low']:.4f} to {row['top1_high']:.4f}) "
              f"| {row['perplexity']:.4f} |")
    reference_perplexity = next(iter(result["systems"].values()))["perplexity_reference"]
    print(f"| fp32 reference | 0 | | | 1 | {reference_perplexity:.4f} |")
    if "kl_ratio" in result:
        print(f"\nmean KL, Duet / llama.cpp: {result['kl_ratio']:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("text", help="JSON lines with a field `context`")
    parser.add_argument("--cache", required=True, help="folder for the computed logits")
    parser.add_argument("--adapter", help="a LoRA adapter in GGUF")
    parser.add_argument("--duet", help="the duet binary; without it llama.cpp alone is compared")
    parser.add_argument("--duet-option", action="append", default=[], help="passed to duet, e.g. --duet-option=--kv=q8_0")
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--window", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="also write the result here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    vocabulary = llama_peer.Peer(arguments.model, vocabulary_only=True)
    start = reference_model.Metadata(reference_model.GGUFReader(arguments.model)).start
    windows = cut(vocabulary.tokenize(read_text(arguments.text)), start, arguments.window, arguments.tokens)
    cache = Cache(arguments.cache, arguments.model, windows, arguments.adapter)
    cache.fill("reference", windows, lambda: reference(arguments.model, arguments.adapter))
    cache.fill("llama.cpp", windows, lambda: llama_peer.Peer(
        arguments.model, arguments.threads, adapter=arguments.adapter).logits)
    options = arguments.duet_option + (["--adapter", arguments.adapter] if arguments.adapter else [])

    parts = {"llama.cpp": []}
    for index, ids in enumerate(windows):
        expected = cache.load("reference", index)
        parts["llama.cpp"].append(measure(expected, cache.load("llama.cpp", index), ids))
        if arguments.duet:
            actual = duet_logits(arguments.duet, arguments.model, ids, expected.shape[1],
                                 arguments.threads, options)
            parts.setdefault("duet", []).append(measure(expected, actual, ids))
            if arguments.adapter:
                peer = cache.load("llama.cpp", index)
                parts.setdefault("duet from llama.cpp", []).append(measure(peer, actual, ids))
    result = {"model": Path(arguments.model).name, "systems": {name: summary(p) for name, p in parts.items()}}
    if arguments.duet:
        result["kl_ratio"] = result["systems"]["duet"]["kl_mean"] / result["systems"]["llama.cpp"]["kl_mean"]
    show(result)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
