#!/usr/bin/env python3
"""Compares vision transformers and projectors in DuetVision with transformers, on random weights.

Builds LLaVA (CLIP ViT-L/14 at 336), Idefics 3 (SigLIP) and Gemma 3 vision towers at full width and small depth,
writes each as an mmproj GGUF file in llama.cpp's layout, encodes one square with both, and prints cosine and
error. With --fixtures writes tiny ones and their embeddings to Tests/VisionTests/Fixtures; with --mmproj FOLDER
keeps the files.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np
import torch
import transformers
from gguf import GGUFWriter
from transformers import (CLIPVisionConfig, Gemma3Config, Gemma3ForConditionalGeneration, Gemma3Model,
                          Gemma3TextConfig, Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Model,
                          LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaModel, SiglipVisionConfig)
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "Tests/VisionTests/Fixtures"
HALVES = [0.5] * 3
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]

FULL = {
    "mlp": dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=4, num_attention_heads=16,
                image_size=336, patch_size=14, text=2048),
    "idefics3": dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=3, num_attention_heads=12,
                     image_size=512, patch_size=16, text=576, merge=4),
    "idefics3-so400m": dict(hidden_size=1152, intermediate_size=4304, num_hidden_layers=2, num_attention_heads=16,
                            image_size=364, patch_size=14, text=2048, merge=2),
    "gemma3": dict(hidden_size=1152, intermediate_size=4304, num_hidden_layers=2, num_attention_heads=16,
                   image_size=896, patch_size=14, text=2560, merge=4),
}
TINY = {
    "mlp": dict(hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, image_size=32,
                patch_size=8, text=32),
    "idefics3": dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
                     image_size=32, patch_size=8, text=32, merge=2),
    "gemma3": dict(hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=32,
                   patch_size=4, text=32, merge=4),
}


def build(kind, shape):
    vision = {key: value for key, value in shape.items() if key not in ("text", "merge")}
    text = dict(hidden_size=shape["text"], intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
                vocab_size=100)
    if kind == "mlp":
        config = LlavaConfig(vision_config=CLIPVisionConfig(**vision), text_config=LlamaConfig(**text),
                             image_token_index=99)
        return LlavaModel(config)
    if kind == "idefics3":
        return Idefics3Model(Idefics3Config(vision_config=Idefics3VisionConfig(**vision),
                                            text_config=LlamaConfig(**text), scale_factor=shape["merge"],
                                            image_token_id=99, pad_token_id=0))
    tokens = (shape["image_size"] // shape["patch_size"] // shape["merge"]) ** 2
    return Gemma3Model(Gemma3Config(vision_config=SiglipVisionConfig(**vision), mm_tokens_per_image=tokens,
                                    text_config=Gemma3TextConfig(num_key_value_heads=1, head_dim=32, **text),
                                    image_token_index=99, boi_token_index=97, eoi_token_index=98))


def randomize(model, seed):
    """Weights that keep activations near 1, so that every part matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.named_parameters():
        random = torch.randn(value.shape, generator=generator)
        if value.ndim >= 2 and "position" not in name:
            fan = value.shape[0] if "input_projection" in name else value[0].numel()
            value.data = random / fan ** 0.5 * 1.5
        elif "norm" in name and name.endswith("weight"):
            value.data = (0 if "soft_emb" in name else 1) + 0.2 * random
        else:
            value.data = 0.3 * random
    return model.eval()


NAMES = [("embeddings.class_embedding", "v.class_embd"),
         ("embeddings.patch_embedding", "v.patch_embd"), ("embeddings.position_embedding", "v.position_embd"),
         ("pre_layrnorm", "v.pre_ln"), ("post_layernorm", "v.post_ln"), ("encoder.layers.", "v.blk."),
         ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
         ("self_attn.out_proj", "attn_out"), ("layer_norm1", "ln1"), ("layer_norm2", "ln2"),
         ("mlp.fc1", "ffn_up"), ("mlp.fc2", "ffn_down"), ("multi_modal_projector.linear_1", "mm.0"),
         ("multi_modal_projector.linear_2", "mm.2"), ("connector.modality_projection.proj", "mm.model.fc"),
         ("multi_modal_projector.mm_input_projection_weight", "mm.input_projection.weight"),
         ("multi_modal_projector.mm_soft_emb_norm", "mm.soft_emb_norm")]


