#!/usr/bin/env python3
"""Compares Duet's sentence vectors with sentence-transformers, and its speed with onnxruntime.

  compare_embeddings.py FOLDER --duet .build/release/duet [--model GGUF] [--text DIR] [--speed]

FOLDER is the model in Hugging Face's layout; --model is what Duet opens, FOLDER itself unless given. The texts,
1,000 of them, are of all lengths: of DIR/*.jsonl, cut and joined, and odd ones. Prints the lowest and the mean
cosine. With --speed: sentences per second of Duet, and of onnxruntime with the same model exported by torch, as
F32 and with weights quantized to int8 (quantize_dynamic); both on all cores, batches of 32 sorted by length.
"""

import argparse
import glob
import json
import os
import random
import subprocess
import tempfile
import time

import numpy


def texts(folder):
    rng = random.Random(4)
    whole = []
    for path in sorted(glob.glob(os.path.join(folder, "*.jsonl"))) if folder else []:
        for line in open(path, encoding="utf-8"):
            row = json.loads(line)
            whole += [" ".join(value.split()) for value in row.values() if isinstance(value, str) and value.strip()]
    whole = whole or ["The quick brown fox jumps over the lazy dog."]
    result = ["a", "?", "Ünïcödé ﬁ № 한글 漢字 ｱ", "😀 👩🏽‍💻", "0" * 150, "x" * 99, "don't stop", "[MASK] is text"]
    while len(result) < 1000:
        text = rng.choice(whole)
        kind = len(result) % 4
        if kind == 0:
            text = " ".join(text.split()[: rng.randint(1, 12)])
        elif kind == 1:
            text = " ".join(rng.choice(whole) for _ in range(4))[: rng.randint(100, 2400)].strip()
        if text:
            result.append(text)
    return result


def duet(program, model, lines):
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        start = time.perf_counter()
        output = subprocess.run(
            [program, "embed", "--json", "--model", model, "--file", file.name], stdout=subprocess.PIPE, check=True)
        seconds = time.perf_counter() - start
    return numpy.array([json.loads(line)["vector"] for line in output.stdout.splitlines()], numpy.float32), seconds


def onnx_speeds(folder, lines):
    import onnxruntime
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    example = dict(tokenizer(["one text", "another longer text"], padding=True, return_tensors="pt"))
    axes = {name: {0: "batch", 1: "tokens"} for name in [*example, "last_hidden_state"]}
    speeds = {}
    with tempfile.TemporaryDirectory() as scratch:
        paths = {"F32": scratch + "/f32.onnx", "int8": scratch + "/int8.onnx"}
        torch.onnx.export(
            model, tuple(example.values()), paths["F32"], input_names=list(example), output_names=["last_hidden_state"],
            dynamic_axes=axes, opset_version=17, dynamo=False)
        quantize_dynamic(paths["F32"], paths["int8"], weight_type=QuantType.QInt8)
        lines = sorted(lines, key=len)
        for name, path in paths.items():
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            start = time.perf_counter()
            for first in range(0, len(lines), 32):
                batch = tokenizer(
                    lines[first:first + 32], padding=True, truncation=True, max_length=256, return_tensors="np")
                hidden = session.run(None, dict(batch))[0]
                mask = batch["attention_mask"][:, :, None]
                mean = (hidden * mask).sum(1) / mask.sum(1)
                mean / numpy.linalg.norm(mean, axis=1, keepdims=True)
            speeds[name] = len(lines) / (time.perf_counter() - start)
    return speeds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--model")
    parser.add_argument("--duet", default=".build/release/duet")
    parser.add_argument("--text")
    parser.add_argument("--max-tokens", type=int, help="the most tokens of a text, where the folder's limit is not meant")
    parser.add_argument("--speed", action="store_true")
    options = parser.parse_args()
    lines = texts(options.text)
    model = options.model or options.folder
    found, seconds = duet(options.duet, model, lines)
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(options.folder, device="cpu")
    if options.max_tokens:
        reference.max_seq_length = options.max_tokens
    expected = reference.encode(lines, normalize_embeddings=True, batch_size=32)
    cosines = (found * expected).sum(1)
    worst = int(cosines.argmin())
    print(f"{len(lines)} texts: cosine at least {cosines.min():.7f} ({lines[worst][:60]!r}), mean {cosines.mean():.7f}")
    if options.speed:
        _, again = duet(options.duet, model, lines)
        print(f"duet, with loading: {len(lines) / min(seconds, again):.1f} sentences/s")
        for name, speed in onnx_speeds(options.folder, lines).items():
            print(f"onnxruntime {name}: {speed:.1f} sentences/s")


main()
