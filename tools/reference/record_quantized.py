#!/usr/bin/env python3
"""Records what other implementations make of the same numbers.

    record_quantized.py Tests/QuantizeTests/Fixtures --ggml DIR

DIR holds llama.cpp's libggml-base.so. Writes, for each type, TYPE.blocks: the bytes that the gguf package
(0.19) makes of numbers.floats, where it has an encoder; and errors.json: the squared errors of llama.cpp's
quantizer on numbers.floats, plain and weighted with weights.floats (one weight a column, which is also what
its quantizer is given), and with these times |x| + m / 2, m being the mean size of the 256 values around.
numbers.floats: [16, 512], half normally distributed, half with heavy tails.
"""

import argparse
import ctypes
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

SEED = 5
PLAIN = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "MXFP4"]
SEARCHED = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]


def numbers(random):
    rows = np.concatenate([random.standard_normal((8, 512)), 0.6 * random.standard_t(4, (8, 512))]) * 0.05
    rows[0, :32] = 0
    rows[1, :32] = 0.25
    rows[2, :64] *= 1e-6
    rows[3, 32:64] = np.linspace(-1, 1, 32)
    rows[4, :32] = np.nextafter(np.float32(0.125), np.float32(0)) * np.where(np.arange(32) % 2, 1, -1)
    return rows.astype(np.float32)


def peer(library, x, kind, weights):
    length, size = GGML_QUANT_SIZES[kind]
    out = np.zeros((x.shape[0], x.shape[1] // length * size), np.uint8)
    pointer = weights.ctypes.data if weights is not None else None
    library.ggml_quantize_chunk(int(kind), x.ctypes.data, out.ctypes.data, 0, *x.shape, pointer)
    return out


def sizes(x):
    blocks = np.abs(x.astype(np.float64)).reshape(-1, 256)
    return (blocks + 0.5 * blocks.mean(axis=1, keepdims=True)).reshape(x.shape)


def error(x, blocks, kind, weights):
    rest = x.astype(np.float64) - dequantize(blocks, kind)
    return float((rest**2 * weights).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ggml", type=Path, required=True)
    arguments = parser.parse_args()
    library = ctypes.CDLL(str(arguments.ggml / "libggml-base.so"))
    library.ggml_quantize_chunk.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    random = np.random.default_rng(SEED)
    x, weights = numbers(random), random.lognormal(0, 1.5, 512).astype(np.float32)
    folder = arguments.folder
    (folder / "numbers.floats").write_bytes(x.tobytes())
    (folder / "weights.floats").write_bytes(weights.tobytes())
    for name in PLAIN:
        blocks = quantize(x, GGMLQuantizationType[name])
        (folder / f"{name}.blocks").write_bytes(np.ascontiguousarray(blocks).tobytes())
    errors = {}
    for name in SEARCHED:
        kind = GGMLQuantizationType[name]
        given, wide = peer(library, x, kind, weights), weights.astype(np.float64)
        errors[name] = {
            "plain": error(x, peer(library, x, kind, None), kind, 1),
            "weighted": error(x, given, kind, wide),
            "weightedBySize": error(x, given, kind, wide * sizes(x)),
        }
    (folder / "errors.json").write_text(json.dumps(errors, indent=1) + "\n")
    (folder / "README").write_text(
        f"Recorded by tools/reference/record_quantized.py: gguf {version('gguf')}, llama.cpp's ggml 0.25.3, seed {SEED}.\n"
    )


main()