def tensors(model, kind):
    for name, value in model.state_dict().items():
        if "language_model" in name or "text_model" in name or ".head." in name:
            continue
        # LLaVA takes its features before the last norm.
        if kind == "mlp" and "post_layernorm" in name:
            continue
        name = name.removeprefix("vision_tower.").removeprefix("vision_model.")
        for old, new in NAMES:
            name = name.replace(old, new)
        value = value.float().numpy()
        yield name, value + 1 if name == "mm.soft_emb_norm.weight" else value


def write(path, model, kind, shape, half=False):
    file = GGUFWriter(str(path), "clip")
    file.add_bool("clip.has_vision_encoder", True)
    file.add_string("clip.projector_type", kind)
    file.add_bool("clip.use_gelu", kind != "mlp")
    for key, value in [("image_size", shape["image_size"]), ("patch_size", shape["patch_size"]),
                       ("embedding_length", shape["hidden_size"]), ("projection_dim", shape["text"]),
                       ("feed_forward_length", shape["intermediate_size"]),
                       ("block_count", shape["num_hidden_layers"]),
                       ("attention.head_count", shape["num_attention_heads"])]:
        file.add_uint32(f"clip.vision.{key}", value)
    if "merge" in shape:
        file.add_uint32("clip.vision.projector.scale_factor", shape["merge"])
    file.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5 if kind == "mlp" else 1e-6)
    file.add_array("clip.vision.image_mean", CLIP_MEAN if kind == "mlp" else HALVES)
    file.add_array("clip.vision.image_std", CLIP_STD if kind == "mlp" else HALVES)
    for name, value in tensors(model, kind):
        narrow = half and value.ndim >= 2 and "position" not in name
        file.add_tensor(name, np.ascontiguousarray(value.astype(np.float16 if narrow else np.float32)))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


WHOLE = {"mlp": LlavaForConditionalGeneration, "idefics3": Idefics3ForConditionalGeneration,
         "gemma3": Gemma3ForConditionalGeneration}


def save(name, shape, folder):
    """The checkpoint that transformers would publish of the same model."""
    kind = name.split("-")[0]
    model = randomize(build(kind, shape), 3)
    whole = WHOLE[kind](model.config).eval()
    whole.model.load_state_dict(model.state_dict())
    whole.save_pretrained(folder / name)
    (folder / name / "generation_config.json").unlink()


def features(model, kind, values):
    pixels = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]
    with torch.no_grad():
        if kind == "mlp":
            out = model.get_image_features(pixels, vision_feature_layer=-2, vision_feature_select_strategy="default",
                                           output_hidden_states=True)
        else:
            out = model.get_image_features(pixels[None] if kind == "idefics3" else pixels)
    out = out.pooler_output
    return (out[0] if isinstance(out, (list, tuple)) else out).reshape(-1, out[0].shape[-1]).numpy()


def square(side):
    random = np.random.default_rng(5)
    y, x = np.mgrid[0:side, 0:side] / side
    waves = np.stack([np.sin(6 * (x * a + y * b)) for a, b in random.uniform(0, 5, (3, 2))], -1)
    return (waves + random.normal(0, 0.3, waves.shape)).astype(np.float32)


def cosine(a, b):
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def make(name, shape, folder, half=False):
    kind = name.split("-")[0]
    model = randomize(build(kind, shape), 3)
    path = folder / f"{name}.gguf"
    write(path, model, kind, shape, half)
    values = square(shape["image_size"])
    return path, values, features(model, kind, values)


