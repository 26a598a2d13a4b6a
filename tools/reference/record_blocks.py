#!/usr/bin/env python3
"""Records blocks of every weight type and the floats that the gguf package makes of them.

    pip install gguf==0.19.0 numpy==2.4.6
    tools/reference/record_blocks.py Tests/RuntimeTests/Fixtures/blocks

Writes NAME.blocks (bytes as in a file), NAME.floats (the values, float32 little-endian) and
versions.txt. Blocks are random bytes, random bytes with scales that a reader may get wrong, and,
where the package can quantize, quantized random numbers.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

SEED = 20260
# Half-precision scales: zeros, the ends of the subnormals and normals, infinities, NaNs.
HALVES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0x7C00, 0xFC00, 0x7E00, 0x7C01]
# MXFP4's exponents: the two subnormal results, the first normal one, 1, the ends.
EXPONENTS = [0, 1, 2, 127, 128, 254, 255]
# Where the half-precision scales of each type lie in its block.
SCALE_OFFSETS = {
    "F16": [0],
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "IQ4_NL": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_XS": [0],
}
PLAIN = {"F32", "F16", "BF16"}
QUANTIZABLE = {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"}
TYPES = ["F32", "BF16", "MXFP4", *SCALE_OFFSETS]


def special_blocks(name, size, random):
    """Random blocks, [n, size], in which each scale in turn takes each notable value."""
    if name == "MXFP4":
        blocks = random.integers(0, 256, (len(EXPONENTS), size), dtype=np.uint8)
        blocks[:, 0] = EXPONENTS
        return blocks
    chosen = []
    for offset in SCALE_OFFSETS.get(name, []):
        for half in HALVES:
            block = random.integers(0, 256, size, dtype=np.uint8)
            for other in SCALE_OFFSETS[name]:
                block[other + 1] &= 0xBF  # keeps the other scale finite
            block[offset : offset + 2] = [half & 0xFF, half >> 8]
            chosen.append(block)
    return np.array(chosen, dtype=np.uint8).reshape(-1, size)


def record(name, random):
    """Blocks of one type, [n, size] bytes."""
    kind = GGMLQuantizationType[name]
    length, size = GGML_QUANT_SIZES[kind]
    count = 64 if name in PLAIN else 512 // length
    parts = [random.integers(0, 256, (count, size), dtype=np.uint8), special_blocks(name, size, random)]
    if name in QUANTIZABLE:
        numbers = random.standard_normal((4, length), dtype=np.float32)
        parts.append(quantize(numbers, kind))
    return np.concatenate(parts), kind


def main():
    folder = Path(sys.argv[1])
    random = np.random.default_rng(SEED)
    for name in TYPES:
        blocks, kind = record(name, random)
        with np.errstate(all="ignore"):
            floats = dequantize(blocks.reshape(1, -1), kind)
        (folder / f"{name}.blocks").write_bytes(blocks.tobytes())
        (folder / f"{name}.floats").write_bytes(floats.astype("<f4").tobytes())
    lines = [f"{package} {version(package)}" for package in ("gguf", "numpy")]
    (folder / "versions.txt").write_text("\n".join([*lines, f"seed {SEED}"]) + "\n")


main()
