#!/usr/bin/env python3
"""Writes a LoRA adapter with random weights for a GGUF model, in the layout of llama.cpp's
convert_lora_to_gguf: for measuring what adapters cost, and for comparing implementations.

    tools/reference/make_adapter.py model.gguf --rank 16 --output adapter.gguf
"""

import argparse

import gguf
import numpy

PARTS = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--alpha", type=float, default=16)
    parser.add_argument("--size", type=float, default=0.02, help="root mean square of the change of a weight")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()

    reader = gguf.GGUFReader(arguments.model)
    architecture = bytes(reader.fields["general.architecture"].parts[-1]).decode()
    writer = gguf.GGUFWriter(arguments.output, architecture)
    writer.add_string("general.type", "adapter")
    writer.add_string("general.name", f"random-{arguments.rank}-{arguments.seed}")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", arguments.alpha)
    random = numpy.random.default_rng(arguments.seed)
    for tensor in reader.tensors:
        parts = tensor.name.split(".")
        if len(parts) != 4 or parts[0] != "blk" or parts[2] not in PARTS or parts[3] != "weight":
            continue
        columns, rows = (int(size) for size in tensor.shape)
        # The change alpha / rank * B A has the asked-for size times the width's usual scale.
        target = arguments.size * arguments.rank / arguments.alpha / arguments.rank**0.5
        a = random.standard_normal((arguments.rank, columns)) / columns**0.5
        b = random.standard_normal((rows, arguments.rank)) * target * columns**0.5
        writer.add_tensor(tensor.name + ".lora_a", a.astype(numpy.float16))
        writer.add_tensor(tensor.name + ".lora_b", b.astype(numpy.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
