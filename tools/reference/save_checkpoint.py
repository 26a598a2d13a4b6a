#!/usr/bin/env python3
"""A GGUF file as the checkpoint folder that it could have been made from, for trying conversions.

`reference_model.py` dequantises the weights and orders the rows as transformers has them; transformers
reads the tokenizer from the file. Versions: see requirements.txt beside this file.

usage: save_checkpoint.py MODEL.gguf FOLDER [--type float32|float16|bfloat16]
"""

import argparse
import os

import torch
from tokenizers import pre_tokenizers
from transformers import AutoTokenizer

from reference_model import load


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--type", default="float32", choices=["float32", "float16", "bfloat16"])
    arguments = parser.parse_args()
    model, metadata = load(arguments.model)
    model.to(getattr(torch, arguments.type)).save_pretrained(arguments.folder)
    folder, name = os.path.split(os.path.abspath(arguments.model))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    if metadata["tokenizer.ggml.pre"] == "smollm":  # transformers reads it as GPT-2's
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.save_pretrained(arguments.folder)


if __name__ == "__main__":
    main()
