#!/usr/bin/env python3
"""Compares pictures as DuetVision decodes and prepares them with Pillow and transformers' Pillow processors.

Makes 100 pictures from a seed in a folder, runs `duet-vision-check frames` over them, and prints the largest
difference of a pixel per processor. With --fixtures writes the small ones of Tests/VisionTests/Fixtures with
what Pillow and transformers make of them.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np
import PIL
import transformers
from PIL import Image, ImageDraw, ImageOps
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests/VisionTests/Fixtures"
SEED = 8
SIZES = [(640, 480), (480, 640), (336, 336), (1000, 200), (97, 513), (224, 224), (31, 17), (1, 1), (1600, 1200),
         (333, 777), (512, 512), (2050, 300), (3, 400)]
KINDS = ["jpeg", "jpeg-444", "jpeg-422", "jpeg-progressive", "jpeg-grey", "jpeg-grey-progressive", "jpeg-cmyk",
         "jpeg-low", "png", "png-palette", "png-16", "png-grey", "png-grey-1", "png-interlaced", "png-grey-16"]


def picture(random, width, height):
    """A gradient, shapes and noise: smooth parts, edges and texture."""
    y, x = np.mgrid[0:height, 0:width]
    frequency = random.uniform(0.5, 8, 3)
    phase = random.uniform(0, 6, 3)
    angle = random.uniform(0, np.pi)
    along = (x * np.cos(angle) / max(width, 2) + y * np.sin(angle) / max(height, 2))[..., None]
    values = 127 + 120 * np.sin(along * frequency * 2 * np.pi + phase)
    image = Image.fromarray(values.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(random.integers(1, 9)):
        box = [*(random.random(2) * [width, height]), *(random.random(2) * [width, height])]
        box = [min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])]
        colour = tuple(int(v) for v in random.integers(0, 256, 3))
        (draw.ellipse if random.random() < 0.5 else draw.rectangle)(box, fill=colour)
    values = np.asarray(image).astype(int)
    values = values + random.integers(-25, 26, values.shape) * (random.random() < 0.6)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def png_16(path, values):
    """Pillow writes no 16-bit RGB, so the chunks are written here."""
    import struct
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = values.shape[:2]
    colour = 2 if values.ndim == 3 else 0
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
                     + chunk(b"IEND", b""))


def interlaced_png(path, image):
    """Adam7, which Pillow reads but does not write."""
    import struct
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    values = np.asarray(image)
    data = b""
    for top, left, down, across in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2),
                                    (0, 1, 2, 2), (1, 0, 2, 1)]:
        part = values[top::down, left::across]
        if part.size:
            data += b"".join(b"\0" + row.tobytes() for row in part)
    header = struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 1)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data))
                     + chunk(b"IEND", b""))


def write(path, image, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    extra = {"exif": exif} if orientation else {}
    path = path.with_suffix(".jpg" if kind.startswith("jpeg") else ".png")
    if kind == "png-16":
        noise = np.random.default_rng(1).integers(0, 256, np.asarray(image).shape)
        png_16(path, np.asarray(image).astype(int) * 256 + noise)
    elif kind == "png-grey-16":
        png_16(path, np.asarray(image.convert("L")).astype(int) * 257)
    elif kind == "png-interlaced":
        interlaced_png(path, image)
    elif kind.startswith("jpeg"):
        mode = {"jpeg-cmyk": "CMYK"}.get(kind, "L" if "grey" in kind else "RGB")
        sampling = {"jpeg-444": 0, "jpeg-422": 1}.get(kind, 2)
        options = {} if mode != "RGB" else {"subsampling": sampling}
        image.convert(mode).save(path, "JPEG", quality=30 if kind == "jpeg-low" else 90,
                                 progressive="progressive" in kind, **options, **extra)
    else:
        mode = {"png-palette": "P", "png-grey": "L", "png-grey-1": "1"}.get(kind, "RGB")
        image.convert(mode).save(path, "PNG", **extra)
    return path


def make(folder, count):
    random = np.random.default_rng(SEED)
    paths = []
    for index in range(count):
        width, height = SIZES[index % len(SIZES)]
        kind = KINDS[index % len(KINDS)]
        orientation = [0, 0, 1, 2, 3, 4, 5, 6, 7, 8][(index // 2) % 10]
        paths.append(write(folder / f"{index:03}-{kind}", picture(random, width, height), kind, orientation))
    return paths


def decoded(path):
    with Image.open(path) as image:
        # Pillow clips 16-bit grey where it converts; its high byte is meant.
        if image.mode.startswith("I"):
            image = Image.fromarray((np.asarray(image).astype(int) >> 8).astype(np.uint8))
        return ImageOps.exif_transpose(image).convert("RGB")


PROCESSORS = {
    "clip": CLIPImageProcessorPil(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}),
    "siglip": SiglipImageProcessorPil(size={"height": 384, "width": 384}),
    "smolvlm": SmolVLMImageProcessorPil(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512}),
    "gemma3": Gemma3ImageProcessorPil(size={"height": 896, "width": 896}, do_pan_and_scan=False),
    "efficientnet": SiglipImageProcessorPil(size={"height": 224, "width": 224}),
}


def expected(image, name):
    """[squares, height, width, 3] as transformers makes them, before rescaling."""
    if name == "decoded":
        return np.asarray(image)[None]
    values = PROCESSORS[name](image, return_tensors="np", do_rescale=False, do_normalize=False)["pixel_values"]
    values = np.asarray(values)
    return values.reshape(-1, *values.shape[-3:]).transpose(0, 2, 3, 1).round().astype(np.uint8)


def actual(path, name):
    data = pathlib.Path(f"{path}.{name}.rgb").read_bytes()
    _, _, squares, width, height = np.frombuffer(data[:20], np.int32)
    return np.frombuffer(data[20:], np.uint8).reshape(squares, height, width, 3)


def compare(folder, tool, count):
    paths = make(folder, count)
    subprocess.run([tool, "frames", *map(str, paths)], check=True)
    worst = {}
    for path in paths:
        image = decoded(path)
        for name in ["decoded", *PROCESSORS]:
            want, got = expected(image, name), actual(path, name)
            if want.shape != got.shape:
                raise SystemExit(f"{path.name} {name}: shape {got.shape}, expected {want.shape}")
            difference = int(np.abs(want.astype(int) - got.astype(int)).max())
            if difference > 1:
                print(f"{path.name} {name}: {difference}/255")
            entry = worst.setdefault(name, [0, 0])
            entry[0] = max(entry[0], difference)
            entry[1] += int((want != got).sum())
            pathlib.Path(f"{path}.{name}.rgb").unlink()
    print(f"Pillow {PIL.__version__}, transformers {transformers.__version__}, {len(paths)} pictures")
    for name, (difference, pixels) in worst.items():
        print(f"{name}: largest difference {difference}/255, {pixels} values differ")


def record():
    """Small pictures of each kind with their pixels, and one resized by each filter."""
    FIXTURES.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(SEED + 1)
    cases = []
    for index, kind in enumerate(KINDS):
        path = write(FIXTURES / kind, picture(random, 13 + index, 20 - index), kind, index % 9)
        image = decoded(path)
        case = {"file": path.name, "width": image.width, "height": image.height,
                "pixels": np.asarray(image).tobytes().hex()}
        for name, method in [("bilinear", 2), ("bicubic", 3), ("lanczos", 1)]:
            for size in [(5, 7), (31, 9)]:
                case[f"{name} {size[0]}x{size[1]}"] = np.asarray(image.resize(size, method)).tobytes().hex()
        cases.append(case)
    data = {"Pillow": PIL.__version__, "cases": cases}
    (FIXTURES / "pictures.json").write_text(json.dumps(data, indent=1) + "\n")
    print(f"{len(cases)} fixtures")


def record_bombs():
    """Small files that ask for much: pixels, text that inflates, scans."""
    import struct
    import zlib

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def png(name, width, height, depth, colour, extra=b"", interlace=0):
        bits = width * depth * {0: 1, 2: 3, 6: 4}[colour]
        row = b"\0" * (1 + (bits + 7) // 8)
        packer = zlib.compressobj(9)
        data = b"".join(packer.compress(row * min(64, height - y)) for y in range(0, height, 64)) + packer.flush()
        header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
        (FIXTURES / name).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data)
                                      + chunk(b"IEND", b""))

    text = chunk(b"zTXt", b"bomb\0\0" + zlib.compress(b"a" * (32 << 20), 9))
    png("bomb-grey.png", 12_000, 7_000, 1, 0)
    png("bomb-text.png", 8, 8, 8, 2, text)
    png("bomb-64-bit.png", 4_000, 2_000, 16, 6)
    png("bomb-interlaced.png", 8_000, 6_000, 1, 0, interlace=1)
    (FIXTURES / "bomb-pixels.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", 900_000, 900_000, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"")))
    grey = Image.new("L", (8_000, 4_000), 90)
    grey.save(FIXTURES / "bomb-progressive.jpg", "JPEG", quality=1, progressive=True, optimize=True)
    for path in sorted(FIXTURES.glob("bomb*")):
        print(path.name, path.stat().st_size)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", default=str(ROOT / ".build/release/duet-vision-check"))
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--folder", help="where the pictures are kept; a temporary folder otherwise")
    parser.add_argument("--fixtures", action="store_true")
    arguments = parser.parse_args()
    if arguments.fixtures:
        record()
        return record_bombs()
    if arguments.folder:
        folder = pathlib.Path(arguments.folder)
        folder.mkdir(parents=True, exist_ok=True)
        return compare(folder, arguments.tool, arguments.count)
    with tempfile.TemporaryDirectory() as folder:
        compare(pathlib.Path(folder), arguments.tool, arguments.count)


if __name__ == "__main__":
    main()
