#!/usr/bin/env python3
"""Compares what two quantizers made of one model, tensor by tensor.

    compare_errors.py TRUTH.gguf OURS.gguf THEIRS.gguf [--imatrix FILE.gguf]

Prints, for each type that both gave a tensor, the ratio of the sums of squared errors, ours by theirs: the
mean, and the worst tensor. With an importance matrix the squares are weighted with the mean squares of the
columns' inputs, and on a second line also by size: each weight's by |x| + m / 2, where m is the mean size of its
256 neighbours. That is what Duet minimises in two and three bits; llama.cpp takes sqrt(m + x^2), m of squares.
Needs gguf 0.19 and numpy.
"""

import argparse

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize


def tensors(path):
    return {tensor.name: tensor for tensor in GGUFReader(path).tensors}


def error(truth, tensor, weights):
    rest = truth - dequantize(np.asarray(tensor.data), tensor.tensor_type).astype(np.float64)
    return float((rest * rest * weights).sum())


def importance(path):
    if path is None:
        return {}
    all_tensors = tensors(path)
    ends = (".in_sum2", ".counts")
    names = [name.removesuffix(ends[0]) for name in all_tensors if name.endswith(ends[0])]
    return {
        name: np.asarray(all_tensors[name + ends[0]].data).ravel() / np.asarray(all_tensors[name + ends[1]].data).ravel()[0]
        for name in names
    }


def sizes(truth):
    """|x| + m / 2 of every weight."""
    blocks = np.abs(truth).reshape(-1, 256 if truth.size % 256 == 0 else truth.shape[-1])
    return (blocks + 0.5 * blocks.mean(axis=1, keepdims=True)).reshape(truth.shape)


def report(label, ratios):
    for kind, found in sorted(ratios.items()):
        worst = max(found)
        mean = sum(ratio for ratio, _ in found) / len(found)
        print(f"{kind}{label}: {len(found)} tensors, mean {mean:.4f}, worst {worst[0]:.4f} ({worst[1]})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("truth", "ours", "theirs"):
        parser.add_argument(name)
    parser.add_argument("--imatrix")
    arguments = parser.parse_args()
    ours, theirs, weights = tensors(arguments.ours), tensors(arguments.theirs), importance(arguments.imatrix)
    plain, by_size = {}, {}
    for name, tensor in tensors(arguments.truth).items():
        kind = ours[name].tensor_type
        if kind != theirs[name].tensor_type or kind == tensor.tensor_type:
            continue
        truth = np.asarray(tensor.data).astype(np.float64)
        weight = weights.get(name, 1)
        for ratios, factor in ((plain, 1), (by_size, sizes(truth) if weights else None)):
            if factor is None:
                continue
            pair = [error(truth, file[name], weight * factor) for file in (ours, theirs)]
            ratios.setdefault(kind.name, []).append((pair[0] / pair[1] if pair[1] else 1.0, name))
    report("", plain)
    report(", by size", by_size)


main()