def compare(tool, folder, tiers, half):
    print(f"transformers {transformers.__version__}, PyTorch {torch.__version__}")
    for name, shape in FULL.items():
        path, values, want = make(name, shape, folder, half)
        values.tofile(folder / f"{name}.values.f32")
        want.tofile(folder / f"{name}.expected.f32")
        for tier in tiers:
            out = subprocess.run([tool, "encode", path, folder / f"{name}.values.f32", "--output",
                                  folder / "out.f32", "--tier", tier], check=True, capture_output=True, text=True)
            got = np.fromfile(folder / "out.f32", np.float32).reshape(want.shape)
            worst = min(cosine(a, b) for a, b in zip(want, got))
            error = float(np.abs(want - got).max() / np.abs(want).max())
            print(f"{name} {tier}: cosine {cosine(want, got):.8f}, worst token {worst:.8f}, largest error "
                  f"{error:.2e} of the largest value; {out.stdout.strip()}")


def record():
    for name, shape in TINY.items():
        save(name, shape, FIXTURES / "checkpoints")
        _, values, want = make(name, shape, FIXTURES)
        data = {"transformers": transformers.__version__, "values": [round(float(v), 4) for v in values.ravel()]}
        # The values are rounded for the file, so they are encoded again as they are read.
        values = np.array(data["values"], np.float32).reshape(values.shape)
        model = randomize(build(name, shape), 3)
        data["embeddings"] = [round(float(v), 5) for v in features(model, name, values).ravel()]
        (FIXTURES / f"{name}.json").write_text(json.dumps(data) + "\n")
    print(f"{len(TINY)} fixtures")


def record_efficientnet():
    """A small network of the same parts: expanding and not, both kernels and steps, with and without residual."""
    import sys

    sys.path.insert(0, str(ROOT / "tools"))
    import convert_efficientnet
    from efficientnet_lite_pytorch import EfficientNet
    from efficientnet_lite_pytorch.utils import BlockDecoder, get_model_params

    _, parameters = get_model_params("efficientnet-lite0", {"image_size": 33})
    blocks = ["r1_k3_s11_e1_i32_o16", "r2_k5_s22_e2_i16_o24", "r2_k3_s22_e3_i24_o16"]
    model = EfficientNet(BlockDecoder.decode(blocks), parameters)
    generator = torch.Generator().manual_seed(4)
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        random = torch.randn(value.shape, generator=generator)
        if name.endswith("running_var"):
            value.data = 1 + random ** 2
        elif value.ndim > 1:
            value.data = 2 * random / value[0].numel() ** 0.5
        elif value.ndim == 1:
            value.data = (1 if "weight" in name else 0) + 0.3 * random
    model.eval()
    convert_efficientnet.convert(str(FIXTURES / "efficientnet.gguf"), False, model)
    values = np.round(square(33), 4)
    with torch.no_grad():
        out = model.extract_features(torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None])[0]
    # Every 16th channel of each pixel keeps the file small.
    out = out.numpy().transpose(1, 2, 0).reshape(-1, out.shape[0])[:, ::16]
    data = {"PyTorch": torch.__version__, "values": [round(float(v), 4) for v in values.ravel()],
            "embeddings": [round(float(v), 5) for v in out.ravel()]}
    (FIXTURES / "efficientnet.json").write_text(json.dumps(data) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", default=str(ROOT / ".build/release/duet-vision-check"))
    parser.add_argument("--tiers", nargs="*", default=["avx2"])
    parser.add_argument("--mmproj", help="a folder to keep the files in")
    parser.add_argument("--checkpoints", help="a folder to save the models in, as transformers does, and nothing else")
    parser.add_argument("--half", action="store_true", help="matrices in half precision")
    parser.add_argument("--fixtures", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    if arguments.fixtures:
        record()
        return record_efficientnet()
    if arguments.checkpoints:
        for name, shape in FULL.items():
            save(name, shape, pathlib.Path(arguments.checkpoints))
        return None
    if arguments.mmproj:
        folder = pathlib.Path(arguments.mmproj)
        folder.mkdir(parents=True, exist_ok=True)
        return compare(arguments.tool, folder, arguments.tiers, arguments.half)
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments.tool, pathlib.Path(folder), arguments.tiers, arguments.half)


if __name__ == "__main__":
    main()
