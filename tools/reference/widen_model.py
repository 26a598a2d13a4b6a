#!/usr/bin/env python3
"""Adds zeros to SmolLM2-135M until each of its rows is a multiple of 256 values.

usage: widen_model.py MODEL.gguf OUT.gguf

Superblocks of 256 cannot hold its rows of 576, so formats that have them are never measured on it. With zeros for 192
more values and three more heads, which nothing reads, it computes what it did; llama-quantize makes the formats. The
root mean square is of more values, which weights of norms and epsilon make up for. Needs numpy and gguf
(requirements.txt).
"""

import argparse
import sys

import gguf
import numpy as np

WIDTH, WIDE = 576, 768
HEADS = {"llama.embedding_length": WIDE, "llama.attention.head_count": 12, "llama.attention.head_count_kv": 4}
SHARE = WIDTH / WIDE
# Rows and columns of each kind of matrix; None for what it has.
SHAPES = {
    "attn_q": (WIDE, WIDE),
    "attn_k": (256, WIDE),
    "attn_v": (256, WIDE),
    "attn_output": (WIDE, WIDE),
    "ffn_gate": (None, WIDE),
    "ffn_up": (None, WIDE),
    "ffn_down": (WIDE, None),
}


def values(tensor):
    """a tensor in single precision"""
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def widened(name, tensor):
    if "norm" in name:
        wide = np.zeros(WIDE, np.float32)
        wide[:WIDTH] = tensor * np.sqrt(SHARE)
        return wide
    rows, columns = (None, WIDE) if name == "token_embd.weight" else SHAPES[name.split(".")[2]]
    wide = np.zeros((rows or tensor.shape[0], columns or tensor.shape[1]), np.float16)
    wide[: tensor.shape[0], : tensor.shape[1]] = tensor
    return wide


def copy_metadata(reader, writer):
    skipped = ("general.architecture", "general.file_type", "general.quantization_version")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in skipped:
            continue
        value = HEADS.get(field.name, field.contents())
        if field.name == "llama.attention.layer_norm_rms_epsilon":
            value *= SHARE
        if field.types[0] == gguf.GGUFValueType.ARRAY:
            writer.add_key_value(field.name, value, field.types[0], field.types[1])
        else:
            writer.add_key_value(field.name, value, field.types[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("out")
    arguments = parser.parse_args()
    try:
        reader = gguf.GGUFReader(arguments.model)
    except (OSError, ValueError) as error:
        sys.exit(f"widen_model.py: cannot read {arguments.model}: {error}")
    width = reader.get_field("llama.embedding_length")
    if width is None or width.contents() != WIDTH:
        sys.exit(f"widen_model.py: {arguments.model} is no llama of width {WIDTH}")
    writer = gguf.GGUFWriter(arguments.out, "llama")
    copy_metadata(reader, writer)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, widened(tensor.name, values(tensor)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
