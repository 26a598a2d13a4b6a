#!/usr/bin/env python3
"""Compares EfficientNet-Lite0 in DuetVision with PyTorch, and its speed with onnxruntime's in single precision."""
import argparse
import io
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import convert_efficientnet  # noqa: E402


class Features(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model.extract_features(x)


def square(seed):
    """A picture-like square: smooth waves, a few flat shapes, some noise; normalized."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:224, 0:224] / 224
    values = np.stack([np.sin(2 * np.pi * (x * a + y * b)) for a, b in random.uniform(0, 5, (3, 2))], -1)
    for _ in range(6):
        top, left = random.integers(0, 180, 2)
        values[top:top + 40, left:left + 40] = random.uniform(-1, 1, 3)
    return np.clip(values + random.normal(0, 0.1, values.shape), -1, 1).astype(np.float32)


def squares(photos):
    """Three made ones, and photos where a folder is given."""
    from PIL import Image

    made = [square(seed) for seed in range(3)]
    paths = sorted(pathlib.Path(photos).rglob("*.jpg"))[:20] if photos else []
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("RGB").resize((224, 224), Image.BICUBIC))
        made.append(((pixels.astype(np.float32) - 127) / 128).astype(np.float32))
    return made


def cosine(a, b):
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def encode(tool, model, values, folder, *options):
    path = folder / "values.f32"
    values.tofile(path)
    out = subprocess.run([tool, "encode", model, path, "--output", folder / "out.f32", *options], check=True,
                         capture_output=True, text=True).stdout
    return np.fromfile(folder / "out.f32", np.float32), out


def accuracy(tool, model, files, folder, tiers, inputs):
    for kind, (path, precision) in files.items():
        for tier in tiers:
            worst, worst_token, relative = 1, 1, 0
            for values in inputs if tier != "generic" else inputs[:2]:
                with torch.no_grad():
                    want = model(torch.from_numpy(values.transpose(2, 0, 1)[None]))[0].numpy()
                want = want.transpose(1, 2, 0).reshape(49, -1)
                got = encode(tool, path, values, folder, "--tier", tier, "--precision", precision)[0].reshape(49, -1)
                worst = min(worst, cosine(want, got))
                worst_token = min(worst_token, *(cosine(a, b) for a, b in zip(want, got)))
                relative = max(relative, float(np.abs(want - got).max() / np.abs(want).max()))
            print(f"{kind} {tier}: cosine {worst:.7f} (worst token {worst_token:.7f}), largest error "
                  f"{relative:.2e} of the largest value")


def onnx_session(model, threads):
    import onnxruntime

    data = io.BytesIO()
    torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), data, input_names=["x"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(data.getvalue(), options, providers=["CPUExecutionProvider"])


def speed(tool, model, files, folder, threads, rounds):
    session = onnx_session(model, threads)
    values = square(0)
    batch = np.ascontiguousarray(values.transpose(2, 0, 1)[None])
    ratios = {kind: [] for kind in files}
    for _ in range(rounds):
        times = []
        for _ in range(30):
            start = time.perf_counter()
            session.run(None, {"x": batch})
            times.append(1000 * (time.perf_counter() - start))
        peer = float(np.median(times))
        line = f"onnxruntime f32 {peer:.1f} ms"
        for kind, (path, precision) in files.items():
            out = encode(tool, path, values, folder, "--runs", "30", "--threads", str(threads),
                         "--precision", precision)[1]
            mine = float(re.search(r"median ([0-9.]+)", out)[1])
            ratios[kind].append(peer / mine)
            line += f", Duet {kind} {mine:.1f} ms"
        print(line)
    for kind, values in ratios.items():
        print(f"Duet {kind} is {np.median(values):.2f} times as fast as onnxruntime (median of {rounds} rounds)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", default=str(ROOT / ".build/release/duet-vision-check"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=0, help="of the comparison of speed; none by default")
    parser.add_argument("--photos", help="a folder of JPEG photos, the first 20 of which are compared too")
    parser.add_argument("--tiers", nargs="*", default=["avx2", "generic"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = Features(convert_efficientnet.reference()).eval()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        files = {"f32": ("f32.gguf", "f32"), "q8_0": ("q8_0.gguf", "f32"), "q8_0 x int8": ("q8_0.gguf", "int8")}
        files = {kind: (folder / name, precision) for kind, (name, precision) in files.items()}
        convert_efficientnet.convert(folder / "f32.gguf", False)
        convert_efficientnet.convert(folder / "q8_0.gguf", True)
        accuracy(arguments.tool, model, files, folder, arguments.tiers, squares(arguments.photos))
        if arguments.rounds:
            speed(arguments.tool, model, files, folder, arguments.threads, arguments.rounds)


if __name__ == "__main__":
    main()
