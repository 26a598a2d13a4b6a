#!/usr/bin/env python3
"""Compares a checkpoint that Duet opened, and its GGUF file, with llama.cpp's converter and transformers.

Metadata is compared key by key, tensors value by value, and logits of a random sequence four ways:
transformers on the folder, Duet on the folder, Duet on the converter's file, and llama.cpp on Duet's
file. Differences are the largest one relative to the root mean square of transformers' logits. Sentence
encoders have none: compare_embeddings.py compares what they compute.

usage: compare_conversion.py FOLDER --converter convert_hf_to_gguf.py --duet .build/release/duet
           [--ours FILE.gguf] [--pre NAME] [--tokens 64]
    --ours  what `duet quantize FOLDER FILE.gguf --type F32` wrote; without it only folders are compared
    --pre   the name of the word rules, for tokenizers that the converter does not know
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
from gguf import GGUFReader, dequantize
from transformers import AutoModelForCausalLM

from compare_kl import duet_logits
from llama_peer import Peer


def convert(folder, output, converter, pre):
    """Runs the converter in float32; `pre` answers for what it looks up by a hash."""
    patch = f"TextModel.get_vocab_base_pre = lambda self, tokenizer: {pre!r}" if pre else ""
    program = f"""
import sys
sys.path[:0] = [{str(converter.parent)!r}, {str(converter.parent / "gguf-py")!r}]
sys.argv = ["convert", {str(folder)!r}, "--outfile", {str(output)!r}, "--outtype", "f32"]
from conversion.base import TextModel
{patch}
import convert_hf_to_gguf
convert_hf_to_gguf.main()
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if result.returncode:
        print("the converter failed: " + result.stderr.strip().splitlines()[-1])
    return result.returncode == 0


def metadata(path):
    fields = GGUFReader(path).fields
    return {key: field.contents() for key, field in fields.items() if not key.startswith("GGUF.")}


def shorten(value):
    text = repr(value)
    return text if len(text) < 90 else text[:80] + f"… ({len(text)})"


def compare_metadata(ours, theirs):
    ours, theirs = metadata(ours), metadata(theirs)
    same = 0
    for key in sorted(ours.keys() | theirs.keys()):
        if key not in ours:
            print(f"  only the converter's: {key} = {shorten(theirs[key])}")
        elif key not in theirs:
            print(f"  only ours: {key} = {shorten(ours[key])}")
        elif ours[key] != theirs[key]:
            print(f"  {key}: ours {shorten(ours[key])}, the converter's {shorten(theirs[key])}")
        else:
            same += 1
    shared = [key for key in ours if key in theirs]
    order = "the same" if shared == [key for key in theirs if key in ours] else "another"
    print(f"metadata: {same} keys equal of {len(theirs)}; {order} order")


def compare_tensors(ours, theirs):
    ours = {tensor.name: tensor for tensor in GGUFReader(ours).tensors}
    theirs = {tensor.name: tensor for tensor in GGUFReader(theirs).tensors}
    for name in sorted(ours.keys() ^ theirs.keys()):
        print(f"  {name} is only in {'ours' if name in ours else 'the converter'}")
    equal = 0
    for name in ours.keys() & theirs.keys():
        a, b = (dequantize(t.data, t.tensor_type) for t in (ours[name], theirs[name]))
        if a.shape == b.shape and numpy.array_equal(a, b):
            equal += 1
        else:
            print(f"  {name} differs: {a.shape}, {b.shape}, {numpy.abs(a.ravel() - b.ravel()).max() if a.size == b.size else ''}")
    print(f"tensors: {equal} bit-equal of {len(theirs)}")


def reference_logits(folder, ids):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.inference_mode():
        return model(torch.tensor([ids]), use_cache=False).logits[0].numpy()


def show(name, logits, expected):
    difference = numpy.abs(logits - expected).max() / math.sqrt((expected.astype(float) ** 2).mean())
    print(f"logits of {name}: {difference:.1e} from transformers'")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--converter", type=pathlib.Path, required=True)
    parser.add_argument("--duet", required=True)
    parser.add_argument("--ours")
    parser.add_argument("--pre")
    parser.add_argument("--tokens", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        theirs = pathlib.Path(scratch) / "converted.gguf"
        converted = convert(arguments.folder, theirs, arguments.converter, arguments.pre)
        if arguments.ours and converted:
            compare_metadata(arguments.ours, theirs)
            compare_tensors(arguments.ours, theirs)
        if json.loads((arguments.folder / "config.json").read_text())["architectures"][0].startswith("Bert"):
            return
        limit = AutoModelForCausalLM.from_pretrained(arguments.folder).config.vocab_size
        ids = numpy.random.default_rng(7).integers(5, limit, arguments.tokens).tolist()
        expected = reference_logits(arguments.folder, ids)

        def ours(model):
            return duet_logits(arguments.duet, str(model), ids, limit, 1,
                               ["--activations", "f32", "--cache", "f32"])

        show("Duet on the folder", ours(arguments.folder), expected)
        if converted:
            show("Duet on the converter's file", ours(theirs), expected)
            show("llama.cpp on the converter's file", Peer(theirs, 1, len(ids), exact=True).logits(ids), expected)
        if arguments.ours:
            show("Duet on its own file", ours(arguments.ours), expected)
            show("llama.cpp on Duet's file", Peer(arguments.ours, 1, len(ids), exact=True).logits(ids), expected)


if __name__ == "__main__":
    main()
