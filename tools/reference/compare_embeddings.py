#!/usr/bin/env python3
"""Compares Duet's sentence vectors with sentence-transformers, and its speed with onnxruntime.

  compare_embeddings.py FOLDER --duet .build/release/duet [--model MODEL] [--text DIR]
  compare_embeddings.py FOLDER --duet .build/release/duet --speed 3 [--model MODEL] [--q8 GGUF] [--text DIR]

FOLDER is the model in Hugging Face's layout; --model is what Duet opens, FOLDER itself unless given. The texts,
1,000 of them, have from one word to more tokens than the model reads: of DIR/*.jsonl, cut and joined, and odd
ones. Prints how long they are, and the lowest and the mean cosine. No text names a special token: Duet takes such
names for text, sentence-transformers for the token.

With --speed ROUNDS: sentences per second of Duet and of onnxruntime, which runs the same model exported by torch,
as F32 and with weights quantized to int8 (quantize_dynamic). The programs run in turn on --threads threads, and
the ratio is the median of the rounds' ratios. onnxruntime's time is that of tokenizing, encoding in batches of 32
sorted by length, and pooling; Duet's is that of the whole process, loading and printing included.
"""

import argparse
import glob
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

import numpy


def texts(folder):
    """Odd texts, then runs of words of DIR's texts: half of up to 40 words, half of up to 260."""
    rng = random.Random(4)
    words = []
    for path in sorted(glob.glob(os.path.join(folder, "*.jsonl"))) if folder else []:
        for line in open(path, encoding="utf-8"):
            row = json.loads(line)
            for name in ("instruction", "context", "response"):
                words += row.get(name, "").split()
    words = words or "The quick brown fox jumps over the lazy dog.".split() * 40
    result = ["a", "?", "Ünïcödé ﬁ № 한글 漢字 ｱ", "😀 👩🏽‍💻", "0" * 150, "x" * 99, "don't stop", "1,000.5 % of A/B"]
    while len(result) < 1000:
        start = rng.randrange(len(words))
        text = " ".join(words[start:start + rng.randint(1, 40 if len(result) % 2 else 260)])
        if "[MASK]" not in text and text.strip():
            result.append(text)
    return result


class Duet:
    def __init__(self, program, threads):
        self.program, self.threads = program, threads

    def vectors(self, model, lines):
        """The vectors, and the seconds of the process."""
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            start = time.perf_counter()
            output = subprocess.run(
                [self.program, "embed", "--json", "--threads", str(self.threads), "--model", model, "--file", file.name],
                stdout=subprocess.PIPE, check=True).stdout
            seconds = time.perf_counter() - start
        return numpy.array([json.loads(line)["vector"] for line in output.splitlines()], numpy.float32), seconds


class Onnx:
    """The model exported by torch, in F32 and int8; the files are kept in `scratch`."""

    def __init__(self, folder, scratch, threads, most):
        import onnxruntime
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.most = most
        paths = {"F32": scratch / "f32.onnx", "int8": scratch / "int8.onnx"}
        if not paths["int8"].exists():
            self.export(folder, paths)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.sessions = {
            name: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            for name, path in paths.items()}

    def export(self, folder, paths):
        import torch
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from transformers import AutoModel

        class Hidden(torch.nn.Module):
            def __init__(self, names):
                super().__init__()
                self.names = names
                self.model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

            def forward(self, *values):
                return self.model(**dict(zip(self.names, values))).last_hidden_state

        example = dict(self.tokenizer(["one text", "another longer text"], padding=True, return_tensors="pt"))
        axes = {name: {0: "batch", 1: "tokens"} for name in [*example, "last_hidden_state"]}
        torch.onnx.export(
            Hidden(list(example)), tuple(example.values()), str(paths["F32"]), input_names=list(example),
            output_names=["last_hidden_state"], dynamic_axes=axes, opset_version=17, dynamo=False)
        quantize_dynamic(str(paths["F32"]), str(paths["int8"]), weight_type=QuantType.QInt8)

    def seconds(self, name, lines):
        session, lines = self.sessions[name], sorted(lines, key=len)
        start = time.perf_counter()
        for first in range(0, len(lines), 32):
            batch = self.tokenizer(
                lines[first:first + 32], padding=True, truncation=True, max_length=self.most, return_tensors="np")
            hidden = session.run(None, dict(batch))[0]
            mask = batch["attention_mask"][:, :, None]
            mean = (hidden * mask).sum(1) / mask.sum(1)
            mean / numpy.linalg.norm(mean, axis=1, keepdims=True)
        return time.perf_counter() - start


def compare_speed(options, duet, lines, most):
    scratch = options.onnx or pathlib.Path(tempfile.mkdtemp())
    onnx = Onnx(options.folder, scratch, options.threads, most)
    pairs = [("F32", options.model or options.folder, "F32")]
    if options.q8:
        pairs += [("Q8_0", options.q8, "int8")]
    for name, _, other in pairs:
        onnx.seconds(other, lines[:64])
    for name, model, other in pairs:
        ours, theirs = [], []
        for _ in range(options.speed):
            ours.append(duet.vectors(model, lines)[1])
            theirs.append(onnx.seconds(other, lines))
        ratio = statistics.median(their / our for our, their in zip(ours, theirs))
        print(f"Duet {name} {len(lines) / statistics.median(ours):.1f} sentences/s, onnxruntime {other} "
              f"{len(lines) / statistics.median(theirs):.1f}: ratio {ratio:.3f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--model")
    parser.add_argument("--q8", help="the same model as Q8_0, beside onnxruntime's int8")
    parser.add_argument("--duet", default=".build/release/duet")
    parser.add_argument("--text")
    parser.add_argument("--count", type=int, default=1000, help="compare only so many of the texts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--speed", type=int, default=0, metavar="ROUNDS")
    parser.add_argument("--onnx", type=pathlib.Path, help="a folder that keeps the exported models")
    options = parser.parse_args()
    duet = Duet(options.duet, options.threads)
    lines = texts(options.text)[::1000 // options.count]
    if options.speed:
        settings = json.loads(pathlib.Path(options.folder, "sentence_bert_config.json").read_text())
        return compare_speed(options, duet, lines, settings["max_seq_length"])
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(options.folder, device="cpu")
    lengths = sorted(len(reference.tokenizer(line)["input_ids"]) for line in lines)
    found, _ = duet.vectors(options.model or options.folder, lines)
    expected = reference.encode(lines, normalize_embeddings=True, batch_size=32)
    cosines = (found * expected).sum(1)
    worst = int(cosines.argmin())
    print(f"{len(lines)} texts of {lengths[0]} to {lengths[-1]} tokens, {lengths[len(lengths) // 2]} in the median, "
          f"{sum(length > reference.max_seq_length for length in lengths)} above the {reference.max_seq_length} read")
    print(f"cosine at least {cosines.min():.7f} ({lines[worst][:60]!r}), mean {cosines.mean():.7f}")


main()
